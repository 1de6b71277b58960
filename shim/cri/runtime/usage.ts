import { readFileSync } from 'node:fs';
import type { runtime } from '../../../proto/generated/cri.js';
import type { Cgroup } from '../../../runtime/oci/cgroup/cgroup.js';
import type { Stats } from '../../../runtime/oci/cgroup/stats.js';

/** A limit that no machine reaches: what control groups show for none. */
const NO_LIMIT = 2 ** 60;
/** CPU time of less than this says nothing about a rate. */
const MIN_INTERVAL_NS = 50_000_000;

/** What a control group uses, by CRI's rules. Bytes, nanoseconds and counts. */
export interface Usage {
	readonly atNs: number;
	readonly cpuNs: number;
	readonly userNs: number;
	readonly kernelNs: number;
	readonly periods: number;
	readonly throttledPeriods: number;
	readonly throttledNs: number;
	readonly memoryBytes: number;
	readonly maxMemoryBytes: number;
	readonly workingSetBytes: number;
	readonly rssBytes: number;
	readonly cacheBytes: number;
	/** 0 for none. */
	readonly memoryLimitBytes: number;
	readonly memoryFailures: number;
	readonly faults: number;
	readonly majorFaults: number;
	readonly swapBytes: number;
	/** 0 for none. */
	readonly swapLimitBytes: number;
	readonly processes: number;
	readonly readBytes: number;
	readonly writtenBytes: number;
	readonly pressure: Pressure;
}

/** Stalls for want of something, where the host counts them (cgroup v2). */
export interface Pressure {
	readonly cpu: Psi | null;
	readonly memory: Psi | null;
	readonly io: Psi | null;
}

type Psi = runtime.v1.PsiStats.$Properties;

export const NO_PRESSURE: Pressure = { cpu: null, memory: null, io: null };

/** Reads what a control group's numbers mean for CRI. Memory that the host takes back without effort is none of the working set. */
export function usageOf({ cpu, memory, pids, blkio }: Stats, pressure: Pressure): Usage {
	const { raw } = memory;
	// cgroup v1 counts its own and those below it apart, and swap together with memory.
	const isV1 = raw['total_rss'] !== undefined;
	const count = (name: string): number => raw[isV1 ? `total_${name}` : name] ?? 0;
	const { usage, limit, max, failcnt } = memory.usage;
	const bytes = (op: string): number =>
		(blkio.ioServiceBytesRecursive ?? []).reduce((sum, entry) => (entry.op === op ? sum + entry.value : sum), 0);
	const memoryLimitBytes = limit < NO_LIMIT ? limit : 0;
	const swapLimit = memory.swap.limit < NO_LIMIT ? memory.swap.limit : 0;
	return {
		atNs: Date.now() * 1_000_000,
		...{ cpuNs: cpu.usage.total, userNs: cpu.usage.user, kernelNs: cpu.usage.kernel },
		...{ periods: cpu.throttling.periods, throttledPeriods: cpu.throttling.throttledPeriods, throttledNs: cpu.throttling.throttledTime },
		...{ memoryBytes: usage, maxMemoryBytes: max, memoryLimitBytes, memoryFailures: failcnt },
		workingSetBytes: Math.max(0, usage - count('inactive_file')),
		rssBytes: count(isV1 ? 'rss' : 'anon'),
		cacheBytes: memory.cache,
		faults: count('pgfault'),
		majorFaults: count('pgmajfault'),
		swapBytes: Math.max(0, memory.swap.usage - usage),
		swapLimitBytes: isV1 ? Math.max(0, swapLimit - memoryLimitBytes) : swapLimit,
		processes: pids.current,
		...{ readBytes: bytes('Read'), writtenBytes: bytes('Write') },
		pressure,
	};
}

/** All of several control groups. */
export function sumOf(parts: readonly Usage[]): Usage {
	const total = { ...NOTHING, atNs: Date.now() * 1_000_000 };
	for (const part of parts)
		for (const [name, value] of Object.entries(part))
			if (typeof value === 'number' && name !== 'atNs') (total as unknown as Record<string, number>)[name]! += value;
	return total;
}

