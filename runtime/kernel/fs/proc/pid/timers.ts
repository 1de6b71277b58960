import type { ProcessTarget } from './process-target.js';

/** SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD. */
const NOTIFY = ['signal', 'none', 'thread'];
const SIGEV_THREAD_ID = 4;

/** /proc/PID/timers, proc_pid_timers(5): its POSIX timers. */
export function timersText({ group }: ProcessTarget): string {
	let text = '';
	for (const { id, clockId, event } of group.posixTimers?.all() ?? []) {
		const { notify, signal, tid, valueLow, valueHigh } = event;
		const value = (valueHigh >>> 0) * 0x1_0000_0000 + (valueLow >>> 0);
		const to = tid < 0 ? `pid.${group.insideId}` : `tid.${group.container.insideId(tid, true)}`;
		text += `ID: ${id}\nsignal: ${signal}/${value.toString(16).padStart(16, '0')}\n`;
		text += `notify: ${NOTIFY[notify & ~SIGEV_THREAD_ID]}/${to}\nClockID: ${clockId}\n`;
	}
	return text;
}
