// A pod of Kubernetes as CRI's messages: what kubelet makes of one.

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { cri } from '../../cri/client.js';
import { environmentOf, expand, type PodAddresses } from './environment.js';
import { containersOf, type Manifest } from './manifest.js';
import type { Container, Pod } from './pod.js';
import type { Volumes } from './volumes.js';

/** kubelet's labels and annotations, which other tools know too. */
export const LABELS = {
	podName: 'io.kubernetes.pod.name',
	podNamespace: 'io.kubernetes.pod.namespace',
	podUid: 'io.kubernetes.pod.uid',
	containerName: 'io.kubernetes.container.name',
} as const;
export const ANNOTATIONS = {
	/** The pod as it was asked for, in JSON: for `pod stop`, which has its hooks and its grace period from here. */
	pod: 'isopod.dev/pod',
	/** Folder of the pod's volumes: removed with it. */
	folder: 'isopod.dev/pod-folder',
	restartCount: 'io.kubernetes.container.restartCount',
} as const;

type SandboxConfig = cri.PodSandboxConfig.$Properties;
type ContainerConfig = cri.ContainerConfig.$Properties;
const { NamespaceMode, MountPropagation, Protocol, Signal, SupplementalGroupsPolicy } = cri;
const { ProfileType } = cri.SecurityProfile;

