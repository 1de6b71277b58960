import { native } from '../../../native.js';
import { EFBIG, EINVAL, ENXIO, EOVERFLOW } from '../../abi/errno.js';
import { O_ACCMODE, O_NONBLOCK, O_RDONLY, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '../../abi/fcntl.js';
import { RLIMIT_FSIZE } from '../../abi/resource.js';
import { SIGXFSZ } from '../../abi/signal-numbers.js';
import type { Task } from '../../task/task.js';
import type { IoVector } from '../../trap/guest-memory.js';
import { AT_OFFSET, FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import type { HostInode } from './host-inode.js';

const hostStat = new Float64Array(18);

/**
 * An open regular file whose bytes a host descriptor carries: of a host tree, or the memfd of a tmpfs file. The offset is the guest kernel's; all host calls name
 * their position.
 */
export class HostFile extends FileDescription {
	constructor(
		path: Path,
		private readonly file: HostInode,
		flags: number,
		/** Owned. */
		private readonly fd: number,
	) {
		super(path, file, flags);
		file.attach(fd);
	}

	protected override close(): void {
		this.file.detach(this.fd);
		native.close(this.fd);
	}

	override get hostFd(): number {
		return this.fd;
	}

	override get isSeekable(): boolean {
		return true;
	}

	override read(_task: Task, vector: IoVector, position: number): number {
		const start = position === AT_OFFSET ? this.offset : position;
		const bytes = vector.fromHost(this.fd, start);
		if (bytes > 0 && position === AT_OFFSET) this.offset = start + bytes;
		return bytes;
	}

	override write(task: Task, vector: IoVector, position: number): number {
		let start = position === AT_OFFSET ? this.offset : position;
		if (this.isAppend) {
			const end = native.lseek(this.fd, 0, SEEK_END);
			if (end < 0) return end;
			start = end;
		}
		const limit = task.group.limits.soft[RLIMIT_FSIZE]!;
		let room = vector.remaining;
		if (start + room > limit) {
			if (start >= limit && room > 0) {
				task.kernel.signals.sendToThread(task, SIGXFSZ);
				return -EFBIG;
			}
			room = limit - start;
		}
		const bytes = vector.toHost(this.fd, start, this.isAppend, room);
		if (bytes > 0 && position === AT_OFFSET) this.offset = start + bytes;
		return bytes;
	}

	override seek(offset: number, whence: number): number {
		let base = 0;
		switch (whence) {
			case SEEK_SET:
				break;
			case SEEK_CUR:
				base = this.offset;
				break;
			case SEEK_END: {
				const error = native.fstat(this.fd, hostStat);
				if (error < 0) return error;
				base = hostStat[7]!;
				break;
			}
			case SEEK_DATA:
			case SEEK_HOLE: {
				if (offset < 0) return -ENXIO;
				const found = native.lseek(this.fd, offset, whence);
				if (found >= 0) this.offset = found;
				return found;
			}
			default:
				return -EINVAL;
		}
		const target = base + offset;
		if (target < 0) return -EINVAL;
		if (target > Number.MAX_SAFE_INTEGER) return -EOVERFLOW;
		this.offset = target;
		return target;
	}

	override stat(out: Stat): number {
		return this.file.stat(out);
	}

	override truncate(lengthBytes: number): number {
		return native.ftruncate(this.fd, lengthBytes);
	}

	override fallocate(mode: number, offset: number, length: number): number {
		return native.fallocate(this.fd, mode, offset, length);
	}

	override sync(isDataOnly: boolean): number {
		return native.fsync(this.fd, isDataOnly);
	}

	/** The same file with just the access mode of this description. */
	override openForMapping(): number {
		const mode = this.flags & O_ACCMODE;
		return native.reopen(this.fd, (mode === 1 ? O_RDONLY : mode) | O_NONBLOCK);
	}
}
