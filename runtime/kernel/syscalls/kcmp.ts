import { EBADF, EINVAL, ENOENT } from '../abi/errno.js';
import { Epoll } from '../event/epoll.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { traceable } from '../task/trace-access.js';
import { copyIn, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { FileDescription } from '../vfs/file-description.js';

const KCMP_FILE = 0;
const KCMP_VM = 1;
const KCMP_FILES = 2;
const KCMP_FS = 3;
const KCMP_SIGHAND = 4;
const KCMP_IO = 5;
const KCMP_SYSVSEM = 6;
const KCMP_EPOLL_TFD = 7;

/** struct kcmp_epoll_slot: the epoll instance's number, the registered one, and which of those under it. */
const SLOT_BYTES = 12;

/** Not the same, in no order that could be told. */
const UNORDERED = 3;

/** kcmp(2): whether two processes share something. */
export function sysKcmp(task: Task, trap: Trap): number {
	const first = traceable(task, trap.int(0));
	if (typeof first === 'number') return first;
	const second = traceable(task, trap.int(1));
	if (typeof second === 'number') return second;
	switch (trap.int(2)) {
		case KCMP_FILE: {
			const other = second.files.get(trap.size(4));
			return other === null ? -EBADF : compareFile(first, trap.size(3), other);
		}
		case KCMP_EPOLL_TFD: {
			const error = copyIn(task.tid, trap.size(4), SLOT_BYTES);
			if (error < 0) return error;
			const target = epollTarget(second, scratchView.getUint32(0, true), scratchView.getUint32(4, true), scratchView.getUint32(8, true));
			return typeof target === 'number' ? target : compareFile(first, trap.size(3), target);
		}
		case KCMP_FILES:
			return first.files === second.files ? 0 : UNORDERED;
		case KCMP_FS:
			return first.fs === second.fs ? 0 : UNORDERED;
		// Only threads share these, as far as the guest kernel knows.
		case KCMP_VM:
		case KCMP_SIGHAND:
		case KCMP_SYSVSEM:
			return first === second ? 0 : UNORDERED;
		// Nobody has one.
		case KCMP_IO:
			return 0;
		default:
			return -EINVAL;
	}
}

function compareFile(group: ThreadGroup, fd: number, other: FileDescription): number {
	const description = group.files.get(fd);
	if (description === null) return -EBADF;
	return description === other ? 0 : UNORDERED;
}

function epollTarget(group: ThreadGroup, epollFd: number, fd: number, index: number): FileDescription | number {
	const epoll = group.files.get(epollFd);
	if (epoll === null) return -EBADF;
	return epoll instanceof Epoll ? (epoll.target(fd, index) ?? -ENOENT) : -EINVAL;
}
