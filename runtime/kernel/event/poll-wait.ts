import type { Task } from '../task/task.js';
import { native } from '../../native.js';
import { copyIn, scratchView } from '../trap/guest-memory.js';
import { EINVAL } from '../abi/errno.js';
import { SignalMaskArgument } from './signal-mask-argument.js';

const NS_PER_SECOND = 1e9;
/** Longer than any wait that has to end: 100 years. */
const FOREVER_NS = 3.2e18;

/** Sets the deadline of a wait of `ms` milliseconds; negative waits for ever. */
export function setDeadlineMs(task: Task, ms: number): void {
	if (ms > 0) task.setDeadline(native.monotonicNs() + ms * 1e6);
}

/** Copies a struct timespec (or timeval, with `unitNs` 1000) in: ns, -1 for a null address, or -errno below that. EINVAL, EFAULT. */
export function copyInTimeout(task: Task, address: number, unitNs = 1): number {
	if (address === 0) return -1;
	const error = copyIn(task.tid, address, 16);
	if (error < 0) return error;
	const seconds = scratchView.getInt32(4, true) * 0x1_0000_0000 + scratchView.getUint32(0, true);
	const parts = scratchView.getInt32(12, true) * 0x1_0000_0000 + scratchView.getUint32(8, true);
	if (seconds < 0 || parts < 0 || (unitNs === 1 && parts >= NS_PER_SECOND)) return -EINVAL;
	return Math.min(FOREVER_NS, seconds * NS_PER_SECOND + parts * unitNs);
}

const SIGSET_BYTES = 8;

/** The sigmask argument of ppoll and its like, put into the trap. Errors: EINVAL (size), EFAULT. */
export function copyInSignalMask(task: Task, address: number, size: number): number {
	if (address === 0) return 0;
	if (size !== SIGSET_BYTES) return -EINVAL;
	const error = copyIn(task.tid, address, SIGSET_BYTES);
	if (error < 0) return error;
	task.trap.signalMask = new SignalMaskArgument(scratchView.getInt32(0, true), scratchView.getInt32(4, true), address);
	return 0;
}
