import type { runtime } from '../../../proto/generated/cri.js';
import { cri } from '../methods.js';
import type { Container } from './container.js';
import { fulfilled } from './filters.js';
import type { Pod } from './pod.js';
import { containerUsage, podUsage, runningOf } from './resource-stats.js';
import { type DeviceUsage, devicesOf, type Usage } from './usage.js';

type Metric = runtime.v1.Metric.$Properties;
type PodMetrics = runtime.v1.PodSandboxMetrics.$Properties;

/** Whom a metric is of. */
interface Subject {
	readonly usage: Usage;
	/** Of containers 0 for the pod's own. */
	readonly startedAtNs: number;
	readonly oomKills: number;
	readonly devices: readonly DeviceUsage[];
}

/** One value of a metric, with the values of its own labels. */
interface Sample {
	readonly labels: readonly string[];
	readonly value: number;
}

interface Definition {
	/** cAdvisor's: what dashboards ask for. Seconds are whole ones, as CRI's values are. */
	readonly name: string;
	readonly help: string;
	readonly type: runtime.v1.MetricType;
	/** Beside those that all have. */
	readonly labels: readonly string[];
	readonly isOfPod: boolean;
	samples(subject: Subject): readonly Sample[];
}

const { COUNTER, GAUGE } = cri.MetricType;
const COMMON_LABELS = ['container', 'id', 'image', 'name', 'namespace', 'pod'];
const NS = 1e9;

function simple(name: string, type: runtime.v1.MetricType, help: string, read: (usage: Usage) => number): Definition {
	return { name, type, help, labels: [], isOfPod: false, samples: ({ usage }) => [{ labels: [], value: read(usage) }] };
}

function ofDevices(name: string, help: string, read: (device: DeviceUsage) => number): Definition {
	return {
		...{ name, type: COUNTER, help, labels: ['interface'], isOfPod: true },
		samples: ({ devices }) => devices.map((device) => ({ labels: [device.name], value: read(device) })),
	};
}

const DEFINITIONS: readonly Definition[] = [
	simple('container_cpu_usage_seconds_total', COUNTER, 'CPU time consumed, in seconds', ({ cpuNs }) => cpuNs / NS),
	simple('container_cpu_user_seconds_total', COUNTER, 'CPU time in user mode, in seconds', ({ userNs }) => userNs / NS),
	simple('container_cpu_system_seconds_total', COUNTER, 'CPU time in the kernel, in seconds', ({ kernelNs }) => kernelNs / NS),
	simple('container_cpu_cfs_periods_total', COUNTER, 'Periods of the CPU quota that have passed', ({ periods }) => periods),
	simple(
		...(['container_cpu_cfs_throttled_periods_total', COUNTER, 'Periods in which the CPU quota was used up'] as const),
		({ throttledPeriods }) => throttledPeriods,
	),
	simple(
		...(['container_cpu_cfs_throttled_seconds_total', COUNTER, 'Time for which the CPU quota was used up, in seconds'] as const),
		({ throttledNs }) => throttledNs / NS,
	),
	simple('container_memory_usage_bytes', GAUGE, 'Memory in use, with that of file caches', ({ memoryBytes }) => memoryBytes),
	simple('container_memory_max_usage_bytes', GAUGE, 'The most memory that was in use', ({ maxMemoryBytes }) => maxMemoryBytes),
	simple(
		'container_memory_working_set_bytes',
		GAUGE,
		'Memory in use that is not easily given back',
		({ workingSetBytes }) => workingSetBytes,
	),
	simple('container_memory_rss', GAUGE, 'Anonymous memory, in bytes', ({ rssBytes }) => rssBytes),
	simple('container_memory_cache', GAUGE, 'Memory of file caches, in bytes', ({ cacheBytes }) => cacheBytes),
	simple('container_memory_swap', GAUGE, 'Memory that is swapped out, in bytes', ({ swapBytes }) => swapBytes),
	simple('container_memory_failcnt', COUNTER, 'How often the memory limit was reached', ({ memoryFailures }) => memoryFailures),
	{
		...{ name: 'container_memory_failures_total', type: COUNTER, help: 'Page faults', labels: ['failure_type', 'scope'], isOfPod: false },
		samples: ({ usage }) => [
			{ labels: ['pgfault', 'container'], value: usage.faults },
			{ labels: ['pgmajfault', 'container'], value: usage.majorFaults },
		],
	},
	simple('container_spec_memory_limit_bytes', GAUGE, 'The memory limit, 0 for none', ({ memoryLimitBytes }) => memoryLimitBytes),
	simple('container_processes', GAUGE, 'Processes and threads', ({ processes }) => processes),
	simple('container_fs_reads_bytes_total', COUNTER, 'Bytes read from block devices', ({ readBytes }) => readBytes),
	simple('container_fs_writes_bytes_total', COUNTER, 'Bytes written to block devices', ({ writtenBytes }) => writtenBytes),
	{
		...{ name: 'container_oom_events_total', type: COUNTER, help: 'Kills for want of memory', labels: [], isOfPod: false },
		samples: ({ oomKills }) => [{ labels: [], value: oomKills }],
	},
	{
		...{
			name: 'container_start_time_seconds',
			type: GAUGE,
			help: 'When it was started, in seconds since 1970',
			labels: [],
			isOfPod: false,
		},
		samples: ({ startedAtNs }) => [{ labels: [], value: startedAtNs / NS }],
	},
	{
		...{ name: 'container_last_seen', type: GAUGE, help: 'When this was measured, in seconds since 1970', labels: [], isOfPod: false },
		samples: ({ usage }) => [{ labels: [], value: usage.atNs / NS }],
	},
	ofDevices('container_network_receive_bytes_total', 'Bytes received', ({ rxBytes }) => rxBytes),
	ofDevices('container_network_receive_packets_total', 'Packets received', ({ rxPackets }) => rxPackets),
	ofDevices('container_network_receive_packets_dropped_total', 'Packets dropped while receiving', ({ rxDropped }) => rxDropped),
	ofDevices('container_network_receive_errors_total', 'Errors while receiving', ({ rxErrors }) => rxErrors),
	ofDevices('container_network_transmit_bytes_total', 'Bytes sent', ({ txBytes }) => txBytes),
	ofDevices('container_network_transmit_packets_total', 'Packets sent', ({ txPackets }) => txPackets),
	ofDevices('container_network_transmit_packets_dropped_total', 'Packets dropped while sending', ({ txDropped }) => txDropped),
	ofDevices('container_network_transmit_errors_total', 'Errors while sending', ({ txErrors }) => txErrors),
];

