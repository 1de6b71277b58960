import t from 'tap';
import { ConfigError, parseConfig } from './config.js';

type Json = Record<string, unknown>;
const process = { args: ['/bin/sh'], cwd: '/', user: { uid: 0, gid: 0 } };
const base = { ociVersion: '1.2.0', process, root: { path: 'rootfs' } };
const inProcess = (fields: Json): Json => ({ ...base, process: { ...process, ...fields } });
const inLinux = (linux: Json): Json => ({ ...base, linux });
const withMount = (mount: Json): Json => ({ ...base, mounts: [{ destination: '/m', type: 'tmpfs', ...mount }] });

const MAPPING = { containerID: 1000, hostID: 0, size: 1 };
const BIND = { type: 'bind', source: '/s', options: ['bind'] };

/** The field that a config is refused for, or null. */
function refusedField(config: unknown): string | null {
	try {
		parseConfig(config);
		return null;
	} catch (error) {
		if (error instanceof ConfigError) return error.field;
		throw error;
	}
}

t.test('what is honoured is read', async (t) => {
	const config = parseConfig({
		...base,
		hostname: 'h',
		domainname: 'd',
		annotations: { a: 'b' },
		hooks: { prestart: [] },
		process: {
			...process,
			user: { uid: 1, gid: 2, umask: 0o77, additionalGids: [3] },
			env: ['A=b=c'],
			capabilities: { bounding: ['CAP_KILL'] },
			rlimits: [{ type: 'RLIMIT_NOFILE', soft: 5, hard: 2 ** 64 }],
			noNewPrivileges: true,
			apparmorProfile: '',
			oomScoreAdj: 0,
			scheduler: { policy: 'SCHED_BATCH', nice: 5, flags: ['SCHED_FLAG_RESET_ON_FORK'], priority: 0 },
			ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 6 },
		},
		mounts: [
			{ destination: '/t', type: 'tmpfs', source: 't', options: ['ro', 'nosuid', 'size=1m', 'mode=700', 'uid=1', 'gid=2', 'rprivate'] },
		],
		linux: {
			namespaces: [{ type: 'pid' }, { type: 'network', path: '/n' }],
			maskedPaths: ['/a'],
			readonlyPaths: ['/b'],
			cgroupsPath: '/p/c',
			resources: { memory: { limit: 5 }, devices: [{ allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }] },
		},
	});
	t.match(config, {
		hostname: 'h',
		domainname: 'd',
		process: {
			user: { uid: 1, gid: 2, umask: 0o77, additionalGids: [3] },
			rlimits: [{ resource: 7, soft: 5, hard: Number.POSITIVE_INFINITY }],
			scheduler: { policy: 3, nice: 5, flags: 1 },
			ioPriority: (2 << 13) | 6,
		},
		mounts: [{ type: 'tmpfs', sizeBytes: 1 << 20, mode: 0o700, uid: 1, gid: 2 }],
		linux: { networkNamespace: '/n', maskedPaths: ['/a'], readonlyPaths: ['/b'], cgroupsPath: '/p/c', resources: { memoryLimitBytes: 5 } },
	});
	t.equal(config.mounts[0]!.flags & 3, 3);
});

