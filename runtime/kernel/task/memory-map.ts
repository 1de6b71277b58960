import { readHostProc } from '../fs/proc/host-proc.js';

/** One mapping of a process, as the host shows it. Addresses in bytes. */
export interface Mapping {
	readonly start: number;
	readonly end: number;
	readonly isWritable: boolean;
	/** Not private anonymous memory: of a file, or shared. */
	readonly isFile: boolean;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) .(.)..? *[0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+)/;

/** What thread `tid` of process `pid` has mapped, by address; empty when it is gone. */
export function memoryMap(pid: number, tid: number): Mapping[] {
	const mappings: Mapping[] = [];
	for (const line of readHostProc(`${pid}/task/${tid}/maps`).split('\n')) {
		const match = LINE.exec(line);
		if (match === null) continue;
		mappings.push({
			start: Number.parseInt(match[1]!, 16),
			end: Number.parseInt(match[2]!, 16),
			isWritable: match[3] === 'w',
			isFile: match[4] !== '0',
		});
	}
	return mappings;
}

/** The mapping that `address` lies in, or null. */
export function mappingAt(mappings: readonly Mapping[], address: number): Mapping | null {
	let low = 0;
	let high = mappings.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (mappings[middle]!.end <= address) low = middle + 1;
		else high = middle;
	}
	const found = mappings[low];
	return found !== undefined && found.start <= address ? found : null;
}
