import { EBADF, EFBIG, EINVAL, EISDIR, ENODEV, EOPNOTSUPP, ESPIPE, ETXTBSY } from '../abi/errno.js';
import { AT_FDCWD, O_APPEND, O_NONBLOCK, O_PATH } from '../abi/fcntl.js';
import { IN_ACCESS, IN_MODIFY } from '../abi/inotify.js';
import { S_IFBLK, S_IFIFO } from '../abi/stat-constants.js';
import { checkNewSize } from '../fs/write-checks.js';
import { isRunning } from '../task/running-programs.js';
import type { Task } from '../task/task.js';
import { copyOut, ioVector, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { AT_OFFSET, type DirectorySink } from '../vfs/file-description.js';
import { pathWalk, WALK_FOLLOW } from '../vfs/path-walk.js';
import { checkPermission, MAY_WRITE } from '../vfs/permission.js';
import { hasWatches, notifyDescription, notifyPath } from '../vfs/watches.js';
import { checkWritable, walkArgument } from './paths.js';

/** Flags of preadv2(2). */
const RWF_DSYNC = 0x2;
const RWF_SYNC = 0x4;
const RWF_NOWAIT = 0x8;
const RWF_APPEND = 0x10;
const RWF_NOAPPEND = 0x20;
/** Those and RWF_HIPRI. */
const RWF_SUPPORTED = 0x3f;
/** SYNC_FILE_RANGE_WAIT_BEFORE, WRITE, WAIT_AFTER. */
const SYNC_FILE_RANGE_ALL = 7;

/** read(2). */
export function sysRead(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || !description.isReadable) return -EBADF;
	const error = ioVector.single(task.tid, trap.size(1), trap.size(2));
	return error < 0 ? error : description.read(task, ioVector, AT_OFFSET);
}

/** write(2). */
export function sysWrite(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || !description.isWritable) return -EBADF;
	const error = ioVector.single(task.tid, trap.size(1), trap.size(2));
	return error < 0 ? error : description.write(task, ioVector, AT_OFFSET);
}

/** pread64(2). */
export function sysPread64(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	const position = trap.long(3);
	if (position < 0) return -EINVAL;
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (!description.isSeekable) return -ESPIPE;
	if (!description.isReadable) return -EBADF;
	const error = ioVector.single(task.tid, trap.size(1), trap.size(2));
	return error < 0 ? error : description.read(task, ioVector, position);
}

/** pwrite64(2). */
export function sysPwrite64(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	const position = trap.long(3);
	if (position < 0) return -EINVAL;
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (!description.isSeekable) return -ESPIPE;
	if (!description.isWritable) return -EBADF;
	const error = ioVector.single(task.tid, trap.size(1), trap.size(2));
	return error < 0 ? error : description.write(task, ioVector, position);
}

/** readv(2). */
export function sysReadv(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || !description.isReadable) return -EBADF;
	const error = ioVector.vector(task.tid, trap.size(1), trap.int(2));
	return error < 0 ? error : description.read(task, ioVector, AT_OFFSET);
}

/** writev(2). */
export function sysWritev(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || !description.isWritable) return -EBADF;
	const error = ioVector.vector(task.tid, trap.size(1), trap.int(2));
	return error < 0 ? error : description.write(task, ioVector, AT_OFFSET);
}

/** preadv(2). */
export function sysPreadv(task: Task, trap: Trap): number {
	return vectorAt(task, trap, false, trap.long(3), 0);
}

/** pwritev(2). */
export function sysPwritev(task: Task, trap: Trap): number {
	return vectorAt(task, trap, true, trap.long(3), 0);
}

/** preadv2(2). */
export function sysPreadv2(task: Task, trap: Trap): number {
	return vectorAt(task, trap, false, trap.long(3), trap.uint(5), true);
}

/** pwritev2(2). */
export function sysPwritev2(task: Task, trap: Trap): number {
	return vectorAt(task, trap, true, trap.long(3), trap.uint(5), true);
}

