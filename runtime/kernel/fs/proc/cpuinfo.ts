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
