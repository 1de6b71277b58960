import { EBADF, EINVAL, ENOTDIR } from '../abi/errno.js';
import { AT_FDCWD, O_CLOEXEC, O_NONBLOCK, O_PATH } from '../abi/fcntl.js';
import {
	IN_ALL_EVENTS,
	IN_DONT_FOLLOW,
	IN_EXCL_UNLINK,
	IN_IGNORED,
	IN_ISDIR,
	IN_MASK_ADD,
	IN_MASK_CREATE,
	IN_ONESHOT,
	IN_ONLYDIR,
	IN_Q_OVERFLOW,
	IN_UNMOUNT,
} from '../abi/inotify.js';
import { Inotify } from '../event/inotify.js';
import type { Task } from '../task/task.js';
import type { Trap } from '../trap/trap.js';
import { pathWalk, WALK_FOLLOW } from '../vfs/path-walk.js';
import { checkPermission, MAY_READ } from '../vfs/permission.js';
import { install } from './install.js';
import { walkArgument } from './paths.js';

const ALL_BITS =
	IN_ALL_EVENTS |
	IN_UNMOUNT |
	IN_Q_OVERFLOW |
	IN_IGNORED |
	IN_ONLYDIR |
	IN_DONT_FOLLOW |
	IN_EXCL_UNLINK |
	IN_MASK_ADD |
	IN_MASK_CREATE |
	IN_ISDIR |
	IN_ONESHOT;

/** inotify_init(2). */
export function sysInotifyInit(task: Task): number {
	return create(task, 0);
}

/** inotify_init1(2). */
export function sysInotifyInit1(task: Task, trap: Trap): number {
	return create(task, trap.uint(0));
}

function create(task: Task, flags: number): number {
	if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
	const instance = Inotify.create(task, flags & O_NONBLOCK);
	return typeof instance === 'number' ? instance : install(task, instance, (flags & O_CLOEXEC) !== 0);
}

/** inotify_add_watch(2). */
export function sysInotifyAddWatch(task: Task, trap: Trap): number {
	const mask = trap.int(2);
	if ((mask & ~ALL_BITS) !== 0 || (mask & ALL_BITS) === 0) return -EINVAL;
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if ((mask & IN_MASK_ADD) !== 0 && (mask & IN_MASK_CREATE) !== 0) return -EINVAL;
	if (!(description instanceof Inotify)) return -EINVAL;
	const error = walkArgument(task, AT_FDCWD, trap.size(1), (mask & IN_DONT_FOLLOW) !== 0 ? 0 : WALK_FOLLOW);
	if (error < 0) return error;
	const inode = pathWalk.dentry.inode!;
	if ((mask & IN_ONLYDIR) !== 0 && !inode.isDirectory) return -ENOTDIR;
	const denied = checkPermission(inode, MAY_READ, task.credentials);
	return denied < 0 ? denied : description.watch(inode, mask);
}

/** inotify_rm_watch(2). */
export function sysInotifyRmWatch(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return description instanceof Inotify ? description.unwatch(trap.int(1)) : -EINVAL;
}