function vectorAt(task: Task, trap: Trap, isWrite: boolean, position: number, flags: number, mayUseOffset = false): number {
	const description = task.file(trap.int(0));
	const isAtOffset = mayUseOffset && position === -1;
	if (position < 0 && !isAtOffset) return -EINVAL;
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (!isAtOffset && !description.isSeekable) return -ESPIPE;
	if (!(isWrite ? description.isWritable : description.isReadable)) return -EBADF;
	const error = ioVector.vector(task.tid, trap.size(1), trap.int(2));
	if (error < 0) return error;
	if ((flags & ~RWF_SUPPORTED) !== 0) return -EOPNOTSUPP;
	if ((flags & (RWF_APPEND | RWF_NOAPPEND)) === (RWF_APPEND | RWF_NOAPPEND)) return -EINVAL;
	// For this one call the description has other status flags.
	const before = description.flags;
	if ((flags & RWF_NOWAIT) !== 0) description.flags |= O_NONBLOCK;
	if ((flags & RWF_APPEND) !== 0) description.flags |= O_APPEND;
	if ((flags & RWF_NOAPPEND) !== 0) description.flags &= ~O_APPEND;
	const at = isAtOffset ? AT_OFFSET : position;
	const bytes = isWrite ? description.write(task, ioVector, at) : description.read(task, ioVector, at);
	description.flags = before;
	if (isWrite && bytes > 0 && (flags & (RWF_DSYNC | RWF_SYNC)) !== 0) {
		const failed = description.inode.isRegular ? description.sync((flags & RWF_SYNC) === 0) : 0;
		if (failed < 0) return failed;
	}
	return bytes;
}

/** sync_file_range(2): nothing is promised by it, and the host writes back on its own. */
export function sysSyncFileRange(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	const offset = trap.long(1);
	const length = trap.long(2);
	if ((trap.uint(3) & ~SYNC_FILE_RANGE_ALL) !== 0 || offset < 0 || length < 0 || offset + length >= 2 ** 63) return -EINVAL;
	const { inode } = description;
	return inode.isRegular || inode.isDirectory || inode.type === S_IFBLK ? 0 : -ESPIPE;
}

/** lseek(2). */
export function sysLseek(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	const whence = trap.uint(2);
	if (whence > 4) return -EINVAL;
	const before = description.offset;
	const offset = description.seek(trap.long(1), whence);
	if (offset <= Number.MAX_SAFE_INTEGER) return offset;
	// As beyond a file system's largest file: numbers here are exact up to 2^53.
	description.offset = before;
	return -EINVAL;
}

/** fsync(2). */
export function sysFsync(task: Task, trap: Trap): number {
	return task.file(trap.int(0))?.sync(false) ?? -EBADF;
}

/** fdatasync(2). */
export function sysFdatasync(task: Task, trap: Trap): number {
	return task.file(trap.int(0))?.sync(true) ?? -EBADF;
}

/** sync(2). */
export function sysSync(task: Task): number {
	for (const mount of task.fs.mounts.all()) mount.fs.sync();
	return 0;
}

/** syncfs(2). */
export function sysSyncfs(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	return description === null || (description.flags & O_PATH) !== 0 ? -EBADF : description.inode.fs.sync();
}

/** ftruncate(2). */
export function sysFtruncate(task: Task, trap: Trap): number {
	const length = trap.long(1);
	if (length < 0) return -EINVAL;
	const description = task.file(trap.int(0));
	if (description === null) return -EBADF;
	if (!description.inode.isRegular || !description.isWritable) return (description.flags & O_PATH) !== 0 ? -EBADF : -EINVAL;
	if (length > Number.MAX_SAFE_INTEGER) return -EFBIG;
	const tooBig = checkNewSize(task, description.inode, length);
	if (tooBig < 0) return tooBig;
	const error = description.truncate(length);
	if (error >= 0 && hasWatches()) notifyDescription(description, IN_MODIFY);
	return error;
}

/** truncate(2). */
export function sysTruncate(task: Task, trap: Trap): number {
	const length = trap.long(1);
	if (length < 0) return -EINVAL;
	const error = walkArgument(task, AT_FDCWD, trap.size(0), WALK_FOLLOW);
	if (error < 0) return error;
	const { path } = pathWalk;
	const inode = path.dentry.inode!;
	if (inode.isDirectory) return -EISDIR;
	if (!inode.isRegular) return -EINVAL;
	const denied = checkPermission(inode, MAY_WRITE, task.credentials) || checkWritable(path);
	if (denied < 0) return denied;
	if (isRunning(inode)) return -ETXTBSY;
	if (length > Number.MAX_SAFE_INTEGER) return -EFBIG;
	const tooBig = checkNewSize(task, inode, length);
	if (tooBig < 0) return tooBig;
	const result = inode.truncate(length);
	if (result >= 0 && hasWatches()) notifyPath(path, IN_MODIFY);
	return result;
}

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
/** Every mode of fallocate(2) but the undocumented one. */
const FALLOC_MODES = 0x7b;

