import { native } from '../../../native.js';
import { EACCES, ENOENT, EPERM } from '../../abi/errno.js';
import { FileSystem } from '../../vfs/inode.js';

const CLOCK_REALTIME = 0;
const clock = new Float64Array(2);

/** Inode numbers up to here are the file system's own; those above belong to links of descriptors, which have numbers by descriptor. */
const FD_INO_BASE = 2 ** 40;
const FD_INO_STRIDE = 2 ** 21;

/** A file system whose files are made when they are asked for (proc, sysfs): names are looked up again each time. */
export abstract class PseudoFileSystem extends FileSystem {
	override readonly isExclusive = false;
	/** Wall-clock time of the monotonic clock's zero, seconds: turns a start time into a file time. */
	private readonly epochSec: number;
	/** When the file system was made, wall-clock seconds: the times of its files. */
	readonly createdSec: number;
	private nextIno = 1;

	constructor(
		type: string,
		magic: number,
		/** st_blksize of its files. */
		readonly blockSizeBytes: number,
		/** What a new file, or another new name, gets: Linux's proc finds no such name, sysfs forbids. */
		readonly createError: number,
		readonly linkError: number,
	) {
		super(type, magic);
		native.clockGetTime(CLOCK_REALTIME, clock);
		this.createdSec = clock[0]!;
		this.epochSec = clock[0]! + clock[1]! / 1e9 - native.monotonicNs() / 1e9;
	}

	/** `count` inode numbers in a row; the first. */
	allocateInos(count: number): number {
		const first = this.nextIno;
		this.nextIno += count;
		return first;
	}

	/** The inode number of a descriptor's link in the directory with number `directoryIno`. */
	fdIno(directoryIno: number, fd: number): number {
		return FD_INO_BASE + (directoryIno % 2 ** 31) * FD_INO_STRIDE + fd;
	}

	/** Wall-clock seconds of a monotonic time. */
	wallSec(monotonicNs: number): number {
		return Math.floor(this.epochSec + monotonicNs / 1e9);
	}
}

/** What proc and sysfs answer to open(O_CREAT) and to mkdir, mknod, symlink, link. */
export const PROC_ERRORS = { create: -ENOENT, link: -ENOENT } as const;
export const SYSFS_ERRORS = { create: -EACCES, link: -EPERM } as const;
