import { native } from '../../../native.js';
import type { Container } from '../../container.js';
import { TaskState } from '../../task/task.js';
import { readHostProc } from './host-proc.js';
import { HostStat } from './pid/host-stat.js';

/** What the container's processes have used, and how many run now. */
export interface ProcessTimes {
	/** Clock ticks, ended children that were waited for included. */
	userTicks: number;
	systemTicks: number;
	/** Resident memory, pages. */
	residentPages: number;
	running: number;
	threads: number;
}

/** Asked several times by one look at the system: a sum is good for so long. */
const FRESH_NS = 10_000_000;

const sums = new WeakMap<Container, ProcessTimes & { readonly atNs: number }>();

/** Sums over the container's processes. The host is asked for each: no more often than each 10 ms. */
export function processTimes(container: Container): ProcessTimes {
	const now = native.monotonicNs();
	const known = sums.get(container);
	if (known !== undefined && now - known.atNs < FRESH_NS) return known;
	const sum = { userTicks: 0, systemTicks: 0, residentPages: 0, running: 0, threads: 0, atNs: now };
	for (const group of container.groups.values()) {
		const text = readHostProc(`${group.pid}/stat`);
		if (text === '') continue;
		const stat = new HostStat(text);
		sum.userTicks += stat.number(14) + stat.number(16);
		sum.systemTicks += stat.number(15) + stat.number(17);
		sum.residentPages += stat.number(24);
		sum.threads += stat.number(20);
		// A call that is being served is work of its thread's, though the host sees it wait.
		if (stat.text(3) === 'R' || group.tasks.get(group.pid)?.state === TaskState.InTrap) sum.running++;
	}
	sums.set(container, sum);
	return sum;
}
