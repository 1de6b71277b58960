import {
	EPOLL_EVENT_BYTES,
	EPOLL_EVENT_DATA_HIGH,
	EPOLL_EVENT_DATA_LOW,
	EPOLL_EVENT_EVENTS,
	EPOLL_MAX_EVENTS,
} from '../abi/epoll-event.js';
import { EBADF, EFAULT, EINVAL, EPERM } from '../abi/errno.js';
import { O_PATH } from '../abi/fcntl.js';
import { TASK_SIZE } from '../abi/limits.js';
import {
	EPOLL_CLOEXEC,
	EPOLL_CTL_ADD,
	EPOLL_CTL_DEL,
	EPOLL_CTL_MOD,
	EPOLLERR,
	EPOLLET,
	EPOLLEXCLUSIVE,
	EPOLLHUP,
	EPOLLIN,
	EPOLLOUT,
	EPOLLWAKEUP,
} from '../abi/poll-constants.js';
import { Epoll } from '../event/epoll.js';
import { takeSignalMask } from '../event/signal-mask-reader.js';
import { readTimeout, setTimeoutOf, timeoutOfMs } from '../event/timeout-argument.js';
import type { Task } from '../task/task.js';
import { copyIn, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { install } from './install.js';

/** What may be asked for together with EPOLLEXCLUSIVE (fs/eventpoll.c, EPOLLEXCLUSIVE_OK_BITS). */
const EXCLUSIVE_BITS = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

/** epoll_create(2): the size is a hint that must be positive. */
export function sysEpollCreate(task: Task, trap: Trap): number {
	return trap.int(0) <= 0 ? -EINVAL : install(task, new Epoll(task), false);
}

/** epoll_create1(2). */
export function sysEpollCreate1(task: Task, trap: Trap): number {
	const flags = trap.uint(0);
	return (flags & ~EPOLL_CLOEXEC) !== 0 ? -EINVAL : install(task, new Epoll(task), flags !== 0);
}

/** epoll_ctl(2). EPOLLWAKEUP needs CAP_BLOCK_SUSPEND, which nobody has here: it is ignored, as Linux does. */
export function sysEpollCtl(task: Task, trap: Trap): number {
	const operation = trap.int(1);
	let events = 0;
	let dataLow = 0;
	let dataHigh = 0;
	if (operation !== EPOLL_CTL_DEL) {
		if (copyIn(task.tid, trap.size(3), EPOLL_EVENT_BYTES) < 0) return -EFAULT;
		events = scratchView.getInt32(EPOLL_EVENT_EVENTS, true) & ~EPOLLWAKEUP;
		dataLow = scratchView.getInt32(EPOLL_EVENT_DATA_LOW, true);
		dataHigh = scratchView.getInt32(EPOLL_EVENT_DATA_HIGH, true);
	}
	const epoll = task.file(trap.int(0));
	const fd = trap.int(2);
	const description = task.file(fd);
	if (epoll === null || description === null || ((epoll.flags | description.flags) & O_PATH) !== 0) return -EBADF;
	if (!description.isPollable) return -EPERM;
	if (epoll === description || !(epoll instanceof Epoll)) return -EINVAL;
	if ((events & EPOLLEXCLUSIVE) !== 0) {
		if (operation === EPOLL_CTL_MOD || description instanceof Epoll || (events & ~EXCLUSIVE_BITS) !== 0) return -EINVAL;
	}
	switch (operation) {
		case EPOLL_CTL_ADD:
			return epoll.add(fd, description, events, dataLow, dataHigh);
		case EPOLL_CTL_MOD:
			return epoll.modify(fd, description, events, dataLow, dataHigh);
		case EPOLL_CTL_DEL:
			return epoll.delete(fd, description);
		default:
			return -EINVAL;
	}
}

/** epoll_wait(2). */
export function sysEpollWait(task: Task, trap: Trap): number {
	return wait(task, trap, timeoutOfMs(trap.int(3)));
}

/** epoll_pwait(2). */
export function sysEpollPwait(task: Task, trap: Trap): number {
	return takeSignalMask(task, trap.size(4), trap.size(5)) || wait(task, trap, timeoutOfMs(trap.int(3)));
}

/** epoll_pwait2(2): its timeout is a struct timespec. */
export function sysEpollPwait2(task: Task, trap: Trap): number {
	// The deadline was fixed by the first run.
	const timeoutNs = trap.isFirstRun ? readTimeout(task, trap.size(3)) : 1;
	if (timeoutNs < 0) return timeoutNs;
	return takeSignalMask(task, trap.size(4), trap.size(5)) || wait(task, trap, timeoutNs);
}

function wait(task: Task, trap: Trap, timeoutNs: number): number {
	const epoll = task.file(trap.int(0));
	if (epoll === null || (epoll.flags & O_PATH) !== 0) return -EBADF;
	const maximum = trap.int(2);
	if (maximum <= 0 || maximum > EPOLL_MAX_EVENTS) return -EINVAL;
	const address = trap.size(1);
	if (address + maximum * EPOLL_EVENT_BYTES > TASK_SIZE) return -EFAULT;
	if (!(epoll instanceof Epoll)) return -EINVAL;
	const count = epoll.deliver(task, address, maximum);
	if (count !== 0 || timeoutNs === 0 || trap.hasTimedOut) return count;
	if (trap.isFirstRun) setTimeoutOf(task, timeoutNs);
	return epoll.sleep(task);
}
