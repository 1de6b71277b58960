import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';

/** The native addon's typed surface; see native/native.d.ts for every function. */
export type Native = typeof import('../native/native.js');

/**
 * Loads the addon. The sandbox process finds it beside its bundle (`ISOPOD_ADDON` names it); a checkout finds the build's output.
 */
function load(): Native {
	const file = process.env['ISOPOD_ADDON'] ?? findInCheckout();
	return createRequire(file)(file) as Native;
}

function findInCheckout(): string {
	// dist/runtime/native.js, dist/isopod.js: the package's root is one or two folders up.
	const self = process.argv[1] ?? '.';
	const require = createRequire(resolve(self));
	for (let folder = dirname(resolve(self)); ; folder = dirname(folder)) {
		const candidate = resolve(folder, 'build/Release/isopod.node');
		try {
			return require.resolve(candidate);
		} catch {
			if (folder === dirname(folder))
				throw new Error(`Load the native addon: no build/Release/isopod.node above ${self}; run npm run build`);
		}
	}
}

export const native: Native = load();
