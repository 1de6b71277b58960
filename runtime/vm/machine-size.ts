import { availableParallelism } from 'node:os';
import { type Config, ConfigError } from '../oci/config.js';

const MIB = 1 << 20;
/** What the guest's kernel and agent need beside the containers. */
const OVERHEAD_MIB = 96;
const DEFAULT_MEMORY_MIB = 512;
/** More than any host has: a pod's annotation is a user's. */
const MAX_MEMORY_MIB = 1 << 22;
const DEFAULT_PERIOD_US = 100_000;

/** The sums over a pod's containers, which containerd and `isopod serve` tell its first container: kubelet has them. */
const MEMORY_ANNOTATION = 'io.kubernetes.cri.sandbox-memory';
const QUOTA_ANNOTATION = 'io.kubernetes.cri.sandbox-cpu-quota';
const PERIOD_ANNOTATION = 'io.kubernetes.cri.sandbox-cpu-period';

export interface MachineSize {
	readonly memoryMib: number;
	readonly cpus: number;
}

/** The size of a machine without limits. */
export const DEFAULT_SIZE: MachineSize = { memoryMib: DEFAULT_MEMORY_MIB, cpus: 1 };

/**
 * The size of a pod's machine: what the pod may use, else what its first container may, and what the guest's kernel needs beside it; as many processors as can use up
 * the time that it may have, and no more than the host has. Throws ConfigError.
 */
export function machineSize({ annotations, linux }: Pick<Config, 'annotations' | 'linux'>): MachineSize {
	const { memoryLimitBytes, cpuQuotaUs, cpuPeriodUs } = linux.resources;
	// What is said of the pod counts, also when that is that it has no limit: the first container's own may be nothing but an overhead.
	const ofPod = (name: string, own: number | null): number | null =>
		name in annotations ? positive(name, annotations[name]!) : finite(own);
	const bytes = ofPod(MEMORY_ANNOTATION, memoryLimitBytes);
	const memoryMib = bytes === null ? DEFAULT_MEMORY_MIB : Math.ceil(bytes / MIB) + OVERHEAD_MIB;
	if (memoryMib > MAX_MEMORY_MIB) throw new ConfigError('linux.resources.memory.limit', `no machine has ${memoryMib} MiB`);
	const quotaUs = ofPod(QUOTA_ANNOTATION, cpuQuotaUs);
	const periodUs = ofPod(PERIOD_ANNOTATION, cpuPeriodUs) ?? DEFAULT_PERIOD_US;
	return { memoryMib, cpus: quotaUs === null ? 1 : Math.min(Math.ceil(quotaUs / periodUs), availableParallelism()) };
}

/** A limit that is one: null where it is not said, or unlimited. */
function finite(value: number | null): number | null {
	return value !== null && Number.isFinite(value) && value > 0 ? value : null;
}

/** An annotation's number; null when it is 0 or less, which stands for no limit. */
function positive(name: string, text: string): number | null {
	if (!/^-?\d{1,18}$/.test(text)) throw new ConfigError(`annotations.${name}`, `want a number, not ${JSON.stringify(text)}`);
	return Number(text) > 0 ? Number(text) : null;
}
