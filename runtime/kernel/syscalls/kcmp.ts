import { EBADF, EINVAL, EOPNOTSUPP } from '../abi/errno.js';
import type { Task } from '../task/task.js';
import { traceable } from '../task/trace-access.js';
import type { Trap } from '../trap/trap.js';

const KCMP_FILE = 0;
const KCMP_VM = 1;
const KCMP_FILES = 2;
const KCMP_FS = 3;
const KCMP_SIGHAND = 4;
const KCMP_IO = 5;
const KCMP_SYSVSEM = 6;
const KCMP_EPOLL_TFD = 7;

/** Not the same, in no order that could be told. */
const UNORDERED = 3;

/** kcmp(2): whether two processes share something. */
export function sysKcmp(task: Task, trap: Trap): number {
	const first = traceable(task, trap.int(0));
	if (typeof first === 'number') return first;
	const second = traceable(task, trap.int(1));
	if (typeof second === 'number') return second;
	const isSame = first === second;
	switch (trap.int(2)) {
		case KCMP_FILE: {
			const one = first.files.get(trap.size(3));
			const other = second.files.get(trap.size(4));
			if (one === null || other === null) return -EBADF;
			return one === other ? 0 : UNORDERED;
		}
		case KCMP_FILES:
			return first.files === second.files ? 0 : UNORDERED;
		case KCMP_FS:
			return first.fs === second.fs ? 0 : UNORDERED;
		// Only threads share these, as far as the guest kernel knows.
		case KCMP_VM:
		case KCMP_SIGHAND:
		case KCMP_SYSVSEM:
			return isSame ? 0 : UNORDERED;
		// Nobody has one.
		case KCMP_IO:
			return 0;
		case KCMP_EPOLL_TFD:
			return -EOPNOTSUPP;
		default:
			return -EINVAL;
	}
}
