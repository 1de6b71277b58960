import { CAP_FSETID } from '../abi/capability-numbers.js';
import { EFBIG } from '../abi/errno.js';
import { RLIMIT_FSIZE } from '../abi/resource.js';
import { SIGXFSZ } from '../abi/signal-numbers.js';
import { S_ISGID, S_ISUID, S_IXGRP } from '../abi/stat-constants.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import type { Inode } from '../vfs/inode.js';
import { sharedStat } from '../vfs/stat.js';

/**
 * How many of `length` bytes may be written at `position`: fewer than asked for at the task's file size limit, -EFBIG and SIGXFSZ beyond it
 * (setrlimit(2), RLIMIT_FSIZE).
 */
export function limitFileSize(task: Task, position: number, length: number): number {
	const limit = task.group.limits.soft[RLIMIT_FSIZE]!;
	if (position + length <= limit || length === 0) return length;
	if (position < limit) return limit - position;
	task.kernel.signals.sendToThread(task, SIGXFSZ);
	return -EFBIG;
}

/** Whether a call other than a write may make a file `newSize` bytes long: 0, or -EFBIG and SIGXFSZ beyond the limit; Linux: inode_newsize_ok. */
export function checkNewSize(task: Task, inode: Inode, newSize: number): number {
	if (newSize <= task.group.limits.soft[RLIMIT_FSIZE]!) return 0;
	const error = inode.stat(sharedStat);
	if (error < 0) return error;
	if (newSize <= sharedStat.sizeBytes) return 0;
	task.kernel.signals.sendToThread(task, SIGXFSZ);
	return -EFBIG;
}

/** Takes the set-id bits from a file that is about to be written by someone who may not set them; Linux: file_remove_privs. */
export function dropSetIdBits(inode: Inode, task: Task): void {
	const mode = inode.mode;
	if ((mode & (S_ISUID | S_ISGID)) === 0 || hasCapability(task.credentials, CAP_FSETID)) return;
	let kept = mode & ~S_ISUID;
	if ((mode & S_IXGRP) !== 0) kept &= ~S_ISGID;
	if (kept !== mode) inode.chmod(kept & 0o7777);
}
