import { EINVAL } from '../abi/errno.js';
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK } from '../abi/fcntl.js';
import { makePipe } from '../ipc/pipe.js';
import type { Task } from '../task/task.js';
import type { Trap } from '../trap/trap.js';
import { installPair } from './install.js';

/** pipe(2). */
export function sysPipe(task: Task, trap: Trap): number {
	return pipe(task, trap.size(0), 0);
}

/** pipe2(2). O_NOTIFICATION_PIPE is unknown here, as to a kernel without watch queues. */
export function sysPipe2(task: Task, trap: Trap): number {
	return pipe(task, trap.size(0), trap.uint(1));
}

function pipe(task: Task, address: number, flags: number): number {
	if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) !== 0) return -EINVAL;
	const [readEnd, writeEnd] = makePipe(task, flags & ~O_CLOEXEC);
	return installPair(task, readEnd, writeEnd, (flags & O_CLOEXEC) !== 0, address);
}
