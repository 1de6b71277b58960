import type { isopod } from '../../../proto/generated/agent.js';
import { settingsV2 } from '../../oci/cgroup/cgroup-settings.js';
import type { Config, MountConfig, ProcessConfig, PropagationConfig } from '../../oci/config.js';
import { CAP_NAMES } from '../../oci/names.js';
import type { Resources } from '../../oci/resources.js';
import { ConfigError } from '../../oci/section.js';

/** mount(2). */
const PROPAGATION_FLAGS = { unbindable: 1 << 17, private: 1 << 18, slave: 1 << 19, shared: 1 << 20 } as const;
const MS_REC = 1 << 14;

const CAPABILITIES = [...CAP_NAMES];

/**
 * A container's or an exec's program, as the agent is told. `streams`: which of stdin, stdout and stderr are there; `filter`: its seccomp filter, empty for
 * none. Throws ConfigError for what the agent can't do.
 */
export function programSpec(
	number: number,
	process: ProcessConfig,
	streams: readonly boolean[],
	filter: Uint8Array,
): isopod.agent.IProgram {
	const { user, capabilities } = process;
	if (process.scheduler !== null) throw new ConfigError('process.scheduler', 'is not honoured in virtual machines');
	if (process.ioPriority !== null) throw new ConfigError('process.ioPriority', 'is not honoured in virtual machines');
	const set = (names: readonly string[]): number => capabilityMask(names);
	return {
		number,
		arguments: [...process.args],
		environment: [...process.env],
		cwd: process.cwd,
		uid: user.uid,
		gid: user.gid,
		groups: [...user.additionalGids],
		umask: user.umask,
		bounding: set(capabilities.bounding),
		effective: set(capabilities.effective),
		inheritable: set(capabilities.inheritable),
		permitted: set(capabilities.permitted),
		ambient: set(capabilities.ambient),
		resourceLimits: process.rlimits.map(({ resource, soft, hard }) => ({ resource, soft: limitValue(soft), hard: limitValue(hard) })),
		noNewPrivileges: process.noNewPrivileges,
		hasOomScore: process.oomScoreAdj !== null,
		oomScore: process.oomScoreAdj ?? 0,
		hasTerminal: process.terminal,
		rows: process.consoleSize.height,
		columns: process.consoleSize.width,
		hasStdin: streams[0] ?? false,
		hasStdout: streams[1] ?? false,
		hasStderr: streams[2] ?? false,
		filter,
	};
}

function capabilityMask(names: readonly string[]): number {
	return [...new Set(names)].reduce((mask, name) => mask + 2 ** CAPABILITIES.indexOf(name), 0);
}

/** RLIM_INFINITY has all bits set, as -1 has on the wire. */
function limitValue(value: number): number {
	return Number.isFinite(value) ? value : -1;
}

/** Where a container's root is in the share. */
export function rootName(id: string): string {
	return `${id}.root`;
}

/** What the agent is told of a container whose trees are attached to the share; `volumes` are those of its bind mounts. Throws ConfigError for what it can't do. */
export function containerSpec(
	config: Config,
	id: string,
	volumes: readonly string[],
	program: isopod.agent.IProgram,
): isopod.agent.ICreateContainer {
	if (config.hooks.startContainer.length > 0) throw new ConfigError('hooks.startContainer', 'is not honoured in virtual machines');
	const sources = volumes.values();
	return {
		containerId: id,
		root: rootName(id),
		isRootReadonly: config.root.readonly,
		mounts: config.mounts.map((mount) => mountSpec(mount, mount.type === 'bind' ? sources.next().value! : '')),
		program,
		hostname: config.hostname,
		domainname: config.domainname,
		rootPropagation: propagationFlags(config.linux.rootPropagation),
		maskedPaths: [...config.linux.maskedPaths],
		readonlyPaths: [...config.linux.readonlyPaths],
		devices: config.linux.devices.map((device) => ({ ...device })),
		limits: { settings: limitSettings(config.linux.resources) },
	};
}

function mountSpec(mount: MountConfig, source: string): isopod.agent.IMount {
	const { destination, type, flags } = mount;
	const propagation = mount.propagation.map(propagationFlags);
	if (type === 'bind') return { destination, type, source, flags, propagation };
	return { destination, type: type === 'cgroup' ? 'cgroup2' : type, flags, data: mountData(mount), propagation };
}

/** MS_* bits of mount(2). */
function propagationFlags({ type, isRecursive }: PropagationConfig): number {
	return PROPAGATION_FLAGS[type] | (isRecursive ? MS_REC : 0);
}

/** Options of the file system's own, as mount(2) takes them. */
function mountData({ type, sizeBytes, inodes, mode, uid, gid, ptmxMode, max }: MountConfig): string {
	if (type === 'tmpfs') {
		const size = sizeBytes === null ? [] : [`size=${sizeBytes}`];
		// Infinity is tmpfs' own 0.
		const files = inodes === null ? [] : [`nr_inodes=${Number.isFinite(inodes) ? inodes : 0}`];
		return [...size, ...files, ...(mode === null ? [] : [`mode=${mode.toString(8)}`]), `uid=${uid}`, `gid=${gid}`].join(',');
	}
	if (type !== 'devpts') return '';
	const owner = [...(uid < 0 ? [] : [`uid=${uid}`]), ...(gid < 0 ? [] : [`gid=${gid}`])];
	return [
		'newinstance',
		`ptmxmode=${ptmxMode.toString(8)}`,
		...(mode === null ? [] : [`mode=${mode.toString(8)}`]),
		...owner,
		...(max === null ? [] : [`max=${max}`]),
	].join(',');
}

/** A container's limits inside of its machine. What the guest's kernel has no controller for is the host's to limit. */
export function limitSettings(resources: Resources): isopod.agent.ISetting[] {
	return settingsV2(resources)
		.filter(({ controller }) => GUEST_CONTROLLERS.has(controller))
		.map(({ file, value }) => ({ file, value }));
}

const GUEST_CONTROLLERS = new Set(['cpu', 'memory', 'pids']);