/** The metrics that there are. */
export function metricDescriptors(): runtime.v1.MetricDescriptor.$Properties[] {
	return DEFINITIONS.map(({ name, help, labels }) => ({ name, help, labelKeys: [...COMMON_LABELS, ...labels] }));
}

/** The metrics of a pod, and of its containers that run. */
export async function podMetrics(pod: Pod): Promise<PodMetrics> {
	if (!pod.isReady) return { podSandboxId: pod.id };
	const subject = {
		...{ usage: await podUsage(pod), startedAtNs: pod.record.createdAt, oomKills: 0 },
		devices: devicesOf(pod.sandbox?.pid ?? 0),
	};
	return {
		podSandboxId: pod.id,
		metrics: metricsOf(subject, ['POD', pod.id, '', ''], pod, () => true),
		containerMetrics: await fulfilled(
			runningOf(pod).map(async (container) => ({ containerId: container.id, metrics: await containerMetrics(container) })),
		),
	};
}

async function containerMetrics(container: Container): Promise<Metric[]> {
	const { id, pod, config, record } = container;
	const subject = {
		...{ usage: await containerUsage(container), startedAtNs: record.startedAt, devices: [] },
		oomKills: pod.sandbox?.oomKills(id) ?? 0,
	};
	const { name = '' } = config.metadata ?? {};
	return metricsOf(subject, [name, id, config.image?.image ?? '', name], pod, ({ isOfPod }) => !isOfPod);
}

function metricsOf(subject: Subject, own: readonly (string | null)[], pod: Pod, isWanted: (definition: Definition) => boolean): Metric[] {
	const { namespace, name: podName } = pod.config.metadata ?? {};
	const common = [...own, namespace, podName].map((text) => text ?? '');
	return DEFINITIONS.filter(isWanted).flatMap((definition) =>
		definition.samples(subject).map(({ labels, value }) => ({
			name: definition.name,
			metricType: definition.type,
			labelValues: [...common, ...labels],
			value: { value: Math.floor(value) },
		})),
	);
}
