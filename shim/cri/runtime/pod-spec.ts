import { join } from 'node:path';
import type { runtime } from '../../../proto/generated/cri.js';

// What both the CRI server and containerd's shim make a pod from: no more of CRI's messages than their types.

type PodConfig = runtime.v1.PodSandboxConfig.$Properties;
type Resources = runtime.v1.LinuxContainerResources.$Properties;

/** What a pod's containers share. */
export interface PodPlace {
	readonly id: string;
	/** The path of its network namespace; '' for one of its own with nothing in it. */
	readonly netns: string;
	/** A process whose namespaces are the pod's; 0 while the pod is being made. */
	readonly pid: number;
	/** Folder with its hosts, resolv.conf, hostname and shm. */
	readonly files: string;
	readonly config: PodConfig;
}

/** One of config.json's. */
export interface Mount {
	readonly destination: string;
	readonly type: string;
	readonly source: string;
	readonly options: readonly string[];
}

export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_CGROUP_PARENT = '/isopod';
/** CRI's NamespaceMode: what is shared in a pod, and what is the host's. */
const POD = 0;
const NODE = 2;

/** Where the control group of a pod's container, or of the pod's first one, is. */
export function groupOf({ linux }: PodConfig, id: string): string {
	return join(linux?.cgroupParent || DEFAULT_CGROUP_PARENT, id);
}

/** config.json of the container that holds a pod's namespaces. */
export function podSpec({ id, netns, config }: PodPlace, hostname: string, rootfs: string): object {
	const { annotations, linux } = config;
	return {
		ociVersion: '1.2.0',
		process: { user: { uid: 65535, gid: 65535 }, args: ['/pause'], env: [DEFAULT_PATH], cwd: '/', capabilities: {}, noNewPrivileges: true },
		root: { path: rootfs, readonly: true },
		hostname,
		mounts: [],
		annotations: { ...annotations, ...marks(config, 'sandbox', id), ...sums(linux?.resources) },
		linux: {
			cgroupsPath: groupOf(config, id),
			namespaces: [{ type: 'network', ...(netns !== '' && { path: netns }) }, ...['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type }))],
			resources: ociResources(linux?.overhead ?? {}),
			sysctl: linux?.sysctls ?? {},
		},
	};
}

/** Why a pod or a container can't have the namespaces that it asks for: they would be the host's. Null when it can. */
export function refusedNamespace({ network, pid, ipc }: runtime.v1.NamespaceOption.$Properties): string | null {
	if (network === NODE) return "hostNetwork is not honoured: a sandboxed pod has no network namespace of the host's";
	if (pid === NODE) return "hostPID is not honoured: a sandboxed pod has no PID namespace of the host's";
	if (ipc === NODE) return "hostIPC is not honoured: a sandboxed pod has no IPC namespace of the host's";
	return null;
}

/** The mounts by which a container has its pod's files (pod-files.ts). */
export function podMounts(files: string, isReadOnly: boolean): readonly Mount[] {
	const access = isReadOnly ? 'ro' : 'rw';
	return [
		...['hostname', 'hosts', 'resolv.conf'].map((name) => ({
			destination: `/etc/${name}`,
			type: 'bind',
			source: join(files, name),
			options: ['rbind', 'rprivate', access],
		})),
		{ destination: '/dev/shm', type: 'bind', source: join(files, 'shm'), options: ['rbind', 'rprivate', 'nosuid', 'nodev', 'noexec'] },
	];
}

/** How a pod and its containers find each other, and what Kubernetes calls them. */
export function marks({ metadata, logDirectory }: PodConfig, type: 'sandbox' | 'container', podId: string): Record<string, string> {
	return {
		'io.kubernetes.cri.container-type': type,
		'io.kubernetes.cri.sandbox-id': podId,
		'io.kubernetes.cri.sandbox-name': metadata?.name ?? '',
		'io.kubernetes.cri.sandbox-namespace': metadata?.namespace ?? '',
		'io.kubernetes.cri.sandbox-uid': metadata?.uid ?? '',
		'io.kubernetes.cri.sandbox-log-directory': logDirectory ?? '',
	};
}

/** What all containers of the pod may use, as containerd tells it; a virtual machine is made for that. */
function sums(resources: Resources | null | undefined): Record<string, string> {
	return {
		'io.kubernetes.cri.sandbox-cpu-period': `${resources?.cpuPeriod ?? 0}`,
		'io.kubernetes.cri.sandbox-cpu-quota': `${resources?.cpuQuota ?? 0}`,
		'io.kubernetes.cri.sandbox-cpu-shares': `${resources?.cpuShares ?? 0}`,
		'io.kubernetes.cri.sandbox-memory': `${resources?.memoryLimitInBytes ?? 0}`,
	};
}

/** POD is CRI's zero, which kubelet doesn't send unless the pod shares its processes; containers have their own by CONTAINER. */
export function sharesPids({ linux }: PodConfig): boolean {
	return (linux?.securityContext?.namespaceOptions?.pid ?? POD) === POD;
}

/** `resources` of config.json: what is 0 or '' was not given. */
export function ociResources(resources: Resources): object {
	const { cpuPeriod, cpuQuota, cpuShares, cpusetCpus, cpusetMems, memoryLimitInBytes, memorySwapLimitInBytes, hugepageLimits, unified } =
		resources;
	return {
		devices: [{ allow: false, access: 'rwm' }],
		cpu: {
			...(cpuPeriod ? { period: cpuPeriod } : {}),
			...(cpuQuota ? { quota: cpuQuota } : {}),
			...(cpuShares ? { shares: cpuShares } : {}),
			...(cpusetCpus ? { cpus: cpusetCpus } : {}),
			...(cpusetMems ? { mems: cpusetMems } : {}),
		},
		memory: {
			...(memoryLimitInBytes ? { limit: memoryLimitInBytes } : {}),
			...(memorySwapLimitInBytes ? { swap: memorySwapLimitInBytes } : {}),
		},
		hugepageLimits: (hugepageLimits ?? []).map(({ pageSize, limit }) => ({ pageSize, limit })),
		unified: unified ?? {},
	};
}
