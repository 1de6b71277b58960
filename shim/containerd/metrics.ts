import { io as v1 } from '../../proto/generated/cgroup-metrics-v1.js';
import { io as v2 } from '../../proto/generated/cgroup-metrics-v2.js';
import { type GroupFiles, readStats, type Stats } from '../../runtime/oci/cgroup/stats.js';

/** A google.protobuf.Any. */
export interface Any {
	readonly type_url: string;
	readonly value: Uint8Array;
}

/** A control group's usage as containerd's clients read it: in the terms of the group's own version. */
export function metrics(cgroup: GroupFiles): Any {
	const stats = readStats(cgroup);
	return cgroup.version === 1 ? metricsV1(stats, cgroup) : metricsV2(stats);
}

function metricsV1({ cpu, memory, pids }: Stats, cgroup: GroupFiles): Any {
	const { Metrics } = v1.containerd.cgroups.v1;
	const { raw } = memory;
	const names = [
		...['cache', 'rss', 'rss_huge', 'mapped_file', 'dirty', 'writeback', 'inactive_anon', 'active_anon', 'inactive_file', 'active_file'],
		'unevictable',
	];
	const counts: Record<string, number> = {};
	for (const name of names) {
		counts[camel(name)] = raw[name] ?? 0;
		counts[camel(`total_${name}`)] = raw[`total_${name}`] ?? 0;
	}
	const faults = { pgPgIn: 'pgpgin', pgPgOut: 'pgpgout', pgFault: 'pgfault', pgMajFault: 'pgmajfault' };
	for (const [field, name] of Object.entries(faults)) {
		counts[field] = raw[name] ?? 0;
		counts[`total${field[0]!.toUpperCase()}${field.slice(1)}`] = raw[`total_${name}`] ?? 0;
	}
	const oom = /^oom_kill (\d+)/m.exec(cgroup.read('memory', 'memory.oom_control'))?.[1] ?? '0';
	const value = Metrics.encode(
		Metrics.create({
			pids: { current: pids.current, limit: pids.limit ?? 0 },
			cpu: {
				usage: { total: cpu.usage.total, kernel: cpu.usage.kernel, user: cpu.usage.user, perCpu: [...(cpu.usage.percpu ?? [])] },
				throttling: {
					periods: cpu.throttling.periods,
					throttledPeriods: cpu.throttling.throttledPeriods,
					throttledTime: cpu.throttling.throttledTime,
				},
			},
			memory: {
				...counts,
				hierarchicalMemoryLimit: raw['hierarchical_memory_limit'] ?? 0,
				usage: memory.usage,
				swap: memory.swap,
				kernel: memory.kernel,
				kernelTcp: memory.kernelTCP,
			},
			memoryOomControl: { oomKill: Number(oom) },
		}),
	).finish();
	return { type_url: 'io.containerd.cgroups.v1.Metrics', value };
}

function metricsV2({ cpu, memory, pids }: Stats): Any {
	const { Metrics } = v2.containerd.cgroups.v2;
	const counts: Record<string, number> = {};
	for (const [name, value] of Object.entries(memory.raw)) counts[camel(name)] = value;
	const toUsec = (ns: number): number => Math.round(ns / 1000);
	const value = Metrics.encode(
		Metrics.create({
			pids: { current: pids.current, limit: pids.limit ?? 0 },
			cpu: {
				usageUsec: toUsec(cpu.usage.total),
				userUsec: toUsec(cpu.usage.user),
				systemUsec: toUsec(cpu.usage.kernel),
				nrPeriods: cpu.throttling.periods,
				nrThrottled: cpu.throttling.throttledPeriods,
				throttledUsec: toUsec(cpu.throttling.throttledTime),
			},
			memory: {
				...counts,
				usage: memory.usage.usage,
				usageLimit: memory.usage.limit,
				swapUsage: memory.swap.usage,
				swapLimit: memory.swap.limit,
			},
		}),
	).finish();
	return { type_url: 'io.containerd.cgroups.v2.Metrics', value };
}

function camel(name: string): string {
	return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
