import { totalmem } from 'node:os';
import { isAbsolute } from 'node:path';
import { parseTmpfsOptions } from '../kernel/fs/tmpfs/tmp-options.js';
import { type Hooks, parseHooks } from './hooks.js';
import { type MountIdMappings, parseMountIdMappings } from './id-mappings.js';
import { CAP_NAMES, RLIMIT_NAMES } from './names.js';
import { NO_RESOURCES, parseResources, type Resources } from './resources.js';
import { parseIoPriority, parseScheduler, type SchedulerConfig } from './scheduling.js';
import { parseSeccomp, type SeccompProfile } from './seccomp.js';
import { ConfigError, Section } from './section.js';

export { ConfigError };

/** Mount flags, mount(2); the same numbers as the guest kernel's. */
const PLAIN_FLAGS: readonly (readonly [string, { readonly set: number; readonly clear: number }])[] = [
	['ro', { set: 1, clear: 0 }],
	['rw', { set: 0, clear: 1 }],
	['nosuid', { set: 2, clear: 0 }],
	['suid', { set: 0, clear: 2 }],
	['nodev', { set: 4, clear: 0 }],
	['dev', { set: 0, clear: 4 }],
	['noexec', { set: 8, clear: 0 }],
	['exec', { set: 0, clear: 8 }],
	['noatime', { set: 1024, clear: 1 << 21 }],
	['nodiratime', { set: 2048, clear: 0 }],
	['relatime', { set: 1 << 21, clear: 1024 }],
	['strictatime', { set: 0, clear: (1 << 21) | 1024 }],
	['defaults', { set: 0, clear: 0 }],
	['atime', { set: 0, clear: 1024 }],
	['diratime', { set: 0, clear: 2048 }],
	['norelatime', { set: 0, clear: 1 << 21 }],
	['nostrictatime', { set: 0, clear: 0 }],
	['nosymfollow', { set: 256, clear: 0 }],
	['symfollow', { set: 0, clear: 256 }],
];
/** Each also with what is mounted below ("rro"): a tree that is bound is one mount inside, and its flags hold for all of it. */
export const MOUNT_FLAGS: ReadonlyMap<string, { readonly set: number; readonly clear: number }> = new Map(
	PLAIN_FLAGS.flatMap(([name, flag]) =>
		name === 'defaults'
			? [[name, flag]]
			: [
					[name, flag],
					[`r${name}`, flag],
				],
	),
);

/** Options that ask for what is so anyway: the opposites of flags that are refused, and how loudly the host's kernel logs. */
const NO_DIFFERENCE = new Set(['async', 'loud', 'silent', 'nolazytime', 'noiversion', 'nomand']);
/** How a mount propagates inside the container; nothing goes out to the host or comes in from it. With an "r" before it: all that is mounted below, too. */
const PROPAGATION_TYPES = ['private', 'shared', 'slave', 'unbindable'] as const;
export const PROPAGATION_OPTIONS: readonly string[] = PROPAGATION_TYPES.flatMap((type) => [type, `r${type}`]);
/** That the ids of a bind mount's files are mapped, and those of what is mounted below. */
export const ID_MAP_OPTIONS: readonly string[] = ['idmap', 'ridmap'];
/** Highest user and group id: each pod has this many of the host's, less one. */
const MAX_ID = 65535;
/** Rows and columns: struct winsize has 16 bits for each. */
const MAX_CONSOLE_SIZE = 65535;

export interface UserConfig {
	readonly uid: number;
	readonly gid: number;
	readonly umask: number;
	readonly additionalGids: readonly number[];
}

export interface RlimitConfig {
	/** RLIMIT_* number. */
	readonly resource: number;
	/** `Infinity` is unlimited. */
	readonly soft: number;
	readonly hard: number;
}

export interface ProcessConfig {
	readonly terminal: boolean;
	/** The terminal's size in characters; zeros: not given. */
	readonly consoleSize: { readonly height: number; readonly width: number };
	readonly user: UserConfig;
	readonly args: readonly string[];
	readonly env: readonly string[];
	readonly cwd: string;
	readonly capabilities: Readonly<Record<'bounding' | 'effective' | 'inheritable' | 'permitted' | 'ambient', readonly string[]>>;
	readonly rlimits: readonly RlimitConfig[];
	readonly noNewPrivileges: boolean;
	/** null leaves it as it is. */
	readonly oomScoreAdj: number | null;
	readonly scheduler: SchedulerConfig | null;
	/** As ioprio_set(2) takes it; null leaves it as it is. */
	readonly ioPriority: number | null;
}

