import { native } from '../../../native.js';
import { EFBIG, ENOENT, ENOSPC, ENXIO, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import {
	F_SEAL_SEAL,
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	O_ACCMODE,
	O_RDONLY,
	O_RDWR,
	SEEK_DATA,
	SEEK_HOLE,
} from '../../abi/fcntl.js';
import { PAGE_SIZE } from '../../abi/limits.js';
import { bounds } from '../../bounds.js';
import type { IoVector } from '../../trap/guest-memory.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import { hostStat, StatField } from '../host/host-stat.js';
import { mappingKeyOf } from '../mapping-key.js';
import { memoryFolders } from './memory-folders.js';
import { TmpFile } from './tmp-file.js';
import type { TmpFileSystem } from './tmp-file-system.js';
import { TmpInode } from './tmp-inode.js';

/** Largest file: numbers are exact up to here, and positions plus lengths stay below 2^53. */
export const MAX_FILE_BYTES = 2 ** 52;
/** Files up to here lie in this process's own memory until they are mapped: a host descriptor for each small file would be too many. */
const MAX_INLINE_BYTES = 16384;

/** Memory files in use, over all tmpfs: each is a host descriptor. */
let memoryFiles = 0;

const pagesOf = (bytes: number) => Math.ceil(bytes / PAGE_SIZE);

/**
 * A regular file of a tmpfs. Small ones lie in a buffer; a larger one, or one that was mapped, in a memory file of the host's, so that mappings, read and write
 * share one page cache.
 *
 * Pages are counted as they are written. Nearly all files are written from their start on without holes: `densePages` is known without asking. Where there may
 * be holes the host is asked how many pages there are.
 */
export class TmpRegular extends TmpInode {
	private size = 0;
	/** Contents while there is no memory file; zeros behind `size`. */
	private inline: Buffer | null = null;
	/** The memory file, or -1. Owned. */
	private fd = -1;
	/** The same file by a noexec mount, once it was mapped from one, or -1. Owned. */
	private noExecFd = -1;
	/** Device and inode number of the memory file, once asked for. */
	private key: string | null = null;
	/** Pages from the start on that are certainly there, and counted. */
	private densePages = 0;
	/** Pages charged to the file system. */
	private chargedPages = 0;
	/** Open descriptions. */
	private opens = 0;
	/** It had a name once: without one again, it can't get another. */
	private hadName = false;

	constructor(fs: TmpFileSystem, mode: number, uid: number, gid: number) {
		super(fs, mode, uid, gid);
	}

	override get sizeBytes(): number {
		return this.size;
	}
	override get pages(): number {
		return this.chargedPages;
	}
	/** Made by O_TMPFILE and without a name so far. */
	get isLinkable(): boolean {
		return !this.hadName && !this.isFreed;
	}

	override stat(out: Stat): number {
		if (this.fd >= 0 && this.densePages < pagesOf(this.size)) this.recount();
		return super.stat(out);
	}

	// --- Life ----------------------------------------------------------------------------------------------------

	override unlinked(): void {
		this.hadName = true;
		super.unlinked();
	}

	override get isOpen(): boolean {
		return this.opens > 0;
	}

	opened(): void {
		this.opens++;
	}
	closed(): void {
		this.opens--;
		this.freeIfUnused();
	}

	protected override free(): void {
		for (const fd of [this.fd, this.noExecFd]) {
			if (fd < 0) continue;
			native.close(fd);
			memoryFiles--;
		}
		this.fd = -1;
		this.noExecFd = -1;
		this.inline = null;
		this.charge(0);
	}

	override open(path: Path, flags: number): FileDescription | number {
		return this.isFreed ? -ENOENT : new TmpFile(path, this, flags);
	}

	// --- Contents ------------------------------------------------------------------------------------------------

	/** Bytes read from `position` on. */
	read(vector: IoVector, position: number): number {
		if (position >= this.size) return 0;
		if (this.fd >= 0) return vector.fromHost(this.fd, position);
		return vector.copyOut(this.inline!, position, Math.min(vector.remaining, this.size - position));
	}

	/** Writes at most `length` bytes: bytes written, -ENOSPC, -EFBIG, -EFAULT. */
	write(vector: IoVector, position: number, length: number): number {
		if (length === 0) return 0;
		if (position >= MAX_FILE_BYTES) return -EFBIG;
		const room = this.roomFor(position, Math.min(length, MAX_FILE_BYTES - position));
		if (room <= 0) return -ENOSPC;
		let bytes: number;
		if (this.fd < 0 && position + room <= MAX_INLINE_BYTES) {
			bytes = vector.copyIn(this.inlineFor(position + room), position, room);
		} else {
			const error = this.materialize();
			if (error < 0) return error;
			bytes = vector.toHost(this.fd, position, false, room);
		}
		if (bytes <= 0) return bytes;
		this.dropCapabilities();
		this.size = Math.max(this.size, position + bytes);
		this.written(position, bytes);
		this.touchModify();
		return bytes;
	}

	override truncate(lengthBytes: number): number {
		if (lengthBytes > MAX_FILE_BYTES) return -EFBIG;
		if (this.fd < 0 && lengthBytes <= MAX_INLINE_BYTES) {
			if (lengthBytes < this.size) this.inline!.fill(0, lengthBytes, this.size);
			else if (lengthBytes > 0) this.inlineFor(lengthBytes);
		} else {
			let error = this.materialize();
			if (error < 0) return error;
			error = native.ftruncate(this.fd, lengthBytes);
			if (error < 0) return error;
		}
		this.dropCapabilities();
		this.size = lengthBytes;
		this.shrunk(pagesOf(lengthBytes));
		this.touchModify();
		return 0;
	}

	/** fallocate(2): reserving and punching holes, which is what tmpfs has. Errors: EOPNOTSUPP, EFBIG, ENOSPC. */
	fallocate(mode: number, offset: number, length: number): number {
		const isPunch = (mode & FALLOC_FL_PUNCH_HOLE) !== 0;
		if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) !== 0 || (isPunch && (mode & FALLOC_FL_KEEP_SIZE) === 0)) return -EOPNOTSUPP;
		if (offset + length > MAX_FILE_BYTES) return -EFBIG;
		if (!isPunch && this.roomFor(offset, length) < length) return -ENOSPC;
		let error = this.materialize();
		if (error < 0) return error;
		error = native.fallocate(this.fd, mode, offset, length);
		if (error < 0) return error;
		if (isPunch) this.shrunk(Math.floor(offset / PAGE_SIZE), true);
		else {
			if ((mode & FALLOC_FL_KEEP_SIZE) === 0) this.size = Math.max(this.size, offset + length);
			this.written(offset, length);
		}
		this.touchModify();
		return 0;
	}

	/** Where data or a hole begins, lseek(2) SEEK_DATA and SEEK_HOLE; -ENXIO. */
	seekExtent(offset: number, whence: typeof SEEK_DATA | typeof SEEK_HOLE): number {
		if (offset < 0 || offset >= this.size) return -ENXIO;
		if (this.fd >= 0) return native.lseek(this.fd, offset, whence);
		return whence === SEEK_DATA ? offset : this.size;
	}

	/** F_GET_SEALS and F_ADD_SEALS of fcntl(2): on a tmpfs files are sealed against seals. */
	get seals(): number {
		return F_SEAL_SEAL;
	}
	addSeals(_seals: number): number {
		return -EPERM;
	}

	// --- Memory ----------------------------------------------------------------------------------------------------

	/** The buffer, at least `length` bytes long. */
	private inlineFor(length: number): Buffer {
		const old = this.inline;
		if (old !== null && old.length >= length) return old;
		const grown = Buffer.alloc(Math.min(Math.max(length, (old?.length ?? 0) * 2, 64), MAX_INLINE_BYTES));
		old?.copy(grown);
		this.inline = grown;
		return grown;
	}

	/** Moves the contents to a memory file, if they aren't in one. Errors: ENOSPC (no more of them), and the host's. */
	private materialize(): number {
		if (this.fd >= 0) return 0;
		if (memoryFiles >= bounds.tmpfsLargeFiles) return -ENOSPC;
		const fd = this.createMemory();
		if (fd < 0) return fd;
		const written = Math.min(this.size, this.densePages * PAGE_SIZE);
		let error = written > 0 ? native.pwrite(fd, this.inline!, 0, written, 0) : 0;
		if (error >= 0) error = error < written ? -ENOSPC : native.ftruncate(fd, this.size);
		if (error < 0) {
			native.close(fd);
			return error;
		}
		memoryFiles++;
		this.fd = fd;
		this.inline = null;
		return 0;
	}

	/** Makes the memory file: a descriptor, or -errno. */
	protected createMemory(): number {
		return memoryFolders()?.create() ?? native.memfdCreate('tmpfs', 0);
	}

	/** How many of `length` bytes at `position` there are pages for. */
	private roomFor(position: number, length: number): number {
		const firstPage = Math.floor(position / PAGE_SIZE);
		const endPage = pagesOf(position + length);
		const { freePages } = this.fs;
		let firstNew = Math.max(firstPage, this.densePages);
		if (endPage - firstNew <= freePages) return length;
		if (this.fd >= 0 && position < this.size) {
			// What is written over needs no pages.
			const hole = native.lseek(this.fd, position, SEEK_HOLE);
			if (hole >= 0) firstNew = Math.max(firstNew, Math.floor(hole / PAGE_SIZE));
		}
		return Math.min(length, (firstNew + freePages) * PAGE_SIZE - position);
	}

	/** Counts what was written. */
	private written(position: number, length: number): void {
		const endPage = pagesOf(position + length);
		const wasDense = this.chargedPages === this.densePages;
		// A buffer has no holes.
		const isDense = this.fd < 0 || Math.floor(position / PAGE_SIZE) <= this.densePages;
		if (isDense) this.densePages = Math.max(this.densePages, endPage);
		if (isDense && wasDense) this.charge(this.densePages);
		else this.recount();
	}

	/** Pages from `page` on were given back; not all of them with `hasMore`. */
	private shrunk(page: number, hasMore = false): void {
		const wasDense = this.chargedPages === this.densePages;
		this.densePages = Math.min(this.densePages, page);
		if (wasDense && !hasMore) this.charge(this.densePages);
		else this.recount();
	}

	/** Asks the host for the number of pages. */
	private recount(): void {
		if (this.fd >= 0 && native.fstat(this.fd, hostStat) >= 0) this.charge(pagesOf(hostStat[StatField.Blocks]! * 512));
	}

	private charge(pages: number): void {
		this.fs.chargePages(pages - this.chargedPages);
		this.chargedPages = pages;
	}

	// --- Mapping -----------------------------------------------------------------------------------------------------

	/** A descriptor that reads the contents, which stay this file's; -errno. Writing through it would go uncounted. */
	memoryFd(): number {
		const error = this.materialize();
		return error < 0 ? error : this.fd;
	}

	/** Errors: ENOENT, ENOSPC, the host's. */
	override openForMapping(flags: number, isNoExec: boolean): number {
		if (this.isFreed) return -ENOENT;
		const error = this.materialize();
		if (error < 0) return error;
		const fd = isNoExec ? this.byNoExecMount() : this.fd;
		return fd < 0 ? fd : native.reopen(fd, (flags & O_ACCMODE) === O_RDONLY ? O_RDONLY : O_RDWR);
	}

	/** The memory file's other descriptor, or -errno. It counts as a memory file. */
	private byNoExecMount(): number {
		const folders = memoryFolders();
		if (folders === null) return this.fd;
		if (this.noExecFd >= 0) return this.noExecFd;
		if (memoryFiles >= bounds.tmpfsLargeFiles) return -ENOSPC;
		const fd = folders.openNoExec(this.fd);
		if (fd < 0) return fd;
		memoryFiles++;
		this.noExecFd = fd;
		return fd;
	}

	override mappingKey(): string | null {
		if (this.key !== null) return this.key;
		if (this.fd < 0 || native.fstat(this.fd, hostStat) < 0) return null;
		this.key = mappingKeyOf(hostStat[StatField.Dev]!, hostStat[StatField.Ino]!);
		return this.key;
	}
}
