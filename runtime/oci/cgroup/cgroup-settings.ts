import type { DeviceValue, Resources, ThrottleKind } from '../resources.js';

/** One write to one file of a cgroup. */
export interface Setting {
	/** The controller whose hierarchy has the file (v1), and that must be there (v2). */
	readonly controller: string;
	readonly file: string;
	readonly value: string;
}

const THROTTLE_FILES_V1: Readonly<Record<ThrottleKind, string>> = {
	ReadBps: 'blkio.throttle.read_bps_device',
	WriteBps: 'blkio.throttle.write_bps_device',
	ReadIOPS: 'blkio.throttle.read_iops_device',
	WriteIOPS: 'blkio.throttle.write_iops_device',
};
const THROTTLE_KEYS_V2: Readonly<Record<ThrottleKind, string>> = {
	ReadBps: 'rbps',
	WriteBps: 'wbps',
	ReadIOPS: 'riops',
	WriteIOPS: 'wiops',
};

/** cpu.shares: 2 to 262144, kernel/sched/core.c. */
const MIN_SHARES = 2;
const MAX_SHARES = 262144;
const MAX_WEIGHT = 10000;

const device = ({ major, minor, value }: DeviceValue): string => `${major}:${minor} ${value}`;
const unlimited = (value: number, word: string): string => (Number.isFinite(value) ? `${value}` : word);

/** What to write in cgroup v1, in this order (Documentation/admin-guide/cgroup-v1). */
export function settingsV1(resources: Resources): Setting[] {
	const settings: Setting[] = [];
	const put = (controller: string, file: string, value: number | string | null): void => {
		if (value !== null) settings.push({ controller, file, value: typeof value === 'number' ? unlimited(value, '-1') : value });
	};
	put('cpuset', 'cpuset.cpus', resources.cpus);
	put('cpuset', 'cpuset.mems', resources.mems);
	put('memory', 'memory.limit_in_bytes', resources.memoryLimitBytes);
	put('memory', 'memory.memsw.limit_in_bytes', resources.memorySwapBytes);
	put('memory', 'memory.soft_limit_in_bytes', resources.memoryReservationBytes);
	put('memory', 'memory.swappiness', resources.swappiness);
	if (resources.isOomKillerDisabled !== null) put('memory', 'memory.oom_control', resources.isOomKillerDisabled ? 1 : 0);
	put('cpu', 'cpu.shares', resources.cpuShares || null);
	put('cpu', 'cpu.cfs_period_us', resources.cpuPeriodUs || null);
	put('cpu', 'cpu.cfs_quota_us', resources.cpuQuotaUs || null);
	put('cpu', 'cpu.cfs_burst_us', resources.cpuBurstUs);
	put('cpu', 'cpu.rt_period_us', resources.cpuRealtimePeriodUs || null);
	put('cpu', 'cpu.rt_runtime_us', resources.cpuRealtimeRuntimeUs || null);
	put('cpu', 'cpu.idle', resources.cpuIdle);
	if (resources.pidsLimit !== null) put('pids', 'pids.max', pidsMaximum(resources.pidsLimit));
	put('blkio', 'blkio.weight', resources.blockWeight || null);
	put('blkio', 'blkio.leaf_weight', resources.blockLeafWeight || null);
	for (const weight of resources.blockWeightDevices) put('blkio', 'blkio.weight_device', device(weight));
	for (const [kind, devices] of Object.entries(resources.blockThrottle))
		for (const limit of devices) put('blkio', THROTTLE_FILES_V1[kind as ThrottleKind], device(limit));
	for (const { pageSize, limitBytes } of resources.hugepages) put('hugetlb', `hugetlb.${pageSize}.limit_in_bytes`, limitBytes);
	put('net_cls', 'net_cls.classid', resources.networkClass);
	for (const { name, priority } of resources.networkPriorities) put('net_prio', 'net_prio.ifpriomap', `${name} ${priority}`);
	return settings;
}

/** What to write in cgroup v2, in this order (Documentation/admin-guide/cgroup-v2.rst). Throws what can't be said there. */
export function settingsV2(resources: Resources): Setting[] {
	const settings: Setting[] = [];
	const put = (controller: string, file: string, value: number | string | null): void => {
		if (value !== null) settings.push({ controller, file, value: typeof value === 'number' ? unlimited(value, 'max') : value });
	};
	put('cpuset', 'cpuset.cpus', resources.cpus);
	put('cpuset', 'cpuset.mems', resources.mems);
	put('memory', 'memory.max', resources.memoryLimitBytes);
	put('memory', 'memory.low', resources.memoryReservationBytes);
	put('memory', 'memory.swap.max', swapV2(resources));
	if (resources.cpuShares) put('cpu', 'cpu.weight', cpuWeight(resources.cpuShares));
	if (resources.cpuQuotaUs || resources.cpuPeriodUs) {
		const quota = resources.cpuQuotaUs === null || resources.cpuQuotaUs === 0 ? 'max' : unlimited(resources.cpuQuotaUs, 'max');
		put('cpu', 'cpu.max', resources.cpuPeriodUs ? `${quota} ${resources.cpuPeriodUs}` : quota);
	}
	put('cpu', 'cpu.max.burst', resources.cpuBurstUs);
	put('cpu', 'cpu.idle', resources.cpuIdle);
	if (resources.pidsLimit !== null) put('pids', 'pids.max', pidsMaximum(resources.pidsLimit));
	// blkio.weight goes from 10 to 1000, io.weight from 1 to 10000.
	if (resources.blockWeight) put('io', 'io.bfq.weight', resources.blockWeight);
	for (const weight of resources.blockWeightDevices) put('io', 'io.bfq.weight', device(weight));
	for (const [kind, devices] of Object.entries(resources.blockThrottle)) {
		for (const { major, minor, value } of devices)
			put('io', 'io.max', `${major}:${minor} ${THROTTLE_KEYS_V2[kind as ThrottleKind]}=${value === 0 ? 'max' : value}`);
	}
	for (const { pageSize, limitBytes } of resources.hugepages) put('hugetlb', `hugetlb.${pageSize}.max`, limitBytes);
	for (const [file, value] of Object.entries(resources.unified)) put(file.split('.')[0]!, file, value);
	return settings;
}

/** In runc 0 and below are no limit, as -1 in config.json is; here that is Infinity. */
function pidsMaximum(limit: number): string {
	return limit > 0 ? unlimited(limit, 'max') : 'max';
}

/** config.json's swap is memory and swap together; memory.swap.max is swap alone. */
function swapV2({ memoryLimitBytes, memorySwapBytes }: Resources): number | null {
	if (memorySwapBytes === null || memorySwapBytes === 0) return null;
	if (!Number.isFinite(memorySwapBytes)) return memorySwapBytes;
	if (memoryLimitBytes === null || !Number.isFinite(memoryLimitBytes))
		throw new Error('memory.swap is memory and swap together: it means nothing without memory.limit');
	if (memorySwapBytes < memoryLimitBytes) throw new Error(`memory.swap (${memorySwapBytes}) is below memory.limit (${memoryLimitBytes})`);
	return memorySwapBytes - memoryLimitBytes;
}

/** cpu.shares (2 to 262144) as cpu.weight (1 to 10000), the way runc and crun have it. */
function cpuWeight(shares: number): number {
	const bounded = Math.min(Math.max(shares, MIN_SHARES), MAX_SHARES);
	return 1 + Math.floor(((bounded - MIN_SHARES) * (MAX_WEIGHT - 1)) / (MAX_SHARES - MIN_SHARES));
}