/** fallocate(2). */
export function sysFallocate(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	const offset = trap.long(2);
	const length = trap.long(3);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (offset < 0 || length <= 0) return -EINVAL;
	const mode = trap.uint(1);
	if ((mode & ~FALLOC_MODES) !== 0 || (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) === FALLOC_FL_PUNCH_HOLE) return -EOPNOTSUPP;
	if (!description.isWritable) return -EBADF;
	if (description.inode.isDirectory) return -EISDIR;
	if (!description.inode.isRegular) return description.inode.type === S_IFIFO ? -ESPIPE : -ENODEV;
	if (offset + length > Number.MAX_SAFE_INTEGER) return -EFBIG;
	const tooBig = (mode & FALLOC_FL_KEEP_SIZE) === 0 ? checkNewSize(task, description.inode, offset + length) : 0;
	if (tooBig < 0) return tooBig;
	const error = description.fallocate(mode, offset, length);
	if (error >= 0 && hasWatches()) notifyDescription(description, IN_MODIFY);
	return error;
}

/** fadvise64(2), readahead(2): hints that the host's page cache does without. */
export function sysFadvise64(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	if (description.inode.type === S_IFIFO) return -ESPIPE;
	return trap.uint(3) > 5 || trap.long(2) < 0 ? -EINVAL : 0;
}

/** readahead(2). */
export function sysReadahead(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || !description.isReadable) return -EBADF;
	return description.inode.isRegular ? 0 : -EINVAL;
}

// --- Directories -------------------------------------------------------------------------------------------------

/** Encodes directory entries into the scratch buffer; getdents64(2) and the old getdents(2). */
class DirentWriter implements DirectorySink {
	private at = 0;
	private limit = 0;
	private isOld = false;
	/** An entry was refused: with nothing written, not even one fits. */
	isFull = false;

	begin(limit: number, isOld: boolean): void {
		this.at = 0;
		this.limit = Math.min(limit, scratch.length / 2);
		this.isOld = isOld;
		this.isFull = false;
	}
	get bytes(): number {
		return this.at;
	}

	entry(ino: number, nextOffset: number, type: number, name: string): boolean {
		// ino, off, reclen, then type and name (or name, with the type in the last byte of the old layout).
		const length = (19 + name.length + 1 + 7) & ~7;
		if (this.at + length > this.limit) {
			this.isFull = true;
			return false;
		}
		const at = this.at;
		scratch.fill(0, at + 18, at + length);
		scratchView.setUint32(at, ino % 0x1_0000_0000, true);
		scratchView.setUint32(at + 4, Math.floor(ino / 0x1_0000_0000), true);
		scratchView.setUint32(at + 8, nextOffset % 0x1_0000_0000, true);
		scratchView.setUint32(at + 12, Math.floor(nextOffset / 0x1_0000_0000), true);
		scratchView.setUint16(at + 16, length, true);
		if (this.isOld) {
			scratch.latin1Write(name, at + 18);
			scratch[at + length - 1] = type;
		} else {
			scratch[at + 18] = type;
			scratch.latin1Write(name, at + 19);
		}
		this.at += length;
		return true;
	}
}

const direntWriter = new DirentWriter();

/** getdents64(2). */
export function sysGetdents64(task: Task, trap: Trap): number {
	return getdents(task, trap, false);
}

/** getdents(2). */
export function sysGetdents(task: Task, trap: Trap): number {
	return getdents(task, trap, true);
}

function getdents(task: Task, trap: Trap, isOld: boolean): number {
	const description = task.file(trap.int(0));
	if (description === null) return -EBADF;
	direntWriter.begin(trap.uint(2), isOld);
	const before = description.offset;
	const error = description.readDirectory(task, direntWriter);
	if (error < 0) return error;
	if (hasWatches()) notifyDescription(description, IN_ACCESS);
	const bytes = direntWriter.bytes;
	if (bytes === 0) return direntWriter.isFull ? -EINVAL : 0;
	const fault = copyOut(task.tid, trap.size(1), bytes);
	if (fault < 0) {
		description.offset = before;
		return fault;
	}
	return bytes;
}
