import { RLIMIT_NOFILE } from '../abi/resource.js';
import type { Task } from '../task/task.js';
import { copyOut, scratchView } from '../trap/guest-memory.js';
import type { FileDescription } from '../vfs/file-description.js';

/** Gives a new description (its one reference moves in) the lowest free number. Errors: EMFILE; it is closed then. */
export function install(task: Task, description: FileDescription, isCloseOnExec: boolean): number {
	const fd = task.files.add(description, isCloseOnExec, task.group.limits.soft[RLIMIT_NOFILE]!);
	if (fd < 0) description.release();
	return fd;
}

/** `install` for the two ends that pipe(2) and socketpair(2) make; stores the numbers at `address`. Errors: EMFILE, EFAULT; both are closed then. */
export function installPair(task: Task, first: FileDescription, second: FileDescription, isCloseOnExec: boolean, address: number): number {
	const firstFd = install(task, first, isCloseOnExec);
	if (firstFd < 0) {
		second.release();
		return firstFd;
	}
	const secondFd = install(task, second, isCloseOnExec);
	let error = secondFd;
	if (secondFd >= 0) {
		scratchView.setInt32(0, firstFd, true);
		scratchView.setInt32(4, secondFd, true);
		error = copyOut(task.tid, address, 8);
		if (error === 0) return 0;
		task.files.close(secondFd, task);
	}
	task.files.close(firstFd, task);
	return error;
}
