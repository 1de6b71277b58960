import { native } from '../../../../native.js';
import { ESRCH } from '../../../abi/errno.js';
import { RLIMIT_RSS } from '../../../abi/resource.js';
import type { Task } from '../../../task/task.js';
import { startTicks } from '../uptime.js';
import { commText } from './comm.js';
import { readHostStat } from './host-stat.js';
import { canInspect, type ProcessTarget } from './process-target.js';
import { guestState } from './state.js';

/** RLIM_INFINITY as the kernel prints it. */
const INFINITY_TEXT = '18446744073709551615';

/** Fields that only those who may trace the process see: addresses of its memory, and what it waits in. */
const HIDDEN_FIELDS = [28, 29, 30, 35, 45, 46, 47, 48, 49, 50, 51, 52];

/** /proc/PID/stat, proc_pid_stat(5): the host's numbers with the guest's ids. */
export function statText(reader: Task, target: ProcessTarget): string | number {
	const stat = readHostStat(target);
	if (stat === null || target.isGone) return -ESRCH;
	const { group, fs } = target;
	const { container } = fs;
	stat.set(3, guestState(target, stat.text(3)));
	stat.set(4, container.insideId(stat.number(4)));
	stat.set(5, insideIdOf(target, native.getpgid(group.pid)));
	stat.set(6, insideIdOf(target, native.getsid(group.pid)));
	const terminal = container.kernel.terminals.ofGroup(group);
	stat.set(7, terminal?.deviceNumber ?? 0);
	stat.set(8, terminal === null ? -1 : insideIdOf(target, terminal.processGroup));
	stat.set(22, startTicks(fs, stat.number(22)));
	const rss = group.limits.soft[RLIMIT_RSS]!;
	stat.set(25, rss === Number.POSITIVE_INFINITY ? INFINITY_TEXT : rss);
	// The host's code and data are the loader's, which the guest knows nothing of: as if they were hidden.
	stat.set(26, 1);
	stat.set(27, 1);
	stat.set(35, 0);
	stat.set(45, 0);
	stat.set(46, 0);
	if (!canInspect(reader, target)) for (const field of HIDDEN_FIELDS) stat.set(field, 0);
	return `${target.insideId} (${commText(target, stat.comm)}) ${stat.toString()}\n`;
}

/** A process group or session as the container sees it; 0 when it is led from outside. */
function insideIdOf(target: ProcessTarget, outside: number): number {
	return outside > 0 ? target.fs.container.insideId(outside) : 0;
}

/** /proc/PID/statm: sizes in pages. */
export function statmText(target: ProcessTarget): string | number {
	const text = target.readHost('statm');
	return text === '' ? -ESRCH : text;
}
