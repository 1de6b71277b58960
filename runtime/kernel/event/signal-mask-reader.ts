import { EINVAL } from '../abi/errno.js';
import type { Task } from '../task/task.js';
import { copyIn, scratchView } from '../trap/guest-memory.js';
import { SignalMaskArgument } from './signal-mask-argument.js';

const SIGSET_BYTES = 8;

/**
 * The first run of a call that waits under a signal mask takes its argument: `trap.signalMask` is set, unless `address` is null. Uses the scratch buffer.
 * Errors: EINVAL (a set of another size), EFAULT.
 */
export function takeSignalMask(task: Task, address: number, sizeBytes: number): number {
	const { trap } = task;
	if (address === 0 || !trap.isFirstRun) return 0;
	if (sizeBytes !== SIGSET_BYTES) return -EINVAL;
	const error = copyIn(task.tid, address, SIGSET_BYTES);
	if (error < 0) return error;
	trap.signalMask = new SignalMaskArgument(scratchView.getInt32(0, true), scratchView.getInt32(4, true), address);
	// A signal that the thread blocks, and this mask does not, may be pending for long: it is looked for as the call blocks.
	if (task.group.signalsSent > 0) task.signalsSeen = -1;
	return 0;
}
