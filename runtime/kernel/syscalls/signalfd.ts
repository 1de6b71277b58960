import { EBADF, EINVAL } from '../abi/errno.js';
import { O_CLOEXEC, O_NONBLOCK, O_PATH } from '../abi/fcntl.js';
import { SIGKILL, SIGSTOP } from '../abi/signal-numbers.js';
import { SignalFd } from '../event/signalfd.js';
import { signalBit } from '../task/kept-signals.js';
import type { Task } from '../task/task.js';
import { copyIn, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { install } from './install.js';

const SIGSET_BYTES = 8;

/** signalfd(2) as amd64 had it first: without flags. */
export function sysSignalfd(task: Task, trap: Trap): number {
	return signalfd(task, trap, 0);
}

/** signalfd4(2). */
export function sysSignalfd4(task: Task, trap: Trap): number {
	return signalfd(task, trap, trap.uint(3));
}

function signalfd(task: Task, trap: Trap, flags: number): number {
	if (trap.size(2) !== SIGSET_BYTES) return -EINVAL;
	const error = copyIn(task.tid, trap.size(1), SIGSET_BYTES);
	if (error < 0) return error;
	if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
	const low = scratchView.getInt32(0, true) & ~(signalBit(SIGKILL) | signalBit(SIGSTOP));
	const high = scratchView.getInt32(4, true);
	const fd = trap.int(0);
	if (fd === -1) return install(task, new SignalFd(task.kernel, low, high, flags & O_NONBLOCK), (flags & O_CLOEXEC) !== 0);
	const description = task.file(fd);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (!(description instanceof SignalFd)) return -EINVAL;
	description.low = low;
	description.high = high;
	description.waiters.wake();
	task.kernel.signals.release(task.group);
	return fd;
}
