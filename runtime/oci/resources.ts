import { ConfigError, type Section } from './section.js';

/** A block device and a number about it. */
export interface DeviceValue {
	readonly major: number;
	readonly minor: number;
	readonly value: number;
}

export type ThrottleKind = 'ReadBps' | 'WriteBps' | 'ReadIOPS' | 'WriteIOPS';

/**
 * `linux.resources` of config.json, or what `isopod update` was given: absent is null, and leaves things as they are. Bytes and microseconds; -1 (here
 * `Infinity`) is no limit.
 */
export interface Resources {
	readonly memoryLimitBytes: number | null;
	readonly memoryReservationBytes: number | null;
	/** Memory and swap together. */
	readonly memorySwapBytes: number | null;
	readonly swappiness: number | null;
	readonly isOomKillerDisabled: boolean | null;
	/** Refuse a limit below what is in use. */
	readonly isCheckedBeforeUpdate: boolean;
	readonly cpuShares: number | null;
	readonly cpuQuotaUs: number | null;
	readonly cpuPeriodUs: number | null;
	readonly cpuBurstUs: number | null;
	readonly cpuRealtimeRuntimeUs: number | null;
	readonly cpuRealtimePeriodUs: number | null;
	readonly cpuIdle: number | null;
	readonly cpus: string | null;
	readonly mems: string | null;
	readonly pidsLimit: number | null;
	readonly blockWeight: number | null;
	readonly blockLeafWeight: number | null;
	readonly blockWeightDevices: readonly DeviceValue[];
	readonly blockThrottle: Readonly<Record<ThrottleKind, readonly DeviceValue[]>>;
	readonly hugepages: readonly { readonly pageSize: string; readonly limitBytes: number }[];
	readonly networkClass: number | null;
	readonly networkPriorities: readonly { readonly name: string; readonly priority: number }[];
	/** Files of cgroup v2 and what is written to them. */
	readonly unified: Readonly<Record<string, string>>;
}

export const NO_THROTTLE: Resources['blockThrottle'] = { ReadBps: [], WriteBps: [], ReadIOPS: [], WriteIOPS: [] };

export const NO_RESOURCES: Resources = {
	memoryLimitBytes: null,
	memoryReservationBytes: null,
	memorySwapBytes: null,
	swappiness: null,
	isOomKillerDisabled: null,
	isCheckedBeforeUpdate: false,
	cpuShares: null,
	cpuQuotaUs: null,
	cpuPeriodUs: null,
	cpuBurstUs: null,
	cpuRealtimeRuntimeUs: null,
	cpuRealtimePeriodUs: null,
	cpuIdle: null,
	cpus: null,
	mems: null,
	pidsLimit: null,
	blockWeight: null,
	blockLeafWeight: null,
	blockWeightDevices: [],
	blockThrottle: NO_THROTTLE,
	hugepages: [],
	networkClass: null,
	networkPriorities: [],
	unified: {},
};

/** What a list of CPUs or memory nodes looks like, cpuset(7). */
const CPU_LIST = /^\d+(-\d+)?(,\d+(-\d+)?)*$/;

