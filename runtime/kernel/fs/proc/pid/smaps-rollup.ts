import type { Task } from '../../../task/task.js';
import { mapsText } from './maps.js';
import type { ProcessTarget } from './process-target.js';

const RANGE = /^([0-9a-f]+)-([0-9a-f]+) /;
const FIELD = /^(\w+): +(\d+) kB$/;
/** What a sum over mappings says nothing about. */
const UNSUMMED = new Set(['Size', 'KernelPageSize', 'MMUPageSize']);

/** /proc/PID/smaps_rollup, proc_pid_smaps(5): the sums over what smaps shows. */
export function smapsRollupText(reader: Task, target: ProcessTarget): string | number {
	const smaps = mapsText(reader, target, 'smaps');
	if (typeof smaps === 'number' || smaps === '') return smaps;
	const sums = new Map<string, number>();
	let first = '';
	let last = '';
	for (const line of smaps.split('\n')) {
		const range = RANGE.exec(line);
		if (range !== null) {
			if (first === '') first = range[1]!;
			last = range[2]!;
			continue;
		}
		const field = FIELD.exec(line);
		if (field !== null && !UNSUMMED.has(field[1]!)) sums.set(field[1]!, (sums.get(field[1]!) ?? 0) + Number(field[2]));
	}
	let text = `${`${first}-${last} ---p 00000000 00:00 0 `.padEnd(73)}[rollup]\n`;
	for (const [name, kib] of sums) text += `${`${name}:`.padEnd(16)}${String(kib).padStart(8)} kB\n`;
	return text;
}
