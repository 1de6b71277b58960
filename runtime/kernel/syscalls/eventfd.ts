import { EINVAL } from '../abi/errno.js';
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from '../abi/poll-constants.js';
import { EventFd } from '../ipc/eventfd.js';
import type { Task } from '../task/task.js';
import type { Trap } from '../trap/trap.js';
import { install } from './install.js';

/** eventfd(2) as amd64 had it first: without flags. */
export function sysEventfd(task: Task, trap: Trap): number {
	return install(task, new EventFd(trap.uint(0), 0, 0), false);
}

/** eventfd2(2). */
export function sysEventfd2(task: Task, trap: Trap): number {
	const flags = trap.uint(1);
	if ((flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) !== 0) return -EINVAL;
	return install(task, new EventFd(trap.uint(0), flags, flags & EFD_NONBLOCK), (flags & EFD_CLOEXEC) !== 0);
}