/** A change of how a mount propagates, mount_namespaces(7). */
export interface PropagationConfig {
	readonly type: (typeof PROPAGATION_TYPES)[number];
	readonly isRecursive: boolean;
}

export interface MountConfig {
	readonly destination: string;
	readonly type: 'proc' | 'tmpfs' | 'sysfs' | 'devpts' | 'mqueue' | 'cgroup' | 'bind';
	readonly source: string;
	/** MS_* bits. */
	readonly flags: number;
	readonly isRecursive: boolean;
	/** tmpfs: size in bytes and number of files (Infinity: no bound; null: not said), mode, owner. devpts: mode and owner of terminals, -1 for who opens them. */
	readonly sizeBytes: number | null;
	readonly inodes: number | null;
	readonly mode: number | null;
	readonly uid: number;
	readonly gid: number;
	/** devpts: permission bits of ptmx, and how many terminals there may be; null: as many as there can be. */
	readonly ptmxMode: number;
	readonly max: number | null;
	/** Applied in this order once it is mounted. */
	readonly propagation: readonly PropagationConfig[];
	/** Ids of a bind mount's files that are others than the stored ones; null: the same. */
	readonly idMappings: MountIdMappings | null;
}

/** A device node: one of those that the guest kernel has. */
export interface DeviceConfig {
	readonly path: string;
	readonly major: number;
	readonly minor: number;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}

/** A config.json (OCI runtime-spec 1.2) of which everything is either understood or was refused. */
export interface Config {
	readonly ociVersion: string;
	readonly process: ProcessConfig;
	readonly root: { readonly path: string; readonly readonly: boolean };
	readonly hostname: string;
	readonly domainname: string;
	readonly mounts: readonly MountConfig[];
	readonly annotations: Readonly<Record<string, string>>;
	readonly hooks: Hooks;
	readonly linux: {
		/** Types of the namespaces that are listed: of its own, or by path. */
		readonly namespaces: ReadonlySet<string>;
		/** Path of the network namespace to join, or null for a new one. */
		readonly networkNamespace: string | null;
		/** rootfsPropagation. */
		readonly rootPropagation: PropagationConfig;
		readonly maskedPaths: readonly string[];
		readonly readonlyPaths: readonly string[];
		/** '' leaves it to the runtime. */
		readonly cgroupsPath: string;
		readonly resources: Resources;
		readonly devices: readonly DeviceConfig[];
		/** Namespaces of its pod to join, by path. */
		readonly joined: Readonly<Partial<Record<SharedNamespace, string>>>;
		/** Of the container's network namespace: "net.…" and value. */
		readonly sysctl: Readonly<Record<string, string>>;
		readonly seccomp: SeccompProfile | null;
	};
}

/** Checks a parsed config.json whole. Throws ConfigError naming the field: malformed, or valid but not honoured by this version. */
export function parseConfig(value: unknown): Config {
	const config = new Section(value, '');
	const ociVersion = config.string('ociVersion');
	if (!/^1\.\d+\.\d+/.test(ociVersion)) throw new ConfigError('ociVersion', `want 1.x.y, got ${JSON.stringify(ociVersion)}`);
	const root = config.section('root');
	const linux = config.optionalSection('linux');
	config.refuse('solaris').refuse('windows').refuse('vm').refuse('zos');
	const rootPath = root.string('path');
	if (rootPath === '') throw new ConfigError('root.path', 'want the path of a directory');
	const result: Config = {
		ociVersion,
		process: parseProcess(config.section('process')),
		root: { path: rootPath, readonly: root.boolean('readonly', false) },
		hostname: config.string('hostname', 'isopod'),
		domainname: config.string('domainname', '(none)'),
		mounts: config.sections('mounts').map(parseMount),
		annotations: config.strings('annotations'),
		hooks: parseHooks(config.optionalSection('hooks')),
		linux: parseLinux(linux ?? new Section({}, 'linux')),
	};
	root.end();
	config.end();
	return result;
}