const NOTHING: Usage = {
	...{ atNs: 0, cpuNs: 0, userNs: 0, kernelNs: 0, periods: 0, throttledPeriods: 0, throttledNs: 0 },
	...{ memoryBytes: 0, maxMemoryBytes: 0, workingSetBytes: 0, rssBytes: 0, cacheBytes: 0, memoryLimitBytes: 0, memoryFailures: 0 },
	...{ faults: 0, majorFaults: 0, swapBytes: 0, swapLimitBytes: 0, processes: 0, readBytes: 0, writtenBytes: 0 },
	pressure: NO_PRESSURE,
};

/** What the host has counted of a control group's stalls; nothing with cgroup v1. */
export function readPressure(cgroup: Cgroup): Pressure {
	if (cgroup.version === 1) return NO_PRESSURE;
	const read = (file: string): Psi | null => parsePsi(cgroup.read('', file));
	return { cpu: read('cpu.pressure'), memory: read('memory.pressure'), io: read('io.pressure') };
}

/** Parses Linux's pressure files: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full`. Null when it is none. */
export function parsePsi(text: string): Psi | null {
	const lines = [...text.matchAll(/^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm)];
	if (lines.length === 0) return null;
	const of = (kind: string): runtime.v1.PsiData.$Properties => {
		const [, , Avg10, Avg60, Avg300, Total] = (lines.find((line) => line[1] === kind) ?? []).map(Number);
		return { Avg10: Avg10 ?? 0, Avg60: Avg60 ?? 0, Avg300: Avg300 ?? 0, Total: Total ?? 0 };
	};
	return { Some: of('some'), Full: of('full') };
}

/** How fast something uses the CPU, from one look at it to the next. */
export class CpuRates {
	private readonly samples = new WeakMap<object, { atNs: number; cpuNs: number; nanoCores: number | null }>();

	/** Nanoseconds of CPU time per second since the last look at `owner`; null at the first. */
	rate(owner: object, { atNs, cpuNs }: Usage): number | null {
		const last = this.samples.get(owner);
		if (last === undefined) {
			this.samples.set(owner, { atNs, cpuNs, nanoCores: null });
			return null;
		}
		if (atNs - last.atNs < MIN_INTERVAL_NS) return last.nanoCores;
		const nanoCores = Math.max(0, Math.round(((cpuNs - last.cpuNs) / (atNs - last.atNs)) * 1e9));
		this.samples.set(owner, { atNs, cpuNs, nanoCores });
		return nanoCores;
	}
}

/** What went through a network device. */
export interface DeviceUsage {
	readonly name: string;
	readonly rxBytes: number;
	readonly rxPackets: number;
	readonly rxErrors: number;
	readonly rxDropped: number;
	readonly txBytes: number;
	readonly txPackets: number;
	readonly txErrors: number;
	readonly txDropped: number;
}

/** The network devices of the namespace that a process of the host is in, but for the loopback device; none when it has gone. */
export function devicesOf(pid: number): DeviceUsage[] {
	let text: string;
	try {
		text = readFileSync(`/proc/${pid}/net/dev`, 'latin1');
	} catch {
		return [];
	}
	return parseDevices(text);
}

/** Parses /proc/net/dev (proc_net(5)). */
export function parseDevices(text: string): DeviceUsage[] {
	return [...text.matchAll(/^\s*([^\s:]+):\s*([\d ]+)$/gm)].flatMap(([, name, numbers]) => {
		const counts = numbers!.trim().split(/ +/).map(Number);
		if (name === 'lo' || counts.length < 12) return [];
		const [rxBytes, rxPackets, rxErrors, rxDropped, , , , , txBytes, txPackets, txErrors, txDropped] = counts as [
			...[number, number, number, number, number, number, number, number],
			...[number, number, number, number],
		];
		return [{ name: name!, rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped }];
	});
}
