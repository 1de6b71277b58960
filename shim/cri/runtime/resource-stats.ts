import type { runtime } from '../../../proto/generated/cri.js';
import { Cgroup } from '../../../runtime/oci/cgroup/cgroup.js';
import { findHierarchies, type Hierarchies } from '../../../runtime/oci/cgroup/hierarchies.js';
import { readStats } from '../../../runtime/oci/cgroup/stats.js';
import type { Snapshots } from '../../image/snapshots.js';
import type { Container } from './container.js';
import { DiskUsage } from './disk-usage.js';
import { fulfilled } from './filters.js';
import type { Pod } from './pod.js';
import { groupOf } from './pod-spec.js';
import { CpuRates, type DeviceUsage, devicesOf, NO_PRESSURE, readPressure, sumOf, type Usage, usageOf } from './usage.js';

type ContainerStats = runtime.v1.ContainerStats.$Properties;
type PodStats = runtime.v1.PodSandboxStats.$Properties;
type Value = runtime.v1.UInt64Value.$Properties;

/** The device that a pod's address is on. */
const DEFAULT_DEVICE = 'eth0';

/** What pods and containers use, as CRI tells it: by their control groups, their writable layers and their network devices. */
export class ResourceStats {
	private readonly rates = new CpuRates();
	private readonly disks = new DiskUsage();

	constructor(
		private readonly snapshots: Snapshots,
		/** Of the images and writable layers: it names their file system. */
		private readonly imageRoot: string,
	) {}

	/** A container's usage; without the program's when that doesn't run. */
	async container(container: Container): Promise<ContainerStats> {
		const { id } = container;
		const { metadata = null, labels, annotations } = container.config;
		const attributes = { id, metadata, labels, annotations };
		const layer = await this.layer(id);
		if (container.record.state !== 'running') return { attributes, ...layer };
		const usage = await containerUsage(container);
		return { attributes, ...this.describe(container, usage), ...layer, ...swapOf(usage), ...ioOf(usage) };
	}

	/** A pod's usage with that of its containers that run. */
	async pod(pod: Pod): Promise<PodStats> {
		const { metadata = null, labels, annotations } = pod.config;
		const attributes = { id: pod.id, metadata, labels, annotations };
		if (!pod.isReady) return { attributes };
		const running = runningOf(pod);
		const usage = await podUsage(pod);
		const devices = devicesOf(pod.sandbox?.pid ?? 0);
		const timestamp = usage.atNs;
		const main = devices.find(({ name }) => name === DEFAULT_DEVICE);
		return {
			attributes,
			linux: {
				...this.describe(pod, usage),
				network: {
					timestamp,
					defaultInterface: main === undefined ? null : describeDevice(main),
					interfaces: devices.filter((device) => device !== main).map(describeDevice),
				},
				process: { timestamp, processCount: value(usage.processes) },
				containers: await fulfilled(running.map((container) => this.container(container))),
				...ioOf(usage),
			},
		};
	}

	private describe(owner: object, usage: Usage): { cpu: runtime.v1.CpuUsage.$Properties; memory: runtime.v1.MemoryUsage.$Properties } {
		const { atNs: timestamp, pressure } = usage;
		const nanoCores = this.rates.rate(owner, usage);
		const free = usage.memoryLimitBytes - usage.workingSetBytes;
		return {
			cpu: {
				timestamp,
				usageCoreNanoSeconds: value(usage.cpuNs),
				...(nanoCores !== null && { usageNanoCores: value(nanoCores) }),
				psi: pressure.cpu,
			},
			memory: {
				timestamp,
				workingSetBytes: value(usage.workingSetBytes),
				usageBytes: value(usage.memoryBytes),
				rssBytes: value(usage.rssBytes),
				pageFaults: value(usage.faults),
				majorPageFaults: value(usage.majorFaults),
				...(usage.memoryLimitBytes > 0 && { availableBytes: value(Math.max(0, free)) }),
				psi: pressure.memory,
			},
		};
	}

	/** Of the writable layer, as soon as it was measured. */
	private async layer(id: string): Promise<{ writableLayer?: runtime.v1.FilesystemUsage.$Properties }> {
		const folder = this.snapshots.upperOf(id);
		const usage = folder === null ? null : await this.disks.usage(folder);
		if (usage === null) return {};
		const { bytes, inodes, atMs } = usage;
		const fsId = { mountpoint: this.imageRoot };
		return { writableLayer: { timestamp: atMs * 1_000_000, fsId, usedBytes: value(bytes), inodesUsed: value(inodes) } };
	}

	/** Forgets what was measured of containers that are gone. */
	keepOnly(containers: Iterable<Container>): void {
		this.disks.keepOnly(new Set([...containers].map(({ id }) => this.snapshots.upperOf(id) ?? '')));
	}
}

export function runningOf(pod: Pod): Container[] {
	return [...pod.containers.values()].filter(({ record }) => record.state === 'running');
}

/** What the control group of a container says: the host's, or that of its machine's kernel. */
export async function containerUsage({ id, pod }: Container): Promise<Usage> {
	if (pod.record.handler === 'isopod-vm' && pod.sandbox !== null) return usageOf(await pod.sandbox.stats(id), NO_PRESSURE);
	return groupUsage(groupOf(pod.config, id));
}

/**
 * A pod that has a control group for all that it has (kubelet gives each pod one) is that; else it is the sum of its containers and its sandbox process, which doesn't know what those used
 * that are gone.
 */
export async function podUsage(pod: Pod): Promise<Usage> {
	const parent = pod.config.linux?.cgroupParent;
	if (parent) return groupUsage(parent);
	const own = groupOf(pod.config, pod.id);
	return sumOf([groupUsage(own), groupUsage(groupAt(own).sandboxPath), ...(await fulfilled(runningOf(pod).map(containerUsage)))]);
}

function groupUsage(path: string): Usage {
	const cgroup = groupAt(path);
	return usageOf(readStats(cgroup), readPressure(cgroup));
}

/** Where they are mounted doesn't change, and looking for it takes longer than reading them. */
let hierarchies: Hierarchies | null = null;

function groupAt(path: string): Cgroup {
	hierarchies ??= findHierarchies();
	return Cgroup.at(path, hierarchies);
}

function swapOf({ atNs, swapBytes, swapLimitBytes }: Usage): { swap: runtime.v1.SwapUsage.$Properties } {
	return {
		swap: {
			timestamp: atNs,
			swapUsageBytes: value(swapBytes),
			...(swapLimitBytes > 0 && { swapAvailableBytes: value(Math.max(0, swapLimitBytes - swapBytes)) }),
		},
	};
}

function ioOf({ atNs, pressure }: Usage): { io?: runtime.v1.IoUsage.$Properties } {
	return pressure.io === null ? {} : { io: { timestamp: atNs, psi: pressure.io } };
}

function describeDevice({ name, rxBytes, rxErrors, txBytes, txErrors }: DeviceUsage): runtime.v1.NetworkInterfaceUsage.$Properties {
	return { name, rxBytes: value(rxBytes), rxErrors: value(rxErrors), txBytes: value(txBytes), txErrors: value(txErrors) };
}

function value(number: number): Value {
	return { value: number };
}
