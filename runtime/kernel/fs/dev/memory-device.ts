import { randomFillSync } from 'node:crypto';
import { native } from '../../../native.js';
import { EINVAL, ENODEV, ENOSPC, EPERM } from '../../abi/errno.js';
import type { Task } from '../../task/task.js';
import { copyOutInt, type IoVector } from '../../trap/guest-memory.js';
import { FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import type { Path } from '../../vfs/path.js';

const CHUNK_BYTES = 65536;
const zeros = Buffer.alloc(CHUNK_BYTES);
const randomBytes = Buffer.alloc(CHUNK_BYTES);
/** Most random bytes per read: random(4) had that limit up to Linux 5.17. It keeps one read from holding up the pod. */
const MAX_RANDOM_BYTES = 32 * 1024 * 1024 - 1;

/** A device without state or position (drivers/char/mem.c): lseek says 0, writes go nowhere. */
abstract class MemoryDevice extends FileDescription {
	override get isSeekable(): boolean {
		return true;
	}
	override seek(_offset: number, _whence: number): number {
		return 0;
	}
	/** drivers/char/mem.c has no poll, which epoll_ctl(2) calls EPERM; drivers/char/random.c has. */
	override get isPollable(): boolean {
		return false;
	}
	override write(_task: Task, vector: IoVector, _position: number): number {
		return vector.remaining;
	}
}

/** /dev/null, null(4). */
export class NullDevice extends MemoryDevice {
	override read(_task: Task, _vector: IoVector, _position: number): number {
		return 0;
	}
}

/** /dev/zero, zero(4). */
export class ZeroDevice extends MemoryDevice {
	override read(_task: Task, vector: IoVector, _position: number): number {
		let done = 0;
		while (vector.remaining > 0) {
			const wanted = Math.min(vector.remaining, CHUNK_BYTES);
			const bytes = vector.copyOut(zeros, 0, wanted);
			if (bytes < 0) return done > 0 ? done : bytes;
			done += bytes;
			if (bytes < wanted) break;
		}
		return done;
	}

	/** Each time a fresh memory file, all hole: private mappings of it are anonymous memory, shared ones are shared with those who inherit them. */
	override openForMapping(): number {
		const fd = native.memfdCreate('zero', 0);
		if (fd < 0) return -ENODEV;
		const error = native.ftruncate(fd, MAPPABLE_BYTES);
		if (error >= 0) return fd;
		native.close(fd);
		return error;
	}
}

/** Size of the file behind a mapping of /dev/zero: as good as endless, of which nothing is there until it is written. */
const MAPPABLE_BYTES = 2 ** 46;

/** /dev/full, full(4). Linux can't map it either. */
export class FullDevice extends ZeroDevice {
	override write(_task: Task, vector: IoVector, _position: number): number {
		return vector.remaining === 0 ? 0 : -ENOSPC;
	}
	override openForMapping(): number {
		return -ENODEV;
	}
}

const RNDGETENTCNT = 0x80045200;
const RNDADDTOENTCNT = 0x40045201;
const RNDADDENTROPY = 0x40085203;
const RNDZAPENTCNT = 0x5204;
const RNDCLEARPOOL = 0x5206;
const RNDRESEEDCRNG = 0x5207;
/** Bits that the pool holds, always. */
const ENTROPY_BITS = 256;

/** /dev/random and /dev/urandom, random(4): what is written is no entropy of ours and is dropped. */
export class RandomDevice extends MemoryDevice {
	override get isPollable(): boolean {
		return true;
	}
	override read(_task: Task, vector: IoVector, _position: number): number {
		let done = 0;
		while (vector.remaining > 0 && done < MAX_RANDOM_BYTES) {
			const wanted = Math.min(vector.remaining, CHUNK_BYTES, MAX_RANDOM_BYTES - done);
			randomFillSync(randomBytes, 0, wanted);
			const bytes = vector.copyOut(randomBytes, 0, wanted);
			randomBytes.fill(0, 0, wanted);
			if (bytes < 0) return done > 0 ? done : bytes;
			done += bytes;
			if (bytes < wanted) break;
		}
		return done;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		switch (request >>> 0) {
			case RNDGETENTCNT:
				return copyOutInt(task.tid, argument, ENTROPY_BITS);
			case RNDADDTOENTCNT:
			case RNDADDENTROPY:
			case RNDZAPENTCNT:
			case RNDCLEARPOOL:
			case RNDRESEEDCRNG:
				return -EPERM;
			default:
				return -EINVAL;
		}
	}
}

export type MemoryDeviceClass = new (path: Path | null, inode: Inode, flags: number) => FileDescription;
