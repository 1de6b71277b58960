import { EINVAL } from '../../abi/errno.js';
import { PAGE_SIZE } from '../../abi/limits.js';
import { S_IFDIR } from '../../abi/stat-constants.js';
import { bounds } from '../../bounds.js';
import { FileSystem } from '../../vfs/inode.js';
import { TmpDirectory } from './tmp-directory.js';

const TMPFS_MAGIC = 0x01021994;

export interface TmpFileSystemOptions {
	/** Bytes that files may take, counted by pages; `Infinity` for no bound but the pod's memory. */
	sizeBytes: number;
	/** Files, directories and further names together. */
	inodes: number;
	/** Permission bits of the root directory, and its owner. */
	mode: number;
	uid: number;
	gid: number;
	/** What it shares with others; null for bounds of its own alone. */
	pool?: TmpfsPool;
}

/** Memory that several file systems take together: all that a container mounts by itself. */
export class TmpfsPool {
	usedPages = 0;
	usedInodes = 0;
	xattrBytes = 0;

	constructor(
		readonly maxPages: number,
		readonly maxInodes: number,
	) {}
}

/** A file system in memory, tmpfs(5). Nobody else sees it; it is gone with its last holder. */
export class TmpFileSystem extends FileSystem {
	readonly root: TmpDirectory;
	readonly isExclusive = true;
	private maxPages: number;
	private maxInodes: number;
	private readonly pool: TmpfsPool;
	private usedPages = 0;
	private usedInodes = 1;
	private xattrBytes = 0;
	private lastIno = 0;

	constructor(options: TmpFileSystemOptions) {
		super('tmpfs', TMPFS_MAGIC);
		this.maxPages = Math.ceil(options.sizeBytes / PAGE_SIZE);
		this.maxInodes = options.inodes;
		this.pool = options.pool ?? new TmpfsPool(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
		this.pool.usedInodes++;
		this.root = new TmpDirectory(this, S_IFDIR | options.mode, options.uid, options.gid, null);
	}

	nextIno(): number {
		return ++this.lastIno;
	}

	/** Takes a slot for a new file or name; false when none is left (ENOSPC). */
	reserveInode(): boolean {
		if (this.usedInodes >= this.maxInodes || this.pool.usedInodes >= this.pool.maxInodes) return false;
		this.usedInodes++;
		this.pool.usedInodes++;
		return true;
	}
	releaseInode(): void {
		this.usedInodes--;
		this.pool.usedInodes--;
	}

	/** Pages that can still be written. What guests write through shared mappings counts once it is noticed, so that more may be in use than there is. */
	get freePages(): number {
		return Math.max(Math.min(this.maxPages - this.usedPages, this.pool.maxPages - this.pool.usedPages), 0);
	}
	/** Counts pages in (or out, negative). */
	chargePages(pages: number): void {
		this.usedPages += pages;
		this.pool.usedPages += pages;
	}

	/** Counts bytes of extended attributes in or out; false, and nothing counted, when they are too many (ENOSPC). */
	chargeXattr(bytes: number): boolean {
		if (bytes > 0 && Math.max(this.xattrBytes, this.pool.xattrBytes) + bytes > bounds.tmpfsXattrBytes) return false;
		this.xattrBytes += bytes;
		this.pool.xattrBytes += bytes;
		return true;
	}

	/** New bounds, MS_REMOUNT; null leaves one. Errors: EINVAL when more is in use, or for a bound on pages that were counted without one. */
	remount(sizeBytes: number | null, inodes: number | null): number {
		const pages = sizeBytes === null ? this.maxPages : Math.ceil(sizeBytes / PAGE_SIZE);
		const isRetroactive = !Number.isFinite(this.maxPages) && Number.isFinite(pages);
		if (isRetroactive || pages < this.usedPages) return -EINVAL;
		const files = inodes ?? this.maxInodes;
		if ((!Number.isFinite(this.maxInodes) && Number.isFinite(files)) || files < this.usedInodes) return -EINVAL;
		this.maxPages = pages;
		this.maxInodes = files;
		return 0;
	}

	override statfs(out: Float64Array): number {
		super.statfs(out);
		// Without a bound Linux shows zeros.
		if (Number.isFinite(this.maxPages)) {
			out[2] = this.maxPages;
			out[3] = out[4] = this.freePages;
		}
		if (Number.isFinite(this.maxInodes)) {
			out[5] = this.maxInodes;
			out[6] = Math.max(this.maxInodes - this.usedInodes, 0);
		}
		return 0;
	}

	override dispose(): void {
		this.root.clear();
	}
}
