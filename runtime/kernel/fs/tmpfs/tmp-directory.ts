import { EEXIST, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from '../../abi/errno.js';
import { O_ACCMODE, O_RDONLY, RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFREG } from '../../abi/stat-constants.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import type { Path } from '../../vfs/path.js';
import { TmpDirectoryDescription } from './tmp-directory-description.js';
import type { TmpFileSystem } from './tmp-file-system.js';
import { TmpInode } from './tmp-inode.js';
import { TmpSpecial, TmpSymlink } from './tmp-nodes.js';
import { TmpRegular } from './tmp-regular.js';

/** Cookies 1 and 2 stand behind "." and "..". */
const FIRST_COOKIE = 3;
/** BOGO_DIRENT_SIZE of mm/shmem.c: what an entry adds to a directory's size. */
const ENTRY_BYTES = 20;

/** An entry of a directory. */
export interface TmpEntry {
	readonly name: string;
	inode: TmpInode;
	/** Its position for readers: rises with each entry made in the directory, never used twice. */
	readonly cookie: number;
}

/**
 * A directory of a tmpfs: entries by name, and in the order of their making for readers, so that a reader that was interrupted goes on behind the last entry it
 * got, whatever was made or removed meanwhile.
 */
export class TmpDirectory extends TmpInode {
	private readonly entries = new Map<string, TmpEntry>();
	/** By cookie, ascending; null where an entry was removed. */
	private order: (TmpEntry | null)[] = [];
	/** Cookies of `order`, for finding a place even where the entry is gone. */
	private cookies: number[] = [];
	private removedCount = 0;
	private nextCookie = FIRST_COOKIE;

	constructor(
		fs: TmpFileSystem,
		mode: number,
		uid: number,
		gid: number,
		/** Null for the root. Changed by rename. */
		public parent: TmpDirectory | null,
	) {
		super(fs, mode, uid, gid);
		this.nlink = 2;
	}

	override get sizeBytes(): number {
		return (this.entries.size + 2) * ENTRY_BYTES;
	}

	/** It was removed: nothing can be made in it. */
	get isRemoved(): boolean {
		return this.nlink === 0;
	}

	// --- Entries -------------------------------------------------------------------------------------------------

	/** Index in the order of the first entry whose cookie is above `cookie`. Valid until the directory changes. */
	indexBehind(cookie: number): number {
		let low = 0;
		let high = this.cookies.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.cookies[middle]! <= cookie) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/** The entry at an index: null where one was removed, undefined at the end. */
	entryAt(index: number): TmpEntry | null | undefined {
		return this.order[index];
	}

	private insert(name: string, inode: TmpInode): void {
		const entry: TmpEntry = { name, inode, cookie: this.nextCookie++ };
		this.entries.set(name, entry);
		this.order.push(entry);
		this.cookies.push(entry.cookie);
	}

	private remove(name: string): void {
		const entry = this.entries.get(name);
		if (entry === undefined) return;
		this.entries.delete(name);
		this.order[this.indexBehind(entry.cookie) - 1] = null;
		if (++this.removedCount <= 32 || this.removedCount <= this.order.length / 2) return;
		this.order = this.order.filter((kept) => kept !== null);
		this.cookies = this.order.map((kept) => kept!.cookie);
		this.removedCount = 0;
	}

	/** Takes out everything, and everything below. */
	clear(): void {
		const directories: TmpDirectory[] = [this];
		for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
			for (const { inode } of directory.entries.values()) {
				if (inode instanceof TmpDirectory) directories.push(inode);
				else inode.abandon();
			}
			directory.entries.clear();
			directory.order = [];
			directory.cookies = [];
			directory.abandon();
		}
	}

	/** Checks that `name` can be made here and takes a slot for it: 0 or -errno. */
	private prepare(name: string): number {
		if (this.isRemoved) return -ENOENT;
		if (this.entries.has(name)) return -EEXIST;
		return this.fs.reserveInode() ? 0 : -ENOSPC;
	}

	private add<T extends TmpInode>(name: string, inode: T): T {
		this.insert(name, inode);
		this.touchModify();
		return inode;
	}

	override lookup(name: string): Inode | number {
		return this.entries.get(name)?.inode ?? -ENOENT;
	}

	override create(name: string, mode: number, uid: number, gid: number): TmpInode | number {
		const error = this.prepare(name);
		return error < 0 ? error : this.add(name, new TmpRegular(this.fs, S_IFREG | (mode & 0o7777), uid, gid));
	}

	override createUnnamed(mode: number, uid: number, gid: number): TmpInode | number {
		if (!this.fs.reserveInode()) return -ENOSPC;
		const inode = new TmpRegular(this.fs, S_IFREG | (mode & 0o7777), uid, gid);
		inode.nlink = 0;
		return inode;
	}

	override mkdir(name: string, mode: number, uid: number, gid: number): TmpInode | number {
		const error = this.prepare(name);
		if (error < 0) return error;
		this.nlink++;
		return this.add(name, new TmpDirectory(this.fs, S_IFDIR | (mode & 0o7777), uid, gid, this));
	}

	override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): TmpInode | number {
		const error = this.prepare(name);
		return error < 0 ? error : this.add(name, new TmpSpecial(this.fs, mode, uid, gid, rdev));
	}

	override symlink(name: string, target: string, uid: number, gid: number): TmpInode | number {
		const error = this.prepare(name);
		return error < 0 ? error : this.add(name, new TmpSymlink(this.fs, uid, gid, target));
	}

	override link(name: string, inode: Inode): number {
		if (!(inode instanceof TmpInode) || inode.fs !== this.fs) return -EXDEV;
		if (inode instanceof TmpDirectory) return -EPERM;
		if (this.isRemoved) return -ENOENT;
		if (this.entries.has(name)) return -EEXIST;
		if (inode.nlink === 0) {
			// Only what never had a name can get one (O_TMPFILE); its slot is the one it has.
			if (!(inode instanceof TmpRegular) || !inode.isLinkable) return -ENOENT;
		} else if (!this.fs.reserveInode()) return -ENOSPC;
		inode.nlink++;
		inode.touchChange();
		this.add(name, inode);
		return 0;
	}

	override unlink(name: string, _inode: Inode): number {
		const entry = this.entries.get(name);
		if (entry === undefined) return -ENOENT;
		if (entry.inode instanceof TmpDirectory) return -EISDIR;
		this.remove(name);
		this.touchModify();
		entry.inode.unlinked();
		return 0;
	}

	override rmdir(name: string, _inode: Inode): number {
		const entry = this.entries.get(name);
		if (entry === undefined) return -ENOENT;
		const directory = entry.inode;
		if (!(directory instanceof TmpDirectory)) return -ENOTDIR;
		if (directory.entries.size > 0) return -ENOTEMPTY;
		this.remove(name);
		this.dropDirectory(directory);
		this.touchModify();
		return 0;
	}

	/** An empty directory below this one lost its name. */
	private dropDirectory(directory: TmpDirectory): void {
		this.nlink--;
		directory.nlink = 0;
		directory.touchChange();
		directory.freeIfUnused();
	}

	override rename(name: string, _inode: Inode, newDirectory: Inode, newName: string, _replaced: Inode | null, flags: number): number {
		if (!(newDirectory instanceof TmpDirectory) || newDirectory.fs !== this.fs) return -EXDEV;
		const entry = this.entries.get(name);
		if (entry === undefined || newDirectory.isRemoved) return -ENOENT;
		const target = newDirectory.entries.get(newName);
		if ((flags & RENAME_EXCHANGE) !== 0) return target === undefined ? -ENOENT : this.exchange(entry, newDirectory, target);
		const moved = entry.inode;
		if (target !== undefined) {
			if ((flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
			const error = newDirectory.replace(target, moved);
			if (error <= 0) return error;
		}
		this.remove(name);
		newDirectory.insert(newName, moved);
		if (moved instanceof TmpDirectory) this.moveDirectory(moved, newDirectory);
		moved.touchChange();
		this.touchModify();
		if (newDirectory !== this) newDirectory.touchModify();
		return 0;
	}

	/** Makes way for `moved`: 1 when the entry was removed, 0 when it is another name of the same file and nothing is to be done, -errno. */
	private replace(target: TmpEntry, moved: TmpInode): number {
		const old = target.inode;
		if (old === moved) return 0;
		if (old instanceof TmpDirectory) {
			if (!(moved instanceof TmpDirectory)) return -EISDIR;
			if (old.entries.size > 0) return -ENOTEMPTY;
			this.remove(target.name);
			this.dropDirectory(old);
			return 1;
		}
		if (moved instanceof TmpDirectory) return -ENOTDIR;
		this.remove(target.name);
		old.unlinked();
		return 1;
	}

	private exchange(entry: TmpEntry, newDirectory: TmpDirectory, target: TmpEntry): number {
		const here = entry.inode;
		const there = target.inode;
		entry.inode = there;
		target.inode = here;
		if (here instanceof TmpDirectory) this.moveDirectory(here, newDirectory);
		if (there instanceof TmpDirectory) newDirectory.moveDirectory(there, this);
		here.touchChange();
		there.touchChange();
		this.touchModify();
		if (newDirectory !== this) newDirectory.touchModify();
		return 0;
	}

	private moveDirectory(directory: TmpDirectory, to: TmpDirectory): void {
		directory.parent = to;
		this.nlink--;
		to.nlink++;
	}

	override open(path: Path, flags: number): FileDescription | number {
		return (flags & O_ACCMODE) === O_RDONLY ? new TmpDirectoryDescription(path, this, flags) : -EISDIR;
	}
}
