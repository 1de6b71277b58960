import { readHostProc } from './host-proc.js';

/** /proc/cpuinfo, proc_cpuinfo(5): the host's, as guests run on its processors. */
export function cpuinfoText(): string {
	return readHostProc('cpuinfo');
}

let numbers: readonly number[] | null = null;

/** The numbers of the processors that are online, ascending. Read once. */
export function processors(): readonly number[] {
	if (numbers === null) {
		const found = [...readHostProc('cpuinfo').matchAll(/^processor\s*: (\d+)$/gm)].map((match) => Number(match[1]));
		numbers = found.length === 0 ? [0] : found;
	}
	return numbers;
}

/** Where a processor is. */
export interface ProcessorPlace {
	readonly number: number;
	readonly packageId: number;
	/** Unique in its package. */
	readonly coreId: number;
}

/** The place of each processor that is online, ascending by number. Without word of it each is a core of one package. */
export function processorTopology(): readonly ProcessorPlace[] {
	return readHostProc('cpuinfo')
		.split('\n\n')
		.flatMap((block) => {
			const field = (name: string): number => Number(new RegExp(`^${name}\\s*: (\\d+)$`, 'm').exec(block)?.[1] ?? Number.NaN);
			const number = field('processor');
			if (Number.isNaN(number)) return [];
			const packageId = field('physical id');
			const coreId = field('core id');
			return [{ number, packageId: Number.isNaN(packageId) ? 0 : packageId, coreId: Number.isNaN(coreId) ? number : coreId }];
		});
}

/** Numbers as sysfs lists them: "0-3,5". */
export function rangeText(values: readonly number[]): string {
	const ranges: string[] = [];
	for (let i = 0; i < values.length; ) {
		let end = i;
		while (values[end + 1] === values[end]! + 1) end++;
		ranges.push(end === i ? `${values[i]}` : `${values[i]}-${values[end]}`);
		i = end + 1;
	}
	return ranges.join(',');
}
