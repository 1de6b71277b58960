/** How annotations of ours begin: they choose what an operator may not want to leave to whoever writes pods. */
export const OWN_ANNOTATIONS = 'dev.isopod.';

/** Throws an Error for the user that names the first of ours that is none of `allowed` (runtime.allowed_annotations of the configuration). */
export function checkAnnotations(names: readonly string[], allowed: readonly string[]): void {
	for (const name of names) {
		if (!name.startsWith(OWN_ANNOTATIONS)) continue;
		if (!allowed.some((one) => one === name || (one.endsWith('.*') && name.startsWith(one.slice(0, -1)))))
			throw new Error(`the annotation ${name} is not allowed on this node (runtime.allowed_annotations)`);
	}
}
