import { CAP_LEASE } from '../abi/capability-numbers.js';
import { EACCES, EAGAIN, EBADF, EINVAL } from '../abi/errno.js';
import {
	F_ADD_SEALS,
	F_DUPFD,
	F_DUPFD_CLOEXEC,
	F_GET_SEALS,
	F_GETFD,
	F_GETFL,
	F_GETLEASE,
	F_GETLK,
	F_GETOWN,
	F_GETPIPE_SZ,
	F_GETSIG,
	F_NOTIFY,
	F_OFD_GETLK,
	F_OFD_SETLK,
	F_OFD_SETLKW,
	F_RDLCK,
	F_SETFD,
	F_SETFL,
	F_SETLEASE,
	F_SETLK,
	F_SETLKW,
	F_SETOWN,
	F_SETPIPE_SZ,
	F_SETSIG,
	F_UNLCK,
	F_WRLCK,
	FD_CLOEXEC,
	O_APPEND,
	O_ASYNC,
	O_DIRECT,
	O_NOATIME,
	O_NONBLOCK,
	O_PATH,
} from '../abi/fcntl.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOutInt, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { FileDescription } from '../vfs/file-description.js';
import { sharedStat } from '../vfs/stat.js';
import { getLock, setLock } from './file-lock.js';
import { duplicate } from './file-open.js';

/** Status flags that F_SETFL changes. */
const SETTABLE = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;

/** fcntl(2). */
export function sysFcntl(task: Task, trap: Trap): number {
	const fd = trap.int(0);
	const description = task.file(fd);
	if (description === null) return -EBADF;
	const command = trap.int(1);
	const isPath = (description.flags & O_PATH) !== 0;
	switch (command) {
		case F_DUPFD:
			return duplicate(task, fd, trap.int(2), false);
		case F_DUPFD_CLOEXEC:
			return duplicate(task, fd, trap.int(2), true);
		case F_GETFD:
			return task.files.isCloseOnExec(fd) ? FD_CLOEXEC : 0;
		case F_SETFD:
			task.files.setCloseOnExec(fd, (trap.uint(2) & FD_CLOEXEC) !== 0);
			return 0;
		case F_GETFL:
			return description.flags;
	}
	if (isPath) return -EBADF;
	switch (command) {
		case F_SETFL:
			description.flags = (description.flags & ~SETTABLE) | (trap.uint(2) & SETTABLE);
			description.flagsChanged();
			return 0;
		case F_GETLK:
		case F_OFD_GETLK:
			return getLock(task, trap, description, command === F_OFD_GETLK);
		case F_SETLK:
		case F_SETLKW:
			return setLock(task, trap, description, false, command === F_SETLKW);
		case F_OFD_SETLK:
		case F_OFD_SETLKW:
			return setLock(task, trap, description, true, command === F_OFD_SETLKW);
		case F_GETOWN:
		case F_GETSIG:
		case F_SETOWN:
		case F_SETSIG:
			return 0;
		case F_SETLEASE:
			return setLease(task, description, trap.int(2));
		case F_GETLEASE:
			return F_UNLCK;
		case F_GETPIPE_SZ:
		case F_SETPIPE_SZ:
		case F_ADD_SEALS:
		case F_GET_SEALS:
			return description.control(task, command, trap.uint(2));
		case F_NOTIFY:
			return -EINVAL;
		default:
			return -EINVAL;
	}
}

/**
 * F_SETLEASE: no lease is given; the refusals are Linux's (fs/locks.c, generic_setlease), and a file that is open elsewhere (EAGAIN) is what a program
 * that asks for one must expect.
 */
function setLease(task: Task, { inode }: FileDescription, type: number): number {
	if (type === F_UNLCK) return -EAGAIN;
	if (inode.uid !== task.credentials.fsuid && !hasCapability(task.credentials, CAP_LEASE)) return -EACCES;
	if (!inode.isRegular || (type !== F_RDLCK && type !== F_WRLCK)) return -EINVAL;
	return -EAGAIN;
}

// --- ioctl ------------------------------------------------------------------------------------------------------------

const FIONREAD = 0x541b;
const FIONBIO = 0x5421;
const FIONCLEX = 0x5450;
const FIOCLEX = 0x5451;
const FIOASYNC = 0x5452;

/** ioctl(2): what every descriptor has, then the object's own. */
export function sysIoctl(task: Task, trap: Trap): number {
	const fd = trap.int(0);
	const description = task.file(fd);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	const request = trap.uint(1);
	switch (request) {
		case FIOCLEX:
		case FIONCLEX:
			task.files.setCloseOnExec(fd, request === FIOCLEX);
			return 0;
		case FIONBIO:
		case FIOASYNC: {
			const error = copyIn(task.tid, trap.size(2), 4);
			if (error < 0) return error;
			const flag = request === FIONBIO ? O_NONBLOCK : O_ASYNC;
			description.flags = scratchView.getInt32(0, true) !== 0 ? description.flags | flag : description.flags & ~flag;
			description.flagsChanged();
			return 0;
		}
		case FIONREAD:
			if (description.inode.isRegular) {
				const error = description.stat(sharedStat);
				return error < 0
					? error
					: copyOutInt(task.tid, trap.size(2), Math.min(0x7fffffff, Math.max(0, sharedStat.sizeBytes - description.offset)));
			}
			return description.ioctl(task, request, trap.size(2));
		default:
			return description.ioctl(task, request, trap.size(2));
	}
}
