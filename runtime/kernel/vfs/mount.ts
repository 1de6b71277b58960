import { Dentry } from './dentry.js';
import type { FileSystem, Inode } from './inode.js';

/** Mount flags (statfs(2) ST_*, mount(2) MS_*), the numbers that statfs reports. */
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_RELATIME = 1 << 21;

let nextMountId = 1;

/** A file system, or a part of one, attached to a place in the tree (Linux: struct mount). */
export class Mount {
	readonly id = nextMountId++;
	/** What is mounted on dentries seen through this mount. */
	readonly children = new Map<Dentry, Mount>();

	constructor(
		readonly fs: FileSystem,
		/** The dentry of `fs` that is the mount's root: the file system's root, or below it for a bind mount. */
		readonly root: Dentry,
		/** MS_* bits. */
		public flags: number,
		/** As /proc/mounts shows it: "tmpfs", "/dev/vda", "proc". */
		readonly source: string,
		/** File system options for /proc/mounts behind the flags: "size=65536k,mode=755", or "". */
		readonly options: string,
		/** Where it stands; null for the root of a mount namespace. */
		public parent: Mount | null,
		public mountpoint: Dentry | null,
	) {}

	get isReadOnly(): boolean {
		return (this.flags & MS_RDONLY) !== 0;
	}
}

/** The root dentry of a file system, made once. */
export function rootDentry(fs: FileSystem, inode: Inode = fs.root): Dentry {
	return new Dentry('', null, inode);
}

/** The tree of mounts that a container sees. */
export class MountNamespace {
	readonly root: Mount;

	constructor(fs: FileSystem, flags: number, source: string, options = '') {
		this.root = new Mount(fs, rootDentry(fs), flags, source, options, null, null);
	}

	/** Attaches `fs` (or the part of it below `root`) at a place; what is mounted there already is covered. */
	attach(
		parent: Mount,
		mountpoint: Dentry,
		fs: FileSystem,
		flags: number,
		source: string,
		options = '',
		root: Dentry = rootDentry(fs),
	): Mount {
		const mount = new Mount(fs, root, flags, source, options, parent, mountpoint);
		parent.children.set(mountpoint, mount);
		mountpoint.mountCount++;
		return mount;
	}

	/** All mounts, parents before children. */
	*all(from: Mount = this.root): Generator<Mount> {
		yield from;
		for (const child of from.children.values()) yield* this.all(child);
	}
}
