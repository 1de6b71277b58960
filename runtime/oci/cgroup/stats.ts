/** A control group's files, wherever they are. */
export interface GroupFiles {
	readonly version: 1 | 2;
	/** A file's text; '' when it isn't there. `controller` is for v1. */
	read(controller: string, file: string): string;
}

/** What runc shows for no limit is 2^64 - 1; this is the largest number below that a double holds. */
const UNLIMITED = 2 ** 64 - 2048;

export interface MemoryUsage {
	readonly limit: number;
	readonly usage: number;
	readonly max: number;
	readonly failcnt: number;
}

export interface BlockEntry {
	readonly major: number;
	readonly minor: number;
	readonly op: string;
	readonly value: number;
}

/** What `isopod events` prints as `data`: runc's fields and units (ns, bytes). */
export interface Stats {
	readonly cpu: {
		readonly usage: {
			readonly total: number;
			readonly percpu?: readonly number[];
			readonly kernel: number;
			readonly user: number;
		};
		readonly throttling: { readonly periods: number; readonly throttledPeriods: number; readonly throttledTime: number };
	};
	readonly memory: {
		readonly cache: number;
		readonly usage: MemoryUsage;
		readonly swap: MemoryUsage;
		readonly kernel: MemoryUsage;
		readonly kernelTCP: MemoryUsage;
		readonly raw: Readonly<Record<string, number>>;
	};
	readonly pids: { readonly current: number; readonly limit?: number };
	readonly blkio: { readonly ioServiceBytesRecursive?: readonly BlockEntry[]; readonly ioServicedRecursive?: readonly BlockEntry[] };
	readonly hugetlb: Readonly<Record<string, never>>;
	readonly intel_rdt: Readonly<Record<string, never>>;
	readonly network_interfaces: null;
}

/** Reads a container's usage. What the host doesn't count is 0. */
export function readStats(cgroup: GroupFiles): Stats {
	return cgroup.version === 1 ? statsV1(cgroup) : statsV2(cgroup);
}

/** The kill count of the kernel's out-of-memory killer. */
export function oomKills(cgroup: GroupFiles): number {
	const file = cgroup.version === 1 ? 'memory.oom_control' : 'memory.events';
	return keyed(cgroup.read('memory', file))['oom_kill'] ?? 0;
}

function statsV1(cgroup: GroupFiles): Stats {
	const ticks = keyed(cgroup.read('cpuacct', 'cpuacct.stat'));
	const throttled = keyed(cgroup.read('cpu', 'cpu.stat'));
	const raw = keyed(cgroup.read('memory', 'memory.stat'));
	const usage = (kind: string): MemoryUsage => ({
		limit: number(cgroup.read('memory', `memory.${kind}limit_in_bytes`)),
		usage: number(cgroup.read('memory', `memory.${kind}usage_in_bytes`)),
		max: number(cgroup.read('memory', `memory.${kind}max_usage_in_bytes`)),
		failcnt: number(cgroup.read('memory', `memory.${kind}failcnt`)),
	});
	return {
		cpu: {
			usage: {
				total: number(cgroup.read('cpuacct', 'cpuacct.usage')),
				percpu: cgroup.read('cpuacct', 'cpuacct.usage_percpu').trim().split(' ').filter(Boolean).map(Number),
				kernel: (ticks['system'] ?? 0) * NS_PER_TICK,
				user: (ticks['user'] ?? 0) * NS_PER_TICK,
			},
			throttling: throttling(throttled, throttled['throttled_time'] ?? 0),
		},
		memory: {
			cache: raw['cache'] ?? 0,
			usage: usage(''),
			swap: usage('memsw.'),
			kernel: usage('kmem.'),
			kernelTCP: usage('kmem.tcp.'),
			raw,
		},
		pids: pids(cgroup),
		blkio: {
			ioServiceBytesRecursive: blockEntries(cgroup.read('blkio', 'blkio.throttle.io_service_bytes_recursive')),
			ioServicedRecursive: blockEntries(cgroup.read('blkio', 'blkio.throttle.io_serviced_recursive')),
		},
		hugetlb: {},
		intel_rdt: {},
		network_interfaces: null,
	};
}