/** Checks a `process` object: config.json's, or an exec's. */
export function parseProcess(process: Section): ProcessConfig {
	const user = process.section('user');
	const capabilities = process.optionalSection('capabilities');
	const set = (name: string): string[] => {
		const names = capabilities?.list(name) ?? [];
		for (const capability of names)
			if (!CAP_NAMES.has(capability)) throw new ConfigError(`process.capabilities.${name}`, `no capability is called ${capability}`);
		return names;
	};
	const args = process.list('args');
	if (args.length === 0) throw new ConfigError('process.args', 'process args cannot be empty');
	const env = process.list('env');
	for (const variable of env)
		if (variable.indexOf('=') < 1) throw new ConfigError('process.env', `want NAME=VALUE, got ${JSON.stringify(variable)}`);
	const cwd = process.string('cwd');
	if (!isAbsolute(cwd)) throw new ConfigError('process.cwd', `want an absolute path, got ${JSON.stringify(cwd)}`);
	const result: ProcessConfig = {
		terminal: process.boolean('terminal', false),
		consoleSize: parseConsoleSize(process),
		user: {
			uid: user.integer('uid', 0, MAX_ID),
			gid: user.integer('gid', 0, MAX_ID),
			umask: user.integer('umask', 0o022, 0o777),
			additionalGids: user.integers('additionalGids', MAX_ID),
		},
		args,
		env,
		cwd,
		capabilities: {
			bounding: set('bounding'),
			effective: set('effective'),
			inheritable: set('inheritable'),
			permitted: set('permitted'),
			ambient: set('ambient'),
		},
		rlimits: process.sections('rlimits').map(parseRlimit),
		noNewPrivileges: process.boolean('noNewPrivileges', false),
		oomScoreAdj: process.has('oomScoreAdj') ? process.signed('oomScoreAdj', 0, -1000, 1000) : null,
		scheduler: parseScheduler(process.optionalSection('scheduler')),
		ioPriority: parseIoPriority(process.optionalSection('ioPriority')),
	};
	const limits = new Set(result.rlimits.map(({ resource }) => resource));
	if (limits.size < result.rlimits.length) throw new ConfigError('process.rlimits', 'has one limit twice');
	user.end();
	capabilities?.end();
	for (const field of ['apparmorProfile', 'selinuxLabel', 'execCPUAffinity']) process.refuse(field, isNotEmpty);
	process.end();
	return result;
}

/** Without a terminal it means nothing, which the specification says. */
function parseConsoleSize(process: Section): ProcessConfig['consoleSize'] {
	const size = process.optionalSection('consoleSize');
	if (size === null) return { height: 0, width: 0 };
	const result = { height: size.integer('height', 0, MAX_CONSOLE_SIZE), width: size.integer('width', 0, MAX_CONSOLE_SIZE) };
	size.end();
	return result;
}

function parseRlimit(limit: Section): RlimitConfig {
	const name = limit.string('type');
	const resource = RLIMIT_NAMES.indexOf(name);
	if (resource < 0) throw new ConfigError(limit.name('type'), `no limit is called ${name}`);
	const result = { resource, soft: limit.limit('soft'), hard: limit.limit('hard') };
	if (result.soft > result.hard) throw new ConfigError(limit.name('soft'), `${result.soft} is above the hard limit ${result.hard}`);
	limit.end();
	return result;
}

const MOUNT_TYPES = ['proc', 'tmpfs', 'sysfs', 'devpts', 'mqueue', 'cgroup', 'bind'] as const;