/** Checks a `resources` object whole. Throws ConfigError naming the field. */
export function parseResources(resources: Section): Resources {
	// The container's devices are the guest kernel's few: a rule that denies others changes nothing, nor does one that allows what is there anyway.
	for (const rule of resources.sections('devices')) {
		const isAllowed = rule.boolean('allow', false);
		const type = rule.string('type', 'a');
		if (isAllowed && type !== 'c' && type !== 'b' && type !== 'a') throw new ConfigError(rule.name('type'), `want a, b or c, got ${type}`);
		rule.ignore('access').ignore('major').ignore('minor');
		rule.end();
	}
	const memory = resources.optionalSection('memory');
	const cpu = resources.optionalSection('cpu');
	const pids = resources.optionalSection('pids');
	const block = resources.optionalSection('blockIO');
	const network = resources.optionalSection('network');
	const result: Resources = {
		memoryLimitBytes: optionalLimit(memory, 'limit'),
		memoryReservationBytes: optionalLimit(memory, 'reservation'),
		memorySwapBytes: optionalLimit(memory, 'swap'),
		swappiness: optionalInteger(memory, 'swappiness', 100),
		isOomKillerDisabled: memory?.has('disableOOMKiller') ? memory.boolean('disableOOMKiller', false) : null,
		isCheckedBeforeUpdate: memory?.boolean('checkBeforeUpdate', false) ?? false,
		cpuShares: optionalInteger(cpu, 'shares'),
		cpuQuotaUs: optionalLimit(cpu, 'quota'),
		cpuPeriodUs: optionalInteger(cpu, 'period'),
		cpuBurstUs: optionalInteger(cpu, 'burst'),
		cpuRealtimeRuntimeUs: optionalLimit(cpu, 'realtimeRuntime'),
		cpuRealtimePeriodUs: optionalInteger(cpu, 'realtimePeriod'),
		cpuIdle: optionalInteger(cpu, 'idle', 1),
		cpus: optionalCpuList(cpu, 'cpus'),
		mems: optionalCpuList(cpu, 'mems'),
		pidsLimit: optionalLimit(pids, 'limit'),
		blockWeight: optionalInteger(block, 'weight', 1000),
		blockLeafWeight: optionalInteger(block, 'leafWeight', 1000),
		blockWeightDevices: block?.sections('weightDevice').map((device) => deviceValue(device, 'weight')) ?? [],
		blockThrottle: {
			ReadBps: throttle(block, 'throttleReadBpsDevice'),
			WriteBps: throttle(block, 'throttleWriteBpsDevice'),
			ReadIOPS: throttle(block, 'throttleReadIOPSDevice'),
			WriteIOPS: throttle(block, 'throttleWriteIOPSDevice'),
		},
		hugepages: resources.sections('hugepageLimits').map((limit) => {
			const pageSize = limit.string('pageSize');
			if (!/^\d+(KB|MB|GB)$/.test(pageSize)) throw new ConfigError(limit.name('pageSize'), `want a size such as 2MB, got ${pageSize}`);
			const limitBytes = limit.limit('limit');
			limit.end();
			return { pageSize, limitBytes };
		}),
		networkClass: optionalInteger(network, 'classID'),
		networkPriorities:
			network?.sections('priorities').map((entry) => {
				const priority = { name: entry.string('name'), priority: entry.integer('priority', 0) };
				entry.end();
				return priority;
			}) ?? [],
		unified: resources.strings('unified'),
	};
	for (const file of Object.keys(result.unified))
		if (!/^[a-z0-9_.]+$/i.test(file)) throw new ConfigError(resources.name('unified'), `${JSON.stringify(file)} is no file of a cgroup`);
	// Kernel memory is counted with the rest since 5.11, and hierarchies are the only ones there are.
	memory?.ignore('kernel').ignore('kernelTCP').ignore('useHierarchy');
	resources.refuse('rdma', (value) => typeof value !== 'object' || value === null || Object.keys(value).length > 0);
	for (const section of [memory, cpu, pids, block, network]) section?.end();
	resources.end();
	return result;
}

/** Is there anything to be set? */
export function hasResources(resources: Resources): boolean {
	return JSON.stringify({ ...resources, isCheckedBeforeUpdate: false }) !== JSON.stringify(NO_RESOURCES);
}

function optionalLimit(section: Section | null, field: string): number | null {
	return section?.has(field) ? section.limit(field) : null;
}

function optionalInteger(section: Section | null, field: string, maximum: number = Number.MAX_SAFE_INTEGER): number | null {
	return section?.has(field) ? section.integer(field, 0, maximum) : null;
}

function optionalCpuList(section: Section | null, field: string): string | null {
	const text = section?.string(field, '') ?? '';
	if (text !== '' && !CPU_LIST.test(text))
		throw new ConfigError(section!.name(field), `want a list such as 0-2,7, got ${JSON.stringify(text)}`);
	return text === '' ? null : text;
}

function throttle(block: Section | null, field: string): DeviceValue[] {
	return block?.sections(field).map((device) => deviceValue(device, 'rate')) ?? [];
}

function deviceValue(device: Section, field: string): DeviceValue {
	const value = {
		major: device.integer('major', 0),
		minor: device.integer('minor', 0),
		value: device.integer(field, 0, Number.MAX_SAFE_INTEGER),
	};
	// Gone from Linux since 5.0.
	device.refuse('leafWeight', (weight) => weight !== 0);
	device.end();
	return value;
}
