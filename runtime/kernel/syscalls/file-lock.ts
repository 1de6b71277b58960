import { EAGAIN, EBADF, EINVAL, EOVERFLOW } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_PATH, SEEK_CUR, SEEK_END, SEEK_SET } from '../abi/fcntl.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { FileDescription } from '../vfs/file-description.js';
import { checkDeadlock, FileLocks, LockWait, type RecordLock } from '../vfs/file-locks.js';
import { sharedStat } from '../vfs/stat.js';

const FLOCK_BYTES = 32;
/** One more than the largest file offset, in bytes. */
const OFFSET_END = 2 ** 63;

/** Reads struct flock: the lock it asks for, or -errno (fs/locks.c, flock64_to_posix_lock). */
function readLock(task: Task, trap: Trap, description: FileDescription, isOfd: boolean): RecordLock | number {
	const error = copyIn(task.tid, trap.size(2), FLOCK_BYTES);
	if (error < 0) return error;
	const type = scratchView.getInt16(0, true);
	const whence = scratchView.getInt16(2, true);
	const offset = get64(8);
	const length = get64(16);
	const pid = scratchView.getInt32(24, true);
	if (isOfd && pid !== 0) return -EINVAL;
	let start = offset;
	if (whence === SEEK_CUR) {
		start += description.offset;
	} else if (whence === SEEK_END) {
		const failed = description.stat(sharedStat);
		if (failed < 0) return failed;
		start += sharedStat.sizeBytes;
	} else if (whence !== SEEK_SET) {
		return -EINVAL;
	}
	if (start > OFFSET_END) return -EOVERFLOW;
	if (start < 0) return -EINVAL;
	let end = Number.POSITIVE_INFINITY;
	if (length > 0) {
		end = start + length;
		if (end > OFFSET_END || (start === OFFSET_END && length > 1)) return -EOVERFLOW;
		if (end === OFFSET_END) end = Number.POSITIVE_INFINITY;
	} else if (length < 0) {
		end = start;
		start += length;
		if (start < 0) return -EINVAL;
	}
	if (type !== F_RDLCK && type !== F_WRLCK && type !== F_UNLCK) return -EINVAL;
	return { owner: isOfd ? description : task.group, type, start, end, pid: task.group.pid, isOfd };
}

function get64(at: number): number {
	return scratchView.getInt32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
}

function put64(at: number, value: number): void {
	scratchView.setUint32(at, value % 0x1_0000_0000, true);
	scratchView.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** F_GETLK and F_OFD_GETLK, fcntl(2): what stands in the way; with F_UNLCK, of open file description locks, what is the description's own. */
export function getLock(task: Task, trap: Trap, description: FileDescription, isOfd: boolean): number {
	const wanted = readLock(task, trap, description, isOfd);
	if (typeof wanted === 'number') return wanted;
	if (wanted.type === F_UNLCK && !isOfd) return -EINVAL;
	const conflict = description.inode.locks?.conflict(wanted) ?? null;
	if (conflict === null) {
		scratchView.setInt16(0, F_UNLCK, true);
	} else {
		scratchView.setInt16(0, conflict.type, true);
		scratchView.setInt16(2, SEEK_SET, true);
		put64(8, conflict.start);
		put64(16, conflict.end === Number.POSITIVE_INFINITY ? 0 : conflict.end - conflict.start);
		scratchView.setInt32(24, conflict.isOfd ? -1 : task.group.container.insideId(conflict.pid), true);
	}
	return copyOut(task.tid, trap.size(2), FLOCK_BYTES);
}

/** F_SETLK and F_SETLKW, F_OFD_SETLK and F_OFD_SETLKW, fcntl(2). */
export function setLock(task: Task, trap: Trap, description: FileDescription, isOfd: boolean, isWaiting: boolean): number {
	const wanted = readLock(task, trap, description, isOfd);
	if (typeof wanted === 'number') return wanted;
	if (wanted.type === F_RDLCK && !description.isReadable) return -EBADF;
	if (wanted.type === F_WRLCK && !description.isWritable) return -EBADF;
	if (wanted.type === F_UNLCK && description.inode.locks === null) return 0;
	const locks = locksOf(description);
	// No longer a waiter while it looks: what it finds may be another's lock than before.
	trap.dispose();
	const result = locks.setRecord(wanted);
	if (result !== -EAGAIN || !isWaiting) return result;
	if (!isOfd) {
		const blocker = locks.conflict(wanted)!;
		if (!blocker.isOfd) {
			const deadlock = checkDeadlock(wanted.owner, blocker.owner);
			if (deadlock < 0) return deadlock;
		}
		trap.state = new LockWait(wanted.owner, blocker.owner);
	}
	task.waitOn(locks.waiters);
	return BLOCKED;
}

/** The file's locks, made when the first one is asked for. */
function locksOf({ inode }: FileDescription): FileLocks {
	inode.locks ??= new FileLocks(inode);
	return inode.locks;
}

/** flock(2). */
export function sysFlock(task: Task, trap: Trap): number {
	const operation = trap.int(1) & ~LOCK_NB;
	const type = operation === LOCK_SH ? F_RDLCK : operation === LOCK_EX ? F_WRLCK : operation === LOCK_UN ? F_UNLCK : -1;
	if (type === -1) return -EINVAL;
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (type !== F_UNLCK && !description.isReadable && !description.isWritable) return -EBADF;
	const locks = locksOf(description);
	const result = locks.setWhole(description, type, task.group.pid);
	return result === -EAGAIN && (trap.int(1) & LOCK_NB) === 0 ? task.blockOn(locks.waiters) : result;
}