const CPU_PERIOD_US = 100_000;
const MIN_CPU_QUOTA_US = 1000;
const MIN_CPU_SHARES = 2;
const MAX_CPU_SHARES = 262_144;
/** What containers may not see of /proc, and what of it they may only read: Docker's and kubelet's lists. */
const MASKED_PATHS = [
	'/proc/asound',
	'/proc/acpi',
	'/proc/interrupts',
	'/proc/kcore',
	'/proc/keys',
	'/proc/latency_stats',
	'/proc/timer_list',
	'/proc/timer_stats',
	'/proc/sched_debug',
	'/proc/scsi',
	'/sys/firmware',
	'/sys/devices/virtual/powercap',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function namespaceOf({ metadata }: Pod): string {
	return metadata.namespace ?? 'default';
}

export function sandboxConfig(pod: Pod, uid: string, logDirectory: string, podFolder: string): SandboxConfig {
	const { metadata, spec } = pod;
	const { securityContext: security = {} } = spec;
	const isPrivileged = containersOf(pod).some(({ container }) => container.securityContext?.privileged === true);
	const dns = dnsOf(spec);
	return {
		metadata: { name: metadata.name, uid, namespace: namespaceOf(pod), attempt: 0 },
		hostname: spec.hostNetwork === true ? '' : hostnameOf(pod),
		logDirectory,
		...(dns === null ? {} : { dnsConfig: dns }),
		portMappings: containersOf(pod).flatMap(({ container: { ports = [] } }) =>
			ports
				// kubelet tells of the others too, which changes nothing.
				.filter(({ hostPort }) => hostPort !== undefined)
				.map(({ containerPort, hostPort, hostIP = '', protocol = 'TCP' }) => ({
					containerPort,
					hostPort: hostPort!,
					hostIp: hostIP,
					protocol: Protocol[protocol],
				})),
		),
		labels: {
			...metadata.labels,
			[LABELS.podName]: metadata.name,
			[LABELS.podNamespace]: namespaceOf(pod),
			[LABELS.podUid]: uid,
		},
		annotations: { ...metadata.annotations, [ANNOTATIONS.pod]: JSON.stringify(pod), [ANNOTATIONS.folder]: podFolder },
		linux: {
			sysctls: Object.fromEntries((security.sysctls ?? []).map(({ name, value }) => [name, value])),
			securityContext: {
				namespaceOptions: namespacesOf(spec),
				privileged: isPrivileged,
				supplementalGroups: [...groupsOf(spec)],
				supplementalGroupsPolicy: SupplementalGroupsPolicy[security.supplementalGroupsPolicy ?? 'Merge'],
				seccomp: profileOf(security.seccompProfile, ProfileType.RuntimeDefault),
				...(security.appArmorProfile === undefined ? {} : { apparmor: profileOf(security.appArmorProfile, ProfileType.RuntimeDefault) }),
				...(security.seLinuxOptions === undefined ? {} : { selinuxOptions: security.seLinuxOptions }),
				...(security.runAsUser === undefined ? {} : { runAsUser: { value: security.runAsUser } }),
				...(security.runAsGroup === undefined ? {} : { runAsGroup: { value: security.runAsGroup } }),
			},
		},
	};
}

function namespacesOf({ hostNetwork, hostPID, hostIPC, shareProcessNamespace }: Pod['spec']): cri.NamespaceOption.$Properties {
	return {
		network: hostNetwork === true ? NamespaceMode.NODE : NamespaceMode.POD,
		pid: hostPID === true ? NamespaceMode.NODE : shareProcessNamespace === true ? NamespaceMode.POD : NamespaceMode.CONTAINER,
		ipc: hostIPC === true ? NamespaceMode.NODE : NamespaceMode.POD,
	};
}

function groupsOf({ securityContext: { supplementalGroups = [], fsGroup } = {} }: Pod['spec']): readonly number[] {
	return fsGroup === undefined ? supplementalGroups : [...new Set([...supplementalGroups, fsGroup])];
}

/** The name that the pod has for itself: without a cluster there is no domain behind it. */
function hostnameOf({ metadata, spec }: Pod): string {
	return spec.hostname ?? metadata.name.split('.')[0]!.slice(0, 63);
}

/** Null for what the host has. */
function dnsOf({ dnsPolicy = 'ClusterFirst', dnsConfig }: Pod['spec']): cri.DNSConfig.$Properties | null {
	if (dnsConfig === undefined && dnsPolicy !== 'None') return null;
	const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
	const host = dnsPolicy === 'None' ? { servers: [], searches: [], options: [] } : hostDns();
	const unique = (values: readonly string[]): string[] => [...new Set(values)];
	const own = options.map(({ name, value }) => (value === undefined ? name : `${name}:${value}`));
	const names = new Set(options.map(({ name }) => name));
	return {
		servers: unique([...host.servers, ...nameservers]),
		searches: unique([...host.searches, ...searches]),
		options: [...host.options.filter((option) => !names.has(option.split(':')[0]!)), ...own],
	};
}

function hostDns(): { servers: string[]; searches: string[]; options: string[] } {
	let lines: string[][];
	try {
		lines = readFileSync('/etc/resolv.conf', 'utf8')
			.split('\n')
			.map((line) => line.trim().split(/\s+/));
	} catch {
		return { servers: [], searches: [], options: [] };
	}
	const values = (keyword: string): string[] => lines.filter(([first]) => first === keyword).flatMap(([, ...rest]) => rest);
	// The last search or domain line counts.
	const search =
		lines
			.filter(([first]) => first === 'search' || first === 'domain')
			.at(-1)
			?.slice(1) ?? [];
	return { servers: values('nameserver'), searches: search, options: values('options') };
}

/** kubelet's /etc/hosts: with the pod's own name and the aliases. */
export function hostsFile({ metadata, spec }: Pod, { podIps }: PodAddresses): string {
	const lines =
		spec.hostNetwork === true
			? [readFileSync('/etc/hosts', 'utf8').trimEnd()]
			: [
					'127.0.0.1\tlocalhost',
					'::1\tlocalhost ip6-localhost ip6-loopback',
					'fe00::0\tip6-localnet',
					'fe00::0\tip6-mcastprefix',
					'fe00::1\tip6-allnodes',
					'fe00::2\tip6-allrouters',
					...podIps.map((ip) => `${ip}\t${hostnameOf({ metadata, spec } as Pod)}`),
				];
	for (const { ip, hostnames } of spec.hostAliases ?? []) lines.push(`${ip}\t${hostnames.join('\t')}`);
	return `${lines.join('\n')}\n`;
}

function profileOf(profile: { type: string; localhostProfile?: string } | undefined, otherwise: number): cri.SecurityProfile.$Properties {
	if (profile === undefined) return { profileType: otherwise };
	const { type, localhostProfile = '' } = profile;
	return { profileType: ProfileType[type as keyof typeof ProfileType], localhostRef: type === 'Localhost' ? localhostProfile : '' };
}

export interface ContainerPlace {
	readonly manifest: Manifest;
	readonly uid: string;
	readonly addresses: PodAddresses;
	readonly volumes: Volumes;
	/** How often it ran before. */
	readonly attempt: number;
	/** The host's files for /etc/hosts and for the message at its end. */
	readonly hosts: string;
	readonly terminationLog: string;
}

/** Throws HostError for a volume that can't be used. */
export function containerConfig(container: Container, place: ContainerPlace): ContainerConfig {
	const { manifest, uid, attempt, volumes } = place;
	const { pod } = manifest;
	const environment = environmentOf(container, manifest, place.addresses);
	const expanded = (words: readonly string[] = []): string[] => words.map((word) => expand(word, environment));
	const mounts: cri.Mount.$Properties[] = (container.volumeMounts ?? []).map((mount) => {
		const subPath = mount.subPathExpr === undefined ? mount.subPath : expand(mount.subPathExpr, environment);
		const isRecursive = mount.recursiveReadOnly === 'Enabled';
		return {
			containerPath: mount.mountPath,
			hostPath: volumes.pathOf(mount.name, subPath),
			readonly: mount.readOnly ?? isWrittenByUs(pod, mount.name),
			recursiveReadOnly: isRecursive,
			propagation:
				MountPropagation[
					(
						{
							None: 'PROPAGATION_PRIVATE',
							HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
							Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
						} as const
					)[mount.mountPropagation ?? 'None']
				],
		};
	});
	const isMounted = (path: string): boolean => mounts.some(({ containerPath }) => containerPath === path);
	if (!isMounted('/etc/hosts')) mounts.push({ containerPath: '/etc/hosts', hostPath: place.hosts });
	const terminationPath = container.terminationMessagePath ?? '/dev/termination-log';
	if (!isMounted(terminationPath)) mounts.push({ containerPath: terminationPath, hostPath: place.terminationLog });
	const { stopSignal } = container.lifecycle ?? {};
	return {
		metadata: { name: container.name, attempt },
		image: { image: container.image, userSpecifiedImage: container.image },
		command: expanded(container.command),
		args: expanded(container.args),
		workingDir: container.workingDir ?? '',
		envs: [...environment].map(([key, value]) => ({ key, value })),
		mounts,
		labels: {
			[LABELS.containerName]: container.name,
			[LABELS.podName]: pod.metadata.name,
			[LABELS.podNamespace]: namespaceOf(pod),
			[LABELS.podUid]: uid,
		},
		annotations: { [ANNOTATIONS.restartCount]: `${attempt}` },
		logPath: `${container.name}/${attempt}.log`,
		stdin: container.stdin ?? false,
		stdinOnce: container.stdinOnce ?? false,
		tty: container.tty ?? false,
		linux: { resources: resourcesOf(container, pod), securityContext: securityOf(container, pod) },
		...(stopSignal === undefined
			? {}
			: { stopSignal: Signal[stopSignal.replace('+', 'PLUS').replace(/^(SIGRTMAX)-/, '$1MINUS') as keyof typeof Signal] ?? 0 }),
	};
}

/** Volumes of the pod's data are read-only in its containers. */
function isWrittenByUs({ spec }: Pod, name: string): boolean {
	const volume = spec.volumes?.find((one) => one.name === name);
	return volume !== undefined && volume.emptyDir === undefined && volume.hostPath === undefined;
}

function securityOf(container: Container, { spec }: Pod): cri.LinuxContainerSecurityContext.$Properties {
	const { securityContext: own = {} } = container;
	const { securityContext: shared = {} } = spec;
	const isPrivileged = own.privileged ?? false;
	const user = own.runAsUser ?? shared.runAsUser;
	const group = own.runAsGroup ?? shared.runAsGroup;
	const isUnmasked = isPrivileged || own.procMount === 'Unmasked';
	const appArmor = own.appArmorProfile ?? shared.appArmorProfile;
	const seLinux = own.seLinuxOptions ?? shared.seLinuxOptions;
	const capabilities = (names: readonly string[] = []): string[] => names.map((name) => name.replace(/^CAP_/, ''));
	return {
		capabilities: { addCapabilities: capabilities(own.capabilities?.add), dropCapabilities: capabilities(own.capabilities?.drop) },
		privileged: isPrivileged,
		namespaceOptions: namespacesOf(spec),
		...(user === undefined ? {} : { runAsUser: { value: user } }),
		...(group === undefined ? {} : { runAsGroup: { value: group } }),
		...(appArmor === undefined ? {} : { apparmor: profileOf(appArmor, ProfileType.RuntimeDefault) }),
		...(seLinux === undefined ? {} : { selinuxOptions: seLinux }),
		readonlyRootfs: own.readOnlyRootFilesystem ?? false,
		supplementalGroups: [...groupsOf(spec)],
		supplementalGroupsPolicy: SupplementalGroupsPolicy[shared.supplementalGroupsPolicy ?? 'Merge'],
		noNewPrivs: own.allowPrivilegeEscalation === false,
		maskedPaths: isUnmasked ? [] : MASKED_PATHS,
		readonlyPaths: isUnmasked ? [] : READONLY_PATHS,
		seccomp: profileOf(own.seccompProfile ?? shared.seccompProfile, isPrivileged ? ProfileType.Unconfined : ProfileType.RuntimeDefault),
	};
}

/** kubelet's arithmetic: a CPU is 1024 shares, or the whole of a period. */
function resourcesOf(container: Container, pod: Pod): cri.LinuxContainerResources.$Properties {
	const { limits = {}, requests = {} } = container.resources ?? {};
	const cpu = requests.cpu ?? limits.cpu;
	return {
		cpuShares: cpu === undefined ? MIN_CPU_SHARES : Math.min(Math.max(Math.floor(cpu * 1024), MIN_CPU_SHARES), MAX_CPU_SHARES),
		...(limits.cpu === undefined || limits.cpu === 0
			? {}
			: { cpuPeriod: CPU_PERIOD_US, cpuQuota: Math.max(Math.ceil(limits.cpu * CPU_PERIOD_US), MIN_CPU_QUOTA_US) }),
		...(limits.memory === undefined ? {} : { memoryLimitInBytes: Math.ceil(limits.memory) }),
		oomScoreAdj: oomScoreOf(container, pod),
	};
}

/** By the pod's quality of service: -997 when all is guaranteed, 1000 when nothing is asked for, else by the share of the host's memory. */
function oomScoreOf({ resources }: Container, pod: Pod): number {
	const all = containersOf(pod).map(({ container }) => container.resources ?? {});
	const isEqual = (kind: 'cpu' | 'memory'): boolean =>
		all.every(({ limits, requests }) => limits?.[kind] !== undefined && (requests?.[kind] ?? limits[kind]) === limits[kind]);
	if (isEqual('cpu') && isEqual('memory')) return -997;
	const isBestEffort = all.every(({ limits = {}, requests = {} }) =>
		[limits.cpu, limits.memory, requests.cpu, requests.memory].every((value) => value === undefined || value === 0),
	);
	if (isBestEffort) return 1000;
	const memory = resources?.requests?.memory ?? resources?.limits?.memory ?? 0;
	return Math.min(Math.max(Math.floor(1000 - (1000 * memory) / totalmem()), 3), 999);
}
