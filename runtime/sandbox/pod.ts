/** Of containerd's CRI plugin and of CRI-O: what a container is of its pod, and the id of the pod's first container. */
const KEYS = [
	{ type: 'io.kubernetes.cri.container-type', sandbox: 'io.kubernetes.cri.sandbox-id' },
	{ type: 'io.kubernetes.cri-o.ContainerType', sandbox: 'io.kubernetes.cri-o.SandboxID' },
] as const;

/** The id of the first container of the pod that a container belongs to, by its annotations: its own for one that is in no pod, or is the first. */
export function sandboxOf(annotations: Readonly<Record<string, string>>, id: string): string {
	for (const { type, sandbox } of KEYS) {
		const sandboxId = annotations[sandbox];
		if (annotations[type] === 'container' && sandboxId !== undefined && sandboxId !== '') return sandboxId;
	}
	return id;
}
