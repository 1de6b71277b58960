import { type Config, ConfigError } from '../oci/config.js';

/** Of containerd's CRI plugin and of CRI-O: what a container is of its pod, and the id of the pod's first container. */
const KEYS = [
	{ type: 'io.kubernetes.cri.container-type', sandbox: 'io.kubernetes.cri.sandbox-id' },
	{ type: 'io.kubernetes.cri-o.ContainerType', sandbox: 'io.kubernetes.cri-o.SandboxID' },
] as const;

/** What a pod spec calls the namespaces that it asks for by having none of its own. */
const HOST_NAMESPACES = { network: 'hostNetwork', pid: 'hostPID', ipc: 'hostIPC' } as const;

/** The id of the first container of the pod that a container belongs to, by its annotations: its own for one that is in no pod, or is the first. */
export function sandboxOf(annotations: Readonly<Record<string, string>>, id: string): string {
	for (const { type, sandbox } of KEYS) {
		const sandboxId = annotations[sandbox];
		if (annotations[type] === 'container' && sandboxId !== undefined && sandboxId !== '') return sandboxId;
	}
	return id;
}

/** A pod of Kubernetes that doesn't list a namespace wants the host's, which it can't have: throws ConfigError. (On the command line it gets one of its own.) */
export function refuseHostNamespaces({ annotations, linux: { namespaces } }: Config): void {
	if (!KEYS.some(({ type }) => annotations[type] === 'sandbox')) return;
	for (const [type, name] of Object.entries(HOST_NAMESPACES))
		if (!namespaces.has(type))
			throw new ConfigError('linux.namespaces', `${name} is not honoured: a sandboxed pod has no ${type} namespace of the host's`);
}
