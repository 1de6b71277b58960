import { native } from '../../../native.js';
import { EACCES, EFBIG, EINVAL, ENXIO } from '../../abi/errno.js';
import { O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, type SEEK_DATA, SEEK_END, type SEEK_HOLE } from '../../abi/fcntl.js';
import { IN_ACCESS, IN_MODIFY } from '../../abi/inotify.js';
import type { Task } from '../../task/task.js';
import type { IoVector } from '../../trap/guest-memory.js';
import { AT_OFFSET } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import { RegularDescription } from '../../vfs/regular-description.js';
import type { Stat } from '../../vfs/stat.js';
import { hasWatches, notifyDescription } from '../../vfs/watches.js';
import { dropSetIdBits, limitFileSize } from '../write-checks.js';
import type { HostInode } from './host-inode.js';

/** Positions above are refused: numbers here are exact to 2^53, and no host file system goes that far. */
export const MAX_POSITION = 2 ** 53 - 2 ** 32;

/**
 * An open regular file of a host tree. The offset is the guest kernel's: every host call names its position, and the host's own offset is used by nobody.
 */
export class HostFile extends RegularDescription {
	constructor(
		path: Path,
		override readonly inode: HostInode,
		flags: number,
		/** Owned. It may have more rights than `flags`, which count. */
		private readonly fd: number,
	) {
		super(path, inode, flags, true);
		inode.opened(this);
	}

	protected override close(): void {
		super.close();
		this.inode.closed(this);
		native.close(this.fd);
	}

	override get hostFd(): number {
		return this.fd;
	}

	override read(_task: Task, vector: IoVector, position: number): number {
		const start = position === AT_OFFSET ? this.offset : position;
		if (start > MAX_POSITION) return 0;
		const bytes = vector.fromHost(this.fd, start);
		if (bytes > 0 && position === AT_OFFSET) this.offset = start + bytes;
		if (bytes > 0 && hasWatches()) notifyDescription(this, IN_ACCESS);
		return bytes;
	}

	override write(task: Task, vector: IoVector, position: number): number {
		let start = position === AT_OFFSET ? this.offset : position;
		if (this.isAppend) {
			// Nobody else runs between this and the write but the host, which RWF_APPEND copes with.
			start = native.lseek(this.fd, 0, SEEK_END);
			if (start < 0) return start;
		}
		if (start > MAX_POSITION) return -EFBIG;
		const room = limitFileSize(task, start, vector.remaining);
		if (room < 0) return room;
		dropSetIdBits(this.inode, task);
		const bytes = vector.toHost(this.fd, start, this.isAppend, room);
		if (bytes > 0 && position === AT_OFFSET) this.offset = start + bytes;
		if (bytes > 0 && hasWatches()) notifyDescription(this, IN_MODIFY);
		return bytes;
	}

	protected override get maxPosition(): number {
		return MAX_POSITION;
	}
	protected override endPosition(): number {
		return native.lseek(this.fd, 0, SEEK_END);
	}
	protected override seekExtent(offset: number, whence: typeof SEEK_DATA | typeof SEEK_HOLE): number {
		return offset < 0 || offset > MAX_POSITION ? -ENXIO : native.lseek(this.fd, offset, whence);
	}

	override stat(out: Stat): number {
		return this.inode.statOpen(this.fd, out);
	}

	override truncate(lengthBytes: number): number {
		if (!this.isWritable) return -EINVAL;
		return lengthBytes > MAX_POSITION ? -EFBIG : native.ftruncate(this.fd, lengthBytes);
	}

	override fallocate(mode: number, offset: number, length: number): number {
		return offset + length > MAX_POSITION ? -EFBIG : native.fallocate(this.fd, mode, offset, length);
	}

	override sync(isDataOnly: boolean): number {
		return native.fsync(this.fd, isDataOnly);
	}

	/** Just the rights of this description, whatever its own descriptor has. A mapping needs to read, so a write-only one gives none. */
	override openForMapping(): number {
		const access = this.flags & O_ACCMODE;
		if (access === O_WRONLY || access === O_ACCMODE) return -EACCES;
		return native.reopen(this.fd, (access === O_RDONLY ? O_RDONLY : O_RDWR) | O_NONBLOCK);
	}
}
