import { native } from '../../native.js';
import { EINVAL } from '../abi/errno.js';
import { SIGALRM } from '../abi/signal-numbers.js';
import { Timer } from '../event/timers.js';
import { CONTINUE } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { copyIn, copyOut, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

const ITIMER_REAL = 0;
const ITIMER_PROF = 2;
const NS_PER_SECOND = 1e9;
const NS_PER_MICROSECOND = 1000;

/**
 * setitimer(2), ITIMER_REAL in the guest kernel, so that it knows when a call is interrupted (facts/traps.md 3). The others count the host's CPU time and
 * are the host's: its copy of the argument is its own affair.
 */
export function sysSetitimer(task: Task, trap: Trap): number {
	const which = trap.int(0);
	if (which < 0 || which > ITIMER_PROF) return -EINVAL;
	if (which !== ITIMER_REAL) return CONTINUE;
	let valueNs = 0;
	let intervalNs = 0;
	if (trap.size(1) !== 0) {
		const error = copyIn(task.tid, trap.size(1), 32);
		if (error < 0) return error;
		intervalNs = timeval(0);
		valueNs = timeval(16);
		if (intervalNs < 0 || valueNs < 0) return -EINVAL;
	}
	const { group } = task;
	putItimer(group);
	if (trap.size(2) !== 0) {
		const error = copyOut(task.tid, trap.size(2), 32);
		if (error < 0) return error;
	}
	arm(group, valueNs, intervalNs);
	return 0;
}

/** getitimer(2). */
export function sysGetitimer(task: Task, trap: Trap): number {
	const which = trap.int(0);
	if (which < 0 || which > ITIMER_PROF) return -EINVAL;
	if (which !== ITIMER_REAL) return CONTINUE;
	putItimer(task.group);
	return copyOut(task.tid, trap.size(1), 32);
}

/** alarm(2): seconds that were left, rounded up. */
export function sysAlarm(task: Task, trap: Trap): number {
	const { group } = task;
	const leftNs = left(group);
	arm(group, trap.uint(0) * NS_PER_SECOND, 0);
	return leftNs === 0 ? 0 : Math.max(1, Math.round(leftNs / NS_PER_SECOND));
}

function arm(group: ThreadGroup, valueNs: number, intervalNs: number): void {
	const { kernel } = group.container;
	group.realTimerIntervalNs = intervalNs;
	if (valueNs === 0) {
		if (group.realTimer?.isArmed) kernel.timers.disarm(group.realTimer);
		return;
	}
	group.realTimer ??= realTimer(group);
	kernel.timers.arm(group.realTimer, native.monotonicNs() + valueNs);
}

function realTimer(group: ThreadGroup): Timer {
	const { kernel } = group.container;
	const timer = new Timer((nowNs) => {
		const intervalNs = group.realTimerIntervalNs;
		if (intervalNs > 0) {
			// Missed periods are one signal, as on Linux.
			const missed = Math.floor((nowNs - timer.expiresNs) / intervalNs);
			kernel.timers.arm(timer, timer.expiresNs + (missed + 1) * intervalNs);
		}
		kernel.signals.sendToGroup(group, SIGALRM);
	});
	return timer;
}

function left(group: ThreadGroup): number {
	return group.realTimer?.isArmed ? Math.max(NS_PER_MICROSECOND, group.realTimer.expiresNs - native.monotonicNs()) : 0;
}

/** A struct timeval of the scratch buffer in ns, -1 if it isn't valid. */
function timeval(at: number): number {
	const seconds = scratchView.getInt32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
	const microseconds = scratchView.getInt32(at + 12, true) * 0x1_0000_0000 + scratchView.getUint32(at + 8, true);
	if (seconds < 0 || microseconds < 0 || microseconds >= 1_000_000) return -1;
	return seconds * NS_PER_SECOND + microseconds * NS_PER_MICROSECOND;
}

function putItimer(group: ThreadGroup): void {
	putTimeval(0, group.realTimerIntervalNs);
	putTimeval(16, left(group));
}

function putTimeval(at: number, ns: number): void {
	const seconds = Math.floor(ns / NS_PER_SECOND);
	scratchView.setUint32(at, seconds % 0x1_0000_0000, true);
	scratchView.setUint32(at + 4, Math.floor(seconds / 0x1_0000_0000), true);
	scratchView.setUint32(at + 8, Math.floor((ns - seconds * NS_PER_SECOND) / NS_PER_MICROSECOND), true);
	scratchView.setUint32(at + 12, 0, true);
}
