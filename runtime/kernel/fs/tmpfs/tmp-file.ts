import { EACCES, EINVAL, EPERM } from '../../abi/errno.js';
import { F_ADD_SEALS, F_GET_SEALS, O_ACCMODE, O_WRONLY, type SEEK_DATA, type SEEK_HOLE } from '../../abi/fcntl.js';
import { IN_ACCESS, IN_MODIFY } from '../../abi/inotify.js';
import type { Task } from '../../task/task.js';
import type { IoVector } from '../../trap/guest-memory.js';
import { AT_OFFSET } from '../../vfs/file-description.js';
import { MS_NOEXEC } from '../../vfs/mount.js';
import type { Path } from '../../vfs/path.js';
import { RegularDescription } from '../../vfs/regular-description.js';
import { hasWatches, notifyDescription } from '../../vfs/watches.js';
import { dropSetIdBits, limitFileSize } from '../write-checks.js';
import { MAX_FILE_BYTES, type TmpRegular } from './tmp-regular.js';

/** An open regular file of a tmpfs. */
export class TmpFile extends RegularDescription {
	constructor(
		path: Path,
		override readonly inode: TmpRegular,
		flags: number,
		isOpened = true,
	) {
		super(path, inode, flags, isOpened);
		inode.opened();
	}

	protected override close(): void {
		super.close();
		this.inode.closed();
	}

	/** For reading only: who writes must do so by `write`, which counts pages. */
	override get hostFd(): number {
		return this.isWritable ? -1 : Math.max(this.inode.memoryFd(), -1);
	}

	override read(_task: Task, vector: IoVector, position: number): number {
		const start = position === AT_OFFSET ? this.offset : position;
		const bytes = this.inode.read(vector, start);
		if (bytes < 0) return bytes;
		if (position === AT_OFFSET) this.offset = start + bytes;
		this.inode.touchAccess(this.path, this.flags);
		if (bytes > 0 && hasWatches()) notifyDescription(this, IN_ACCESS);
		return bytes;
	}

	override write(task: Task, vector: IoVector, position: number): number {
		const start = this.isAppend ? this.inode.sizeBytes : position === AT_OFFSET ? this.offset : position;
		const room = limitFileSize(task, start, vector.remaining);
		if (room < 0) return room;
		dropSetIdBits(this.inode, task);
		const bytes = this.inode.write(vector, start, room);
		if (bytes > 0 && position === AT_OFFSET) this.offset = start + bytes;
		if (bytes > 0 && hasWatches()) notifyDescription(this, IN_MODIFY);
		return bytes;
	}

	protected override get maxPosition(): number {
		return MAX_FILE_BYTES;
	}
	protected override endPosition(): number {
		return this.inode.sizeBytes;
	}
	protected override seekExtent(offset: number, whence: typeof SEEK_DATA | typeof SEEK_HOLE): number {
		return this.inode.seekExtent(offset, whence);
	}

	override truncate(lengthBytes: number): number {
		return this.isWritable ? this.inode.truncate(lengthBytes) : -EINVAL;
	}

	override fallocate(mode: number, offset: number, length: number): number {
		return this.inode.fallocate(mode, offset, length);
	}

	/** Seals: only who may write may add to them. */
	override control(task: Task, command: number, argument: number): number {
		if (command === F_GET_SEALS) return this.inode.seals;
		if (command === F_ADD_SEALS) return this.isWritable ? this.inode.addSeals(argument) : -EPERM;
		return super.control(task, command, argument);
	}

	override sync(): number {
		return 0;
	}

	override openForMapping(): number {
		const access = this.flags & O_ACCMODE;
		if (access === O_WRONLY || access === O_ACCMODE) return -EACCES;
		return this.inode.openForMapping(access, this.path !== null && (this.path.mount.flags & MS_NOEXEC) !== 0);
	}
}
