import { Dentry } from './dentry.js';
import type { FileSystem, Inode } from './inode.js';
import type { PeerGroup } from './peer-group.js';

/** Mount flags (statfs(2) ST_*, mount(2) MS_*), the numbers that statfs reports. */
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
/** Symlinks on it are not followed. */
export const MS_NOSYMFOLLOW = 256;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_RELATIME = 1 << 21;

/** Mounts that one container may have in all its mount namespaces: /proc/sys/fs/mount-max. */
export const MOUNT_MAX = 10_000;

let nextMountId = 1;

/** A file system, or a part of one, attached to a place in the tree (Linux: struct mount). */
export class Mount {
	readonly id = nextMountId++;
	/** What is mounted on dentries seen through this mount. */
	readonly children = new Map<Dentry, Mount>();
	/** Where it stands or stood last; null once it was unmounted, and for mounts that stand nowhere. */
	namespace: MountNamespace | null = null;
	/** Mounts that see what is mounted on this one, and the other way round; null for a private mount. */
	peers: PeerGroup | null = null;
	/** Whose mounts this one sees without giving back its own; null for one that is no slave. */
	master: PeerGroup | null = null;
	/** MS_UNBINDABLE. */
	isUnbindable = false;
	/** MS_* bits that the operator has set: they can't be taken away (Linux: MNT_LOCK_READONLY and its like). */
	lockedFlags = 0;
	/** Covers what the operator wants covered: it can't be taken away alone (Linux: MNT_LOCKED). */
	isLocked = false;

	constructor(
		readonly fs: FileSystem,
		/** The dentry of `fs` that is the mount's root: the file system's root, or below it for a bind mount. */
		readonly root: Dentry,
		/** MS_* bits. */
		public flags: number,
		/** As /proc/mounts shows it: "tmpfs", "/dev/vda", "proc". */
		readonly source: string,
		/** File system options for /proc/mounts behind the flags: "size=65536k,mode=755", or "". Changed by a remount. */
		public options: string,
		/** Where it stands; null for the root of a mount namespace. */
		public parent: Mount | null,
		public mountpoint: Dentry | null,
	) {}

	get isReadOnly(): boolean {
		return ((this.flags | this.fs.superFlags) & MS_RDONLY) !== 0;
	}

	/** The mount on top of this one's root, and so on: where a further mount on the same place goes. */
	topmost(dentry: Dentry): { mount: Mount; dentry: Dentry } {
		let mount: Mount = this;
		let at = dentry;
		for (let above = mount.children.get(at); above !== undefined; above = mount.children.get(at)) {
			mount = above;
			at = above.root;
		}
		return { mount, dentry: at };
	}

	/** It and all that stands on it, parents before children. */
	tree(): Mount[] {
		const mounts: Mount[] = [this];
		for (let index = 0; index < mounts.length; index++) for (const child of mounts[index]!.children.values()) mounts.push(child);
		return mounts;
	}

	/** Another mount of the same, or of the part of it below `root`, which stands nowhere yet; of the same peers and master. */
	clone(root: Dentry = this.root): Mount {
		const copy = new Mount(this.fs, root, this.flags, this.source, this.options, null, null);
		copy.lockedFlags = this.lockedFlags;
		copy.isLocked = this.isLocked;
		copy.isUnbindable = this.isUnbindable;
		this.peers?.add(copy);
		this.master?.addSlave(copy);
		return copy;
	}

	/** Puts it on a place of `parent`, which has nothing mounted there. */
	attachTo(parent: Mount, mountpoint: Dentry): void {
		this.parent = parent;
		this.mountpoint = mountpoint;
		parent.children.set(mountpoint, this);
		mountpoint.mountCount++;
	}

	/** Takes it off its place, with all that stands on it; what it belongs to stays. */
	detach(): void {
		if (this.parent !== null && this.mountpoint !== null) {
			this.parent.children.delete(this.mountpoint);
			this.mountpoint.mountCount--;
		}
		this.parent = this.mountpoint = null;
	}
}

/** The root dentry of a file system, made once. */
export function rootDentry(fs: FileSystem, inode: Inode = fs.root): Dentry {
	return new Dentry('', null, inode);
}

/** Mounts of all namespaces of a container, against MOUNT_MAX. */
export class MountBudget {
	used = 0;

	/** Is there room for `count` more? */
	has(count: number): boolean {
		return this.used + count <= MOUNT_MAX;
	}
}

/** A tree of mounts, mount_namespaces(7). */
export class MountNamespace {
	/** All of its mounts, oldest first: Linux's order in /proc/PID/mountinfo. */
	private readonly mounts = new Set<Mount>();
	/** Changed by pivot_root(2). */
	root: Mount;
	readonly budget: MountBudget;

	/** `root` stands nowhere yet; what stands on it comes along. `budget` is another namespace's of the same container. */
	constructor(root: Mount, budget: MountBudget = new MountBudget()) {
		this.budget = budget;
		this.root = root;
		this.adopt(root);
	}

	/** A namespace with one mount. */
	static of(fs: FileSystem, flags: number, source: string, options = ''): MountNamespace {
		return new MountNamespace(new Mount(fs, rootDentry(fs), flags, source, options, null, null));
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
		const mount = new Mount(fs, root, flags, source, options, null, null);
		const top = parent.topmost(mountpoint);
		mount.attachTo(top.mount, top.dentry);
		this.adopt(mount);
		return mount;
	}

	/** Takes a tree of mounts in. */
	adopt(root: Mount): void {
		for (const mount of root.tree()) {
			mount.namespace = this;
			mount.fs.mountCount++;
			this.mounts.add(mount);
			this.budget.used++;
		}
	}

	/** Lets one mount go: it stands nowhere any more. */
	drop(mount: Mount): void {
		if (!this.mounts.delete(mount)) return;
		mount.detach();
		mount.peers?.remove(mount);
		mount.master?.removeSlave(mount);
		mount.namespace = null;
		mount.fs.mountCount--;
		this.budget.used--;
	}

	/** All mounts, oldest first. */
	all(): Iterable<Mount> {
		return this.mounts;
	}
	get size(): number {
		return this.mounts.size;
	}
}
