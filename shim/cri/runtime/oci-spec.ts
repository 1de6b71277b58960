import { readFileSync } from 'node:fs';
import { isAbsolute, normalize } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { runtime } from '../../../proto/generated/cri.js';
import { CAP_NAMES } from '../../../runtime/oci/names.js';
import type { ImageConfig } from '../../image/manifest.js';
import { cri } from '../methods.js';
import { CriError, invalid } from '../server/cri-error.js';
import {
	DEFAULT_PATH,
	groupOf,
	type Mount,
	marks,
	ociResources,
	type PodPlace,
	podMounts,
	refusedNamespace,
	sharesPids,
} from './pod-spec.js';
import { seccompOf } from './seccomp-profile.js';
import type { User } from './users.js';

type PodConfig = runtime.v1.PodSandboxConfig.$Properties;
type ContainerConfig = runtime.v1.ContainerConfig.$Properties;
type CapabilitySet = 'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient';
type NamespaceOption = runtime.v1.NamespaceOption.$Properties;
type IdMapping = runtime.v1.IDMapping.$Properties;

const DEFAULT_CAPABILITIES = [
	...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP'],
	...['NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
].map((name) => `CAP_${name}`);

/** What every container has mounted, unless its own mounts have something at the same place. */
const MOUNTS = [
	{ destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
	{ destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
	{
		destination: '/dev/pts',
		type: 'devpts',
		source: 'devpts',
		options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
	},
	{ destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
	{ destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
	{ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
];

/**
 * config.json of a container, by CRI's rules. Throws CriError (INVALID_ARGUMENT) for what makes no sense or can't be had in a sandbox. `targetPid` is the first process of the container whose
 * PID namespace it joins, if it joins one.
 */
export function containerSpec(
	id: string,
	pod: PodPlace,
	config: ContainerConfig,
	image: ImageConfig['config'],
	user: User,
	rootfs: string,
	targetPid: number,
): object {
	const security = config.linux?.securityContext;
	const isReadOnly = security?.readonlyRootfs ?? false;
	const isPrivileged = security?.privileged ?? false;
	const capabilities = capabilitiesOf(isPrivileged ? { addCapabilities: ['ALL'] } : (security?.capabilities ?? {}));
	const seccomp = isPrivileged ? null : seccompOf(security, capabilities.bounding);
	return {
		ociVersion: '1.2.0',
		process: {
			terminal: config.tty ?? false,
			user: { uid: user.uid, gid: user.gid, additionalGids: user.groups },
			args: commandOf(config, image),
			env: environmentOf(config, image, pod, user),
			cwd: workingDir(config, image),
			capabilities,
			noNewPrivileges: security?.noNewPrivs ?? false,
			oomScoreAdj: allowedOomScore(config.linux?.resources?.oomScoreAdj ?? 0),
		},
		root: { path: rootfs, readonly: isReadOnly },
		mounts: mountsOf(config, pod, isReadOnly, isPrivileged),
		annotations: {
			...config.annotations,
			...marks(pod.config, 'container', pod.id),
			'io.kubernetes.cri.container-name': config.metadata?.name ?? '',
		},
		linux: {
			cgroupsPath: groupOf(pod.config, id),
			namespaces: namespacesOf(security?.namespaceOptions ?? {}, pod, targetPid),
			resources: ociResources(config.linux?.resources ?? {}),
			maskedPaths: isPrivileged ? [] : (security?.maskedPaths ?? []),
			readonlyPaths: isPrivileged ? [] : (security?.readonlyPaths ?? []),
			...(seccomp !== null && { seccomp }),
		},
	};
}

/** CNI_ARGS is a list NAME=VALUE;… in an environment variable. Kubernetes' names have 253 characters at most. */
const ARGUMENT = /^[^\p{Cc};=]{0,253}$/u;
/** As sethostname(2) takes it, but for what would not be one line of /etc/hosts. */
const HOSTNAME = /^[\w.-]{0,64}$/;
const WORD = /^[^\s\p{Cc}]{1,255}$/u;

/** Something that came from a client, in a message. */
function quote(text: string | null | undefined): string {
	return JSON.stringify((text ?? '').slice(0, 64));
}

/** Refuses what a sandbox doesn't give: the host's namespaces, its devices, its security modules. Throws CriError. */
export function checkPod(config: PodConfig, allowPrivileged: boolean): void {
	const security = config.linux?.securityContext;
	const { name, uid, namespace } = config.metadata ?? {};
	if (!name || !uid) throw invalid('the pod has no name or uid in its metadata');
	// They are arguments of network plugins.
	for (const [field, text] of Object.entries({ name, uid, namespace }))
		if (!ARGUMENT.test(text ?? ''))
			throw invalid(`the pod's ${field} ${quote(text)} has characters that no ${field} has, or too many of them`);
	if (!HOSTNAME.test(config.hostname ?? '')) throw invalid(`${quote(config.hostname)} is no hostname`);
	const { servers, searches, options } = config.dnsConfig ?? {};
	for (const word of [...(servers ?? []), ...(searches ?? []), ...(options ?? [])])
		if (!WORD.test(word)) throw invalid(`${quote(word)} is no word of a resolv.conf`);
	checkNamespaces(security?.namespaceOptions ?? {});
	if (security?.privileged === true && !allowPrivileged) throw invalid(PRIVILEGED);
}

/** `allowPrivileged` is runtime.allow_privileged of the configuration. Throws CriError. */
export function checkContainer(config: ContainerConfig, allowPrivileged: boolean): void {
	const security = config.linux?.securityContext;
	if (!config.metadata?.name) throw invalid('the container has no name in its metadata');
	if (!config.image?.image) throw invalid(`the container ${config.metadata.name} has no image`);
	checkNamespaces(security?.namespaceOptions ?? {});
	if (security?.privileged === true && !allowPrivileged) throw invalid(PRIVILEGED);
	if (security?.runAsGroup != null && security.runAsUser == null && !security.runAsUsername)
		throw invalid('runAsGroup is given without runAsUser or runAsUsername');
	for (const { hostPath } of config.devices ?? []) throw invalid(`the host's device ${hostPath} is not given to a sandboxed container`);
	for (const { name } of config.CDIDevices ?? []) throw invalid(`the CDI device ${name} is not given to a sandboxed container`);
	const apparmor = security?.apparmor;
	if (apparmor?.profileType === cri.SecurityProfile.ProfileType.Localhost)
		throw invalid(
			`the AppArmor profile ${apparmor.localhostRef} is not honoured: the host's security modules don't see a sandbox's system calls`,
		);
}

const PRIVILEGED = 'a privileged container is not allowed on this node (runtime.allow_privileged)';

function checkNamespaces(wanted: NamespaceOption): void {
	const refused = refusedNamespace(wanted);
	if (refused !== null) throw invalid(refused);
	const { usernsOptions } = wanted;
	// Every sandbox has a range of host ids of its own, so hostUsers: false is so anyway, with a range that the sandbox picks.
	if (
		usernsOptions?.mode === cri.NamespaceMode.POD &&
		[...(usernsOptions.uids ?? []), ...(usernsOptions.gids ?? [])].some(({ containerId }) => containerId !== 0)
	)
		throw invalid("a user namespace whose ids don't begin at 0 is not honoured");
}

function commandOf({ command, args }: ContainerConfig, { entrypoint, cmd }: ImageConfig['config']): string[] {
	const isOwn = (command ?? []).length > 0;
	const words = isOwn ? [...command!, ...(args ?? [])] : [...entrypoint, ...((args ?? []).length > 0 ? args! : cmd)];
	if (words.length === 0) throw invalid('neither the container nor its image has a command');
	return words;
}

function workingDir({ workingDir }: ContainerConfig, image: ImageConfig['config']): string {
	const folder = workingDir || image.workingDir || '/';
	if (!isAbsolute(folder)) throw invalid(`the working folder ${JSON.stringify(folder)} is not absolute`);
	return folder;
}

/** The image's variables, those of the container in their place or after them. */
function environmentOf(config: ContainerConfig, image: ImageConfig['config'], pod: PodPlace, user: User): string[] {
	const variables = new Map<string, string>();
	const set = (text: string): void => {
		variables.set(text.split('=', 1)[0]!, text);
	};
	set(DEFAULT_PATH);
	if (config.tty === true) set('TERM=xterm');
	set(`HOSTNAME=${pod.config.hostname ?? ''}`);
	if (user.home !== '') set(`HOME=${user.home}`);
	for (const text of image.env) set(text);
	for (const { key, value } of config.envs ?? []) set(`${key}=${value ?? ''}`);
	return [...variables.values()].filter((text) => text.indexOf('=') > 0);
}

function capabilitiesOf({
	addCapabilities,
	dropCapabilities,
	addAmbientCapabilities,
}: runtime.v1.Capability.$Properties): Readonly<Record<CapabilitySet, readonly string[]>> {
	const full = (names: readonly string[] | null | undefined): string[] =>
		(names ?? []).map((name) => {
			const upper = name.toUpperCase();
			return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
		});
	const add = full(addCapabilities);
	const drop = full(dropCapabilities);
	const ambient = full(addAmbientCapabilities);
	for (const name of [...add, ...drop, ...ambient])
		if (name !== 'ALL' && !CAP_NAMES.has(name)) throw invalid(`no capability is called ${name}`);
	const all = [...CAP_NAMES.keys()];
	let kept = add.includes('ALL') ? all : DEFAULT_CAPABILITIES;
	if (drop.includes('ALL')) kept = [];
	const result = [...new Set([...kept, ...add.filter((name) => name !== 'ALL'), ...ambient])].filter((name) => !drop.includes(name));
	const isAmbient = ambient.length > 0;
	return { bounding: result, effective: result, permitted: result, inheritable: isAmbient ? ambient : [], ambient };
}

function mountsOf(config: ContainerConfig, { files, config: podConfig }: PodPlace, isReadOnly: boolean, isPrivileged: boolean): object[] {
	const usernsOptions = podConfig.linux?.securityContext?.namespaceOptions?.usernsOptions;
	const own = (config.mounts ?? []).map((mount) => mountOf(mount, usernsOptions ?? {}));
	const taken = new Set(own.map(({ destination }) => destination));
	const standard = isPrivileged
		? MOUNTS.map((mount) => ({ ...mount, options: mount.options.filter((option) => option !== 'ro') }))
		: MOUNTS;
	const mounts = [...standard, ...podMounts(files, isReadOnly)].filter(({ destination }) => !taken.has(destination));
	// What is mounted on a folder comes before what is mounted below it.
	own.sort((a, b) => a.destination.split('/').length - b.destination.split('/').length);
	return [...mounts, ...own];
}

/** `userns` is the pod's user namespace. */
function mountOf(mount: runtime.v1.Mount.$Properties, userns: runtime.v1.UserNamespace.$Properties): Mount {
	const { containerPath, hostPath, readonly, recursiveReadOnly, propagation, uidMappings, gidMappings, image } = mount;
	if (image?.image) throw new CriError(status.UNIMPLEMENTED, `the image ${image.image} can't be mounted`);
	if (!containerPath || !isAbsolute(containerPath)) throw invalid(`the mount of ${hostPath} has no absolute path in the container`);
	if (!hostPath || !isAbsolute(hostPath)) throw invalid(`the mount at ${containerPath} has no absolute path of the host`);
	// kubelet gives a volume its pod's mapping so that files have the ids inside which they have on the host. So it is for any sandbox.
	if (!isMappingOf(uidMappings, userns.uids) || !isMappingOf(gidMappings, userns.gids))
		throw invalid(`the mount at ${containerPath} maps ids otherwise than its pod, which is not honoured`);
	const { PROPAGATION_BIDIRECTIONAL, PROPAGATION_HOST_TO_CONTAINER } = cri.MountPropagation;
	if (propagation === PROPAGATION_BIDIRECTIONAL)
		throw invalid(`the mount at ${containerPath} can't be Bidirectional: no mount leaves a sandbox`);
	if (recursiveReadOnly === true && (readonly !== true || (propagation ?? 0) !== 0))
		throw invalid(`the mount at ${containerPath} is recursive_read_only without being readonly and private`);
	return {
		destination: normalize(containerPath).replace(/(?<=.)\/$/, ''),
		type: 'bind',
		source: hostPath,
		options: [
			'rbind',
			propagation === PROPAGATION_HOST_TO_CONTAINER ? 'rslave' : 'rprivate',
			recursiveReadOnly === true ? 'rro' : readonly === true ? 'ro' : 'rw',
		],
	};
}

/** Whether a mount's mapping is none at all, or its pod's. */
function isMappingOf(mapping: readonly IdMapping[] | null | undefined, pods: readonly IdMapping[] | null | undefined): boolean {
	const text = (ranges: readonly IdMapping[] | null | undefined): string =>
		(ranges ?? []).map(({ hostId, containerId, length }) => `${hostId ?? 0} ${containerId ?? 0} ${length ?? 0}`).join();
	return (mapping ?? []).length === 0 || text(mapping) === text(pods);
}

function namespacesOf({ pid: mode }: NamespaceOption, { pid, netns, config }: PodPlace, targetPid: number): object[] {
	const of = (type: string): string => `/proc/${pid}/ns/${type}`;
	const { POD, TARGET } = cri.NamespaceMode;
	// A pod that doesn't share its processes has no PID namespace to join.
	const path = (mode ?? POD) === POD ? (sharesPids(config) ? of('pid') : '') : mode === TARGET ? `/proc/${targetPid}/ns/pid` : '';
	return [
		{ type: 'network', path: netns },
		{ type: 'ipc', path: of('ipc') },
		{ type: 'uts', path: of('uts') },
		{ type: 'pid', ...(path !== '' && { path }) },
		{ type: 'mount' },
	];
}

/** kubelet asks for negative scores, which take CAP_SYS_RESOURCE: without it a container has the server's own at least (containerd's restrict_oom_score_adj). */
function allowedOomScore(wanted: number): number {
	const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'}`);
	if ((capabilities >> CAP_SYS_RESOURCE) % 2n === 1n) return wanted;
	return Math.max(wanted, Number(readFileSync('/proc/self/oom_score_adj', 'latin1')));
}

const CAP_SYS_RESOURCE = 24n;