function statsV2(cgroup: GroupFiles): Stats {
	const cpu = keyed(cgroup.read('', 'cpu.stat'));
	const raw = keyed(cgroup.read('', 'memory.stat'));
	const events = keyed(cgroup.read('', 'memory.events'));
	const usage = number(cgroup.read('', 'memory.current'));
	const swap = number(cgroup.read('', 'memory.swap.current'));
	const none = { limit: 0, usage: 0, max: 0, failcnt: 0 };
	return {
		cpu: {
			usage: { total: (cpu['usage_usec'] ?? 0) * 1000, kernel: (cpu['system_usec'] ?? 0) * 1000, user: (cpu['user_usec'] ?? 0) * 1000 },
			throttling: throttling(cpu, (cpu['throttled_usec'] ?? 0) * 1000),
		},
		memory: {
			cache: raw['file'] ?? 0,
			usage: { limit: limitV2(cgroup, 'memory.max'), usage, max: number(cgroup.read('', 'memory.peak')), failcnt: events['max'] ?? 0 },
			// runc counts memory and swap together here, as cgroup v1 does.
			swap: { limit: limitV2(cgroup, 'memory.swap.max'), usage: usage + swap, max: 0, failcnt: 0 },
			kernel: none,
			kernelTCP: none,
			raw,
		},
		pids: pids(cgroup),
		blkio: { ioServiceBytesRecursive: ioEntries(cgroup.read('', 'io.stat')) },
		hugetlb: {},
		intel_rdt: {},
		network_interfaces: null,
	};
}

/** USER_HZ is 100 on every architecture. */
const NS_PER_TICK = 10_000_000;

function throttling(stat: Readonly<Record<string, number>>, throttledTime: number): Stats['cpu']['throttling'] {
	return { periods: stat['nr_periods'] ?? 0, throttledPeriods: stat['nr_throttled'] ?? 0, throttledTime };
}

function pids(cgroup: GroupFiles): Stats['pids'] {
	const limit = Number(cgroup.read('pids', 'pids.max'));
	return { current: number(cgroup.read('pids', 'pids.current')), ...(Number.isFinite(limit) && limit > 0 ? { limit } : {}) };
}

/** `KEY VALUE` lines. */
function keyed(text: string): Record<string, number> {
	return Object.fromEntries(
		text
			.trim()
			.split('\n')
			.filter(Boolean)
			.map((line) => line.split(' '))
			.map(([key, value]) => [key, Number(value)]),
	);
}

const number = (text: string): number => Number(text.trim()) || 0;

function limitV2(cgroup: GroupFiles, file: string): number {
	const text = cgroup.read('', file).trim();
	return text === 'max' ? UNLIMITED : Number(text) || 0;
}

/** `MAJOR:MINOR OP VALUE` lines of blkio. */
function blockEntries(text: string): BlockEntry[] {
	return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, op, value]) => ({
		major: Number(major),
		minor: Number(minor),
		op: op!,
		value: Number(value),
	}));
}

/** `MAJOR:MINOR KEY=VALUE …` lines of io.stat. */
function ioEntries(text: string): BlockEntry[] {
	const names: Readonly<Record<string, string>> = { rbytes: 'Read', wbytes: 'Write' };
	return [...text.matchAll(/^(\d+):(\d+) (.+)$/gm)].flatMap(([, major, minor, pairs]) =>
		pairs!
			.split(' ')
			.map((pair) => pair.split('='))
			.filter(([key]) => names[key!] !== undefined)
			.map(([key, value]) => ({ major: Number(major), minor: Number(minor), op: names[key!]!, value: Number(value) })),
	);
}
