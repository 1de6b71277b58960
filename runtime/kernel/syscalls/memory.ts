import { native } from '../../native.js';
import { EACCES, EBADF, EINVAL, ENODEV, ENOMEM, EOVERFLOW, EPERM } from '../abi/errno.js';
import { O_PATH } from '../abi/fcntl.js';
import {
	MADV_COLD,
	MADV_MERGEABLE,
	MADV_PAGEOUT,
	MADV_UNMERGEABLE,
	MAP_ANONYMOUS,
	MAP_FIXED,
	MAP_HUGETLB,
	MAP_PRIVATE,
	MAP_SHARED,
	MAP_SHARED_VALIDATE,
	MAP_TYPE,
	PROT_EXEC,
	PROT_WRITE,
} from '../abi/mman.js';
import { ANSWERED, CONTINUE } from '../task/blocked.js';
import { type Task, TaskState } from '../task/task.js';
import { traceable } from '../task/trace-access.js';
import { EVENT_LENT, LEND_CONTINUE } from '../trap/records.js';
import type { Trap } from '../trap/trap.js';
import { LENT_CURRENT, LENT_NONE, LENT_STALE } from '../vfs/descriptor-table.js';
import type { FileDescription } from '../vfs/file-description.js';
import { MS_NOEXEC } from '../vfs/mount.js';
import { mapSegment } from './shared-memory.js';

const PAGE_BYTES = 4096;
/** What a process can address. */
const TASK_BYTES = 2 ** 47 - PAGE_BYTES;

/**
 * mmap(2) of a file. The inode is checked here, then a descriptor with the description's own rights is lent at the guest's own number and the
 * host maps it. Anonymous mappings are native, but for huge pages of the host's pool.
 */
export function sysMmap(task: Task, trap: Trap): number {
	const flags = trap.uint(3);
	if ((flags & MAP_ANONYMOUS) !== 0) return (flags & MAP_HUGETLB) !== 0 ? -ENOMEM : -EINVAL;
	if (task.attaching !== null) return mapSegment(task, trap);
	const fd = trap.int(4);
	const description = task.file(fd);
	if (trap.long(5) % PAGE_BYTES !== 0) return -EINVAL;
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	const length = trap.size(1);
	if (length === 0 || ((flags & MAP_FIXED) !== 0 && trap.size(0) % PAGE_BYTES !== 0)) return -EINVAL;
	if (length > TASK_BYTES) return -ENOMEM;
	if (trap.long(5) < 0) return -EOVERFLOW;
	const error = checkMapping(description, flags, trap.uint(2));
	if (error < 0) return error;
	// Words 8 and 9 hold the whole descriptor argument: the host looks at its low half only, as Linux does.
	if (task.files.lentState(fd) === LENT_CURRENT) return CONTINUE;
	const source = description.openForMapping();
	if (source < 0) return source;
	if (description.path !== null) task.group.container.rememberMapping(description.path);
	lend(task, trap, source, fd);
	return ANSWERED;
}

function checkMapping(description: FileDescription, flags: number, prot: number): number {
	const type = flags & MAP_TYPE;
	if (type !== MAP_PRIVATE && type !== MAP_SHARED && type !== MAP_SHARED_VALIDATE) return -EINVAL;
	if ((flags & MAP_HUGETLB) !== 0) return -EINVAL;
	if (type !== MAP_PRIVATE && (prot & PROT_WRITE) !== 0 && !description.isWritable) return -EACCES;
	if (!description.isReadable) return -EACCES;
	if ((prot & PROT_EXEC) !== 0 && description.path !== null && (description.path.mount.flags & MS_NOEXEC) !== 0) return -EPERM;
	if (description.inode.isDirectory) return -ENODEV;
	return 0;
}

/** Lends the host descriptor `source` (taken over) at the guest's number `fd`, then lets the host run the call. */
export function lend(task: Task, trap: Trap, source: number, fd: number): void {
	const { kernel } = task;
	const files = task.files;
	const description = task.file(fd);
	let isSettled = false;
	const settle = () => {
		// The number may have changed hands meanwhile: what is lent there then stands for another file.
		if (!isSettled) files.setLentState(fd, files.get(fd) === description ? LENT_CURRENT : LENT_STALE);
		isSettled = true;
	};
	const key = kernel.endpoints.add({
		onEvent: (kind, result) => {
			if (kind !== EVENT_LENT) return;
			kernel.endpoints.remove(key);
			if (task.state === TaskState.InTrap) task.state = TaskState.Running;
			if (result >= 0) settle();
			else if (isSettled && files.get(fd) === description) files.setLentState(fd, LENT_NONE);
			isSettled = true;
		},
	});
	// The thread's next trap may come before the news that the host has the descriptor: the state must be right by then, or a later close
	// is left to a host whose number is closed already, and is EBADF.
	task.continued = { settle };
	task.group.container.counts.lent++;
	native.lend(key, trap.listener, trap.idLow, trap.idHigh, Int32Array.of(source, fd), LEND_CONTINUE, 0);
	native.close(source);
}

/** msync(2): the host's page cache is the file's, so the host can do it. Addresses only. */
export function sysMsync(): number {
	return CONTINUE;
}

/** Advice that may be ignored. */
const HINTS = new Set([MADV_COLD, MADV_PAGEOUT, MADV_MERGEABLE, MADV_UNMERGEABLE]);

/** madvise(2) with advice that the native list doesn't have: hints are taken as followed, what would change a file or the host is refused. */
export function sysMadvise(_task: Task, trap: Trap): number {
	return HINTS.has(trap.int(2)) ? 0 : -EINVAL;
}

/** get_robust_list(2) of another thread; the caller's own is native. The host can name no thread outside of the container. */
export function sysGetRobustList(task: Task, trap: Trap): number {
	const group = traceable(task, trap.int(0));
	return typeof group === 'number' ? group : CONTINUE;
}