function parseMount(mount: Section): MountConfig {
	const destination = mount.string('destination');
	if (!isAbsolute(destination))
		throw new ConfigError(mount.name('destination'), `want an absolute path, got ${JSON.stringify(destination)}`);
	const options = mount.list('options');
	const isBind = options.includes('bind') || options.includes('rbind');
	const given = mount.string('type', isBind ? 'bind' : 'none');
	const name = isBind ? 'bind' : given === 'cgroup2' ? 'cgroup' : given;
	const type = MOUNT_TYPES.find((known) => known === name);
	if (type === undefined) throw new ConfigError(mount.name('type'), `file systems of type ${JSON.stringify(given)} are not there`);
	let flags = 1 << 21;
	let sizeBytes: number | null = null;
	let inodes: number | null = null;
	const propagation: PropagationConfig[] = [];
	let mode: number | null = null;
	let uid = type === 'devpts' ? -1 : 0;
	let gid = uid;
	let ptmxMode = 0;
	let max: number | null = null;
	for (const option of options) {
		const flag = MOUNT_FLAGS.get(option);
		if (flag !== undefined) {
			flags = (flags | flag.set) & ~flag.clear;
			continue;
		}
		if (option === 'bind' || option === 'rbind' || (isBind && ID_MAP_OPTIONS.includes(option)) || NO_DIFFERENCE.has(option)) continue;
		const change = parsePropagation(option);
		if (change !== null) {
			propagation.push(change);
			continue;
		}
		if (type === 'devpts' && option === 'newinstance') continue;
		if (type === 'tmpfs') {
			const more = parseTmpfsOptions(option, totalmem());
			if (typeof more !== 'number' && (more.uid ?? 0) <= MAX_ID && (more.gid ?? 0) <= MAX_ID) {
				sizeBytes = more.sizeBytes ?? sizeBytes;
				inodes = more.inodes ?? inodes;
				mode = more.mode ?? mode;
				uid = more.uid ?? uid;
				gid = more.gid ?? gid;
				continue;
			}
		}
		const [key, text] = option.split('=', 2) as [string, string | undefined];
		if (type === 'devpts' && text !== undefined) {
			if (key === 'ptmxmode' && /^[0-7]+$/.test(text)) {
				ptmxMode = Number.parseInt(text, 8) & 0o777;
				continue;
			}
			if (key === 'max' && /^\d+$/.test(text)) {
				max = Number(text);
				continue;
			}
		}
		if (type === 'devpts' || type === 'mqueue') {
			if (key === 'mode' && text !== undefined && /^[0-7]+$/.test(text)) {
				mode = Number.parseInt(text, 8);
				continue;
			}
			if ((key === 'uid' || key === 'gid') && text !== undefined && /^\d+$/.test(text) && Number(text) <= MAX_ID) {
				if (key === 'uid') uid = Number(text);
				else gid = Number(text);
				continue;
			}
		}
		throw new ConfigError(mount.name('options'), `the option ${JSON.stringify(option)} is not honoured`);
	}
	const source = mount.string('source', isBind ? undefined : type);
	if (!isBind) mount.refuse('uidMappings', isNotEmpty).refuse('gidMappings', isNotEmpty);
	const idMappings = isBind ? parseMountIdMappings(mount, options, MAX_ID) : null;
	mount.end();
	return {
		destination,
		type,
		source,
		flags,
		isRecursive: options.includes('rbind'),
		sizeBytes,
		inodes,
		mode,
		uid,
		gid,
		ptmxMode,
		max,
		propagation,
		idMappings,
	};
}

/** "rshared" and its like; null for what is something else. */
function parsePropagation(option: string): PropagationConfig | null {
	const type = PROPAGATION_TYPES.find((known) => option === known || option === `r${known}`);
	return type === undefined ? null : { type, isRecursive: option !== type };
}

/** Namespaces that every container has of its own, those of them too that are not listed: none is ever the host's. */
const OWN_NAMESPACES = new Set(['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network']);

const NATIVE_CLOCKS = "guests read the host's clocks natively";
const REFUSED_NAMESPACES: ReadonlyMap<string, string> = new Map([
	['user', 'each pod has user ids of its own on the host anyway'],
	['time', NATIVE_CLOCKS],
]);

/** Of the namespaces of the pod's first container, the ones that another may join: by a path below /proc/PID/ns of the sandbox process. */
export const SHARED_NAMESPACES = ['ipc', 'uts', 'pid'] as const;
export type SharedNamespace = (typeof SHARED_NAMESPACES)[number];

function isShared(type: string): type is SharedNamespace {
	return (SHARED_NAMESPACES as readonly string[]).includes(type);
}