const REFUSED: readonly (readonly [field: string, config: unknown])[] = [
	['the file', []],
	['ociVersion', { ...base, ociVersion: '2.0.0' }],
	['process', { ...base, process: undefined }],
	['root', { ...base, root: undefined }],
	['root.path', { ...base, root: { path: '' } }],
	['root.readonly', { ...base, root: { path: 'r', readonly: 1 } }],
	['root.color', { ...base, root: { path: 'r', color: 1 } }],
	['hooks.startContainer[0].path', { ...base, hooks: { startContainer: [{ path: 'x' }] } }],
	['hooks.prestart[0].path', { ...base, hooks: { prestart: [{ path: 'x' }] } }],
	['windows', { ...base, windows: {} }],
	['solaris', { ...base, solaris: {} }],
	['vm', { ...base, vm: {} }],
	['zos', { ...base, zos: {} }],
	['annotations', { ...base, annotations: { a: 1 } }],
	['surprise', { ...base, surprise: true }],
	['process.terminal', inProcess({ terminal: 'yes' })],
	['process.consoleSize.height', inProcess({ consoleSize: { height: 65536, width: 1 } })],
	['mounts[0].options', withMount({ type: 'devpts', options: ['ptmxmode=9'] })],
	['process.args', inProcess({ args: [] })],
	['process.args', inProcess({ args: ['a\0b'] })],
	['process.cwd', inProcess({ cwd: 'relative' })],
	['process.env', inProcess({ env: ['NOVALUE'] })],
	['process.user.uid', inProcess({ user: { uid: 65536 } })],
	['process.user.umask', inProcess({ user: { umask: 0o1000 } })],
	['process.user.username', inProcess({ user: { username: 'x' } })],
	['process.capabilities.effective', inProcess({ capabilities: { effective: ['CAP_NOPE'] } })],
	['process.rlimits[0].type', inProcess({ rlimits: [{ type: 'RLIMIT_NOPE', soft: 1, hard: 1 }] })],
	['process.rlimits[0].soft', inProcess({ rlimits: [{ type: 'RLIMIT_CPU', soft: 2, hard: 1 }] })],
	['process.rlimits', inProcess({ rlimits: [1, 2].map(() => ({ type: 'RLIMIT_CPU', soft: 1, hard: 1 })) })],
	['process.apparmorProfile', inProcess({ apparmorProfile: 'x' })],
	['process.selinuxLabel', inProcess({ selinuxLabel: 'x' })],
	['process.oomScoreAdj', inProcess({ oomScoreAdj: 1001 })],
	['process.scheduler.policy', inProcess({ scheduler: {} })],
	...['SCHED_FIFO', 'SCHED_RR', 'SCHED_DEADLINE', 'SCHED_ISO', 'x'].map(
		(policy) => ['process.scheduler.policy', inProcess({ scheduler: { policy } })] as const,
	),
	['process.scheduler.nice', inProcess({ scheduler: { policy: 'SCHED_OTHER', nice: -1 } })],
	['process.scheduler.nice', inProcess({ scheduler: { policy: 'SCHED_OTHER', nice: 20 } })],
	['process.scheduler.flags', inProcess({ scheduler: { policy: 'SCHED_OTHER', flags: ['SCHED_FLAG_RECLAIM'] } })],
	...['priority', 'runtime', 'deadline', 'period'].map(
		(field) => [`process.scheduler.${field}`, inProcess({ scheduler: { policy: 'SCHED_OTHER', [field]: 1 } })] as const,
	),
	['process.scheduler.colour', inProcess({ scheduler: { policy: 'SCHED_OTHER', colour: 1 } })],
	['process.ioPriority.class', inProcess({ ioPriority: { class: 'IOPRIO_CLASS_RT' } })],
	['process.ioPriority.priority', inProcess({ ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 8 } })],
	['process.execCPUAffinity', inProcess({ execCPUAffinity: { initial: '0' } })],
	['process.commandLine', inProcess({ commandLine: 'x' })],
	['mounts[0].destination', withMount({ destination: 'm' })],
	['mounts[0].type', withMount({ type: 'ext4' })],
	['mounts[0].source', withMount({ type: 'bind', options: ['bind'] })],
	['mounts[0].uidMappings', withMount({ uidMappings: [MAPPING] })],
	['mounts[0].gidMappings', withMount({ gidMappings: [MAPPING] })],
	['mounts[0].gidMappings', withMount({ ...BIND, uidMappings: [MAPPING] })],
	['mounts[0].uidMappings', withMount({ ...BIND, gidMappings: [MAPPING] })],
	['mounts[0].options', withMount({ ...BIND, options: ['bind', 'idmap'] })],
	['mounts[0].options', withMount({ ...BIND, options: ['rbind', 'idmap'], uidMappings: [MAPPING], gidMappings: [MAPPING] })],
	['mounts[0].uidMappings[0].size', withMount({ ...BIND, uidMappings: [{ containerID: 0, hostID: 0 }] })],
	['mounts[0].uidMappings[0].size', withMount({ ...BIND, uidMappings: [{ containerID: 0, hostID: 1, size: 65536 }] })],
	['mounts[0].uidMappings[0].size', withMount({ ...BIND, uidMappings: [{ containerID: 0, hostID: 1, size: 0 }] })],
	['mounts[0].uidMappings[0].hostID', withMount({ ...BIND, uidMappings: [{ containerID: 0, hostID: 65536, size: 1 }] })],
	...['idmap', 'ridmap', 'tmpcopyup', 'nr_inodes=x', 'sync', 'size=x', 'mode=9', 'uid=70000'].map(
		(option) => ['mounts[0].options', withMount({ options: [option] })] as const,
	),
	['linux.namespaces[0].type', inLinux({ namespaces: [{ type: 'user' }] })],
	['linux.namespaces[0].type', inLinux({ namespaces: [{ type: 'time' }] })],
	['linux.namespaces[0].type', inLinux({ namespaces: [{ type: 'x' }] })],
	...['user', 'time'].map((type) => ['linux.namespaces[0].type', inLinux({ namespaces: [{ type, path: '/p' }] })] as const),
	...['mount', 'cgroup'].map((type) => ['linux.namespaces[0].path', inLinux({ namespaces: [{ type, path: '/p' }] })] as const),
	['linux.namespaces[0].path', inLinux({ namespaces: [{ type: 'pid', path: 'p' }] })],
	['linux.namespaces[1].type', inLinux({ namespaces: [{ type: 'pid' }, { type: 'pid' }] })],
	['linux.uidMappings', inLinux({ uidMappings: [{}] })],
	['linux.gidMappings', inLinux({ gidMappings: [{}] })],
	['linux.devices[0].type', inLinux({ devices: [{ path: '/dev/x' }] })],
	['linux.devices[0].path', inLinux({ devices: [{ path: '/dev/x', type: 'b', major: 8, minor: 0 }] })],
	['linux.sysctl.kernel.x', inLinux({ sysctl: { 'kernel.x': '1' } })],
	['linux.seccomp.defaultAction', inLinux({ seccomp: { defaultAction: 'SCMP_ACT_NOTIFY' } })],
	['linux.seccomp.listenerPath', inLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/s' } })],
	['linux.seccomp.listenerMetadata', inLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerMetadata: 'm' } })],
	['linux.seccomp.flags', inLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'] } })],
	['linux.seccomp.architectures', inLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['x86'] } })],
	[
		'linux.seccomp.syscalls[0].action',
		inLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['a'], action: 'SCMP_ACT_NOTIFY' }] } }),
	],
	['linux.netDevices', inLinux({ netDevices: { eth0: {} } })],
	['linux.memoryPolicy', inLinux({ memoryPolicy: { mode: 'MPOL_BIND' } })],
	['linux.personality.flags', inLinux({ personality: { domain: 'LINUX', flags: ['x'] } })],
	[
		'linux.resources.blockIO.weightDevice[0].leafWeight',
		inLinux({ resources: { blockIO: { weightDevice: [{ major: 8, minor: 0, weight: 10, leafWeight: 10 }] } } }),
	],
	['linux.rootfsPropagation', inLinux({ rootfsPropagation: 'public' })],
	['linux.mountLabel', inLinux({ mountLabel: 'x' })],
	['linux.cgroupsPath', inLinux({ cgroupsPath: 5 })],
	['linux.intelRdt', inLinux({ intelRdt: { closID: 'x' } })],
	['linux.personality.domain', inLinux({ personality: { domain: 'LINUX32' } })],
	['linux.timeOffsets', inLinux({ timeOffsets: { monotonic: {} } })],
	['linux.resources.devices[0].type', inLinux({ resources: { devices: [{ allow: true, type: 'x' }] } })],
	['linux.resources.memory.limits', inLinux({ resources: { memory: { limits: 1 } } })],
	['linux.resources.memory.limit', inLinux({ resources: { memory: { limit: '1' } } })],
	['linux.resources.cpu.cpus', inLinux({ resources: { cpu: { cpus: 'x' } } })],
	['linux.resources.rdma', inLinux({ resources: { rdma: { mlx5: {} } } })],
	['linux.resources.hugepageLimits[0].pageSize', inLinux({ resources: { hugepageLimits: [{}] } })],
];

t.test('what is malformed or not honoured is refused by name', async (t) => {
	t.equal(refusedField(base), null);
	for (const [field, config] of REFUSED) t.equal(refusedField(config), field, `${field}: ${JSON.stringify(config)}`);
});
