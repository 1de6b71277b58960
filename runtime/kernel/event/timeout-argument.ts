import { native } from '../../native.js';
import { EINVAL } from '../abi/errno.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, scratchView } from '../trap/guest-memory.js';

const NS_PER_SECOND = 1e9;
const NS_PER_MICROSECOND = 1000;
const NS_PER_MS = 1e6;
/** A timeout of more than this many seconds (thirty years) never ends. */
const FOREVER_SECONDS = 1e9;

/** "No timeout". */
export const FOREVER = Number.POSITIVE_INFINITY;

/**
 * Reads a struct timespec (or a struct timeval, with `isTimeval`): ns, FOREVER for a null pointer and for what is as good as forever, or -errno.
 * Errors: EFAULT, EINVAL (negative; a timespec whose nanoseconds aren't below a second). Uses the scratch buffer.
 */
export function readTimeout(task: Task, address: number, isTimeval = false): number {
	if (address === 0) return FOREVER;
	const error = copyIn(task.tid, address, 16);
	if (error < 0) return error;
	let seconds = scratchView.getInt32(4, true) * 0x1_0000_0000 + scratchView.getUint32(0, true);
	const fraction = scratchView.getInt32(12, true) * 0x1_0000_0000 + scratchView.getUint32(8, true);
	let ns = fraction;
	if (isTimeval) {
		// select(2) carries whole seconds of the microseconds over.
		const carried = Math.trunc(fraction / 1e6);
		seconds += carried;
		ns = (fraction - carried * 1e6) * NS_PER_MICROSECOND;
	}
	if (seconds < 0 || ns < 0 || ns >= NS_PER_SECOND) return -EINVAL;
	return seconds > FOREVER_SECONDS ? FOREVER : seconds * NS_PER_SECOND + ns;
}

/** A timeout in milliseconds as poll(2) and epoll_wait(2) have it: negative is forever. In ns. */
export function timeoutOfMs(milliseconds: number): number {
	return milliseconds < 0 ? FOREVER : milliseconds * NS_PER_MS;
}

/** Gives the call its deadline, at its first run, `timeoutNs` from now. */
export function setTimeoutOf(task: Task, timeoutNs: number): void {
	if (task.trap.deadlineNs < 0 && timeoutNs !== FOREVER) task.setDeadline(native.monotonicNs() + timeoutNs);
}

/**
 * Stores what is left of the timeout, as Linux does for ppoll, pselect6 and select. A fault isn't reported: the caller's answer is made already.
 */
export function writeTimeLeft(task: Task, address: number, timeoutNs: number, isTimeval = false): void {
	// Neither "forever" nor "don't wait" is touched.
	if (address === 0 || timeoutNs === FOREVER || timeoutNs === 0) return;
	const { trap } = task;
	const left = trap.deadlineNs < 0 ? timeoutNs : Math.max(0, trap.deadlineNs - native.monotonicNs());
	const seconds = Math.floor(left / NS_PER_SECOND);
	const ns = left - seconds * NS_PER_SECOND;
	scratchView.setUint32(0, seconds % 0x1_0000_0000, true);
	scratchView.setUint32(4, Math.floor(seconds / 0x1_0000_0000), true);
	scratchView.setUint32(8, isTimeval ? Math.floor(ns / NS_PER_MICROSECOND) : ns, true);
	scratchView.setUint32(12, 0, true);
	copyOut(task.tid, address, 16);
}