function parseLinux(linux: Section): Config['linux'] {
	let networkNamespace: string | null = null;
	const joined: Partial<Record<SharedNamespace, string>> = {};
	const types = new Set<string>();
	for (const namespace of linux.sections('namespaces')) {
		const type = namespace.string('type');
		if (types.has(type)) throw new ConfigError(namespace.name('type'), `there are two ${type} namespaces`);
		types.add(type);
		const path = namespace.string('path', '');
		const whyNot = REFUSED_NAMESPACES.get(type);
		if (whyNot !== undefined) throw new ConfigError(namespace.name('type'), `a ${type} namespace is not honoured: ${whyNot}`);
		if (!OWN_NAMESPACES.has(type)) throw new ConfigError(namespace.name('type'), `no namespace is called ${JSON.stringify(type)}`);
		if (path !== '' && !isAbsolute(path))
			throw new ConfigError(namespace.name('path'), `want an absolute path, got ${JSON.stringify(path)}`);
		if (path !== '' && type === 'network') networkNamespace = path;
		else if (path !== '' && isShared(type)) joined[type] = path;
		else if (path !== '') throw new ConfigError(namespace.name('path'), `joining a ${type} namespace is not honoured`);
		namespace.end();
	}
	const maskedPaths = linux.list('maskedPaths');
	const readonlyPaths = linux.list('readonlyPaths');
	const cgroupsPath = linux.string('cgroupsPath', '');
	const propagation = linux.string('rootfsPropagation', 'private');
	const rootPropagation = parsePropagation(propagation === '' ? 'private' : propagation);
	if (rootPropagation === null)
		throw new ConfigError(linux.name('rootfsPropagation'), `${JSON.stringify(propagation)} is not honoured by this version`);
	for (const field of ['uidMappings', 'gidMappings', 'mountLabel', 'intelRdt', 'netDevices', 'memoryPolicy']) {
		linux.refuse(field, isNotEmpty);
	}
	const offsets = linux.optionalSection('timeOffsets')?.names() ?? [];
	if (offsets.length > 0) throw new ConfigError(linux.name('timeOffsets'), `is not honoured: ${NATIVE_CLOCKS}`);
	const resources = linux.optionalSection('resources');
	const seccomp = linux.optionalSection('seccomp');
	const personality = linux.optionalSection('personality');
	if (personality !== null) {
		const domain = personality.string('domain');
		if (domain !== 'LINUX') throw new ConfigError(personality.name('domain'), `${domain} is not honoured: guests are 64-bit`);
		personality.refuse('flags', isNotEmpty);
		personality.end();
	}
	const sysctl = linux.strings('sysctl');
	for (const name of Object.keys(sysctl)) {
		if (!/^net[./][\w./-]+$/.test(name) || name.includes('..'))
			throw new ConfigError(`${linux.name('sysctl')}.${name}`, 'only those of the network namespace (net.*) are honoured');
	}
	const result = {
		namespaces: types,
		networkNamespace,
		joined,
		rootPropagation,
		maskedPaths,
		readonlyPaths,
		cgroupsPath,
		resources: resources === null ? NO_RESOURCES : parseResources(resources),
		devices: linux.sections('devices').map(parseDevice),
		sysctl,
		seccomp: seccomp === null ? null : parseSeccomp(seccomp),
	};
	linux.end();
	return result;
}

/** Devices of the guest kernel, MAJOR:MINOR (Documentation/admin-guide/devices.txt). */
const DEVICES = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0']);

function parseDevice(device: Section): DeviceConfig {
	const path = device.string('path');
	if (!isAbsolute(path)) throw new ConfigError(device.name('path'), `want an absolute path, got ${JSON.stringify(path)}`);
	const type = device.string('type');
	const result = {
		path,
		major: device.integer('major', 0),
		minor: device.integer('minor', 0),
		mode: device.integer('fileMode', 0o666, 0o7777),
		uid: device.integer('uid', 0, MAX_ID),
		gid: device.integer('gid', 0, MAX_ID),
	};
	if ((type !== 'c' && type !== 'u') || !DEVICES.has(`${result.major}:${result.minor}`))
		throw new ConfigError(device.name('path'), `the guest kernel has no device ${type} ${result.major}:${result.minor} (${path})`);
	device.end();
	return result;
}

function isNotEmpty(value: unknown): boolean {
	return typeof value !== 'object' || value === null
		? value !== '' && value !== undefined && value !== null
		: Object.keys(value).length > 0;
}
