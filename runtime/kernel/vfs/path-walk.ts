import { ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from '../abi/errno.js';
import { MAXSYMLINKS, NAME_MAX, PATH_MAX } from '../abi/limits.js';
import { bounds } from '../bounds.js';
import type { Task } from '../task/task.js';
import type { Dentry } from './dentry.js';
import type { Inode } from './inode.js';
import { type Mount, MS_NOSYMFOLLOW } from './mount.js';
import { Path } from './path.js';
import { checkPermission, MAY_EXEC } from './permission.js';

/** Follow a symlink in the last component. */
export const WALK_FOLLOW = 1;
/** Stop at the parent: `last` is the final component, whether it exists or not. */
export const WALK_PARENT = 2;
/** openat2(2)'s restrictions. */
export const WALK_NO_XDEV = 4;
export const WALK_NO_MAGICLINKS = 8;
export const WALK_NO_SYMLINKS = 16;
export const WALK_BENEATH = 32;
export const WALK_IN_ROOT = 64;

/** Directory entries known not to exist, and entries of trees that others change, kept per directory at most. */
const MAX_VOLATILE_CHILDREN = 4096;

/**
 * One walk along a path, path_resolution(7). A single instance serves all calls: read its results before the next walk.
 *
 * After `walk` without WALK_PARENT, `path` is what the path leads to. With WALK_PARENT, `mount`/`dentry` are the directory, `last` the final
 * component (never empty), `hasTrailingSlash` whether one followed it. ".", ".." or "/" as the last component leave `last` "." or "..", or "/".
 */
export class PathWalk {
	private task!: Task;
	private flags = 0;
	private links = 0;
	private root!: Path;
	mount!: Mount;
	dentry!: Dentry;
	last = '';
	hasTrailingSlash = false;

	get path(): Path {
		return new Path(this.mount, this.dentry);
	}

	/** Errors: ENOENT (also for ""), ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EXDEV (openat2 restrictions). */
	walk(task: Task, start: Path, pathname: string, flags: number): number {
		if (pathname.length === 0) return -ENOENT;
		if (pathname.length >= PATH_MAX) return -ENAMETOOLONG;
		this.task = task;
		this.flags = flags;
		this.links = 0;
		this.root = (flags & (WALK_IN_ROOT | WALK_BENEATH)) !== 0 ? start : task.fs.root;
		this.mount = start.mount;
		this.dentry = start.dentry;
		return this.components(pathname, (flags & WALK_PARENT) !== 0);
	}

	/** The entry `name` of the directory the walk stands on: a dentry (negative: inode null), or -errno. */
	lookup(directory: Dentry, name: string): Dentry | number {
		if (name.length > NAME_MAX) return -ENAMETOOLONG;
		return lookupChild(directory, name, this.task);
	}

	private components(pathname: string, stopAtParent: boolean): number {
		let at = 0;
		const end = pathname.length;
		if (pathname.charCodeAt(0) === 47) {
			if ((this.flags & WALK_BENEATH) !== 0) return -EXDEV;
			const error = this.goTo(this.root);
			if (error < 0) return error;
			while (at < end && pathname.charCodeAt(at) === 47) at++;
			if (at === end) {
				this.last = '/';
				this.hasTrailingSlash = false;
				return 0;
			}
		}
		for (;;) {
			let next = pathname.indexOf('/', at);
			const name = next < 0 ? pathname.slice(at) : pathname.slice(at, next);
			let isLast = next < 0;
			let hasSlash = false;
			if (!isLast) {
				hasSlash = true;
				while (next < end && pathname.charCodeAt(next) === 47) next++;
				isLast = next === end;
			}
			const inode = this.dentry.inode;
			if (inode === null || !inode.isDirectory) return -ENOTDIR;
			const denied = checkPermission(inode, MAY_EXEC, this.task.credentials);
			if (denied < 0) return denied;
			if (isLast && stopAtParent) {
				this.last = name;
				this.hasTrailingSlash = hasSlash;
				return 0;
			}
			const follow = !isLast || hasSlash || (this.flags & WALK_FOLLOW) !== 0;
			const error = this.step(name, follow);
			if (error < 0) return error;
			if (isLast) {
				this.last = name;
				this.hasTrailingSlash = hasSlash;
				return hasSlash && !this.dentry.inode!.isDirectory ? -ENOTDIR : 0;
			}
			at = next;
		}
	}

	/** One component. */
	private step(name: string, follow: boolean): number {
		if (name === '.') return 0;
		if (name === '..') return this.up();
		if (name.length > NAME_MAX) return -ENAMETOOLONG;
		const child = lookupChild(this.dentry, name, this.task);
		if (typeof child === 'number') return child;
		const inode = child.inode;
		if (inode === null) return -ENOENT;
		if (follow && inode.isSymlink) return this.followLink(child);
		this.dentry = child;
		return child.mountCount > 0 ? this.down() : 0;
	}

	/** Onto what is mounted here. */
	private down(): number {
		for (;;) {
			const mounted = this.mount.children.get(this.dentry);
			if (mounted === undefined) return 0;
			if ((this.flags & WALK_NO_XDEV) !== 0) return -EXDEV;
			this.mount = mounted;
			this.dentry = mounted.root;
		}
	}

	/** "..": never above the root, and out of a mount by its mount point. */
	private up(): number {
		for (;;) {
			if (this.mount === this.root.mount && this.dentry === this.root.dentry) return (this.flags & WALK_BENEATH) !== 0 ? -EXDEV : 0;
			if (this.dentry !== this.mount.root) break;
			const parent = this.mount.parent;
			if (parent === null) return 0;
			if ((this.flags & WALK_NO_XDEV) !== 0) return -EXDEV;
			this.dentry = this.mount.mountpoint!;
			this.mount = parent;
		}
		const { root } = this.mount;
		const parent = this.dentry.parent ?? this.dentry;
		// Moved out of the part of the tree that is mounted here, by another mount of it (fs/namei.c, path_connected).
		if (root.parent !== null && !root.isAncestorOf(parent)) return -ENOENT;
		this.dentry = parent;
		return this.dentry.mountCount > 0 ? this.down() : 0;
	}

	private followLink(link: Dentry): number {
		const inode = link.inode!;
		if ((this.flags & WALK_NO_SYMLINKS) !== 0 || (this.mount.flags & MS_NOSYMFOLLOW) !== 0) return -ELOOP;
		if (++this.links > MAXSYMLINKS) return -ELOOP;
		const jump = inode.jump(this.task);
		if (jump !== null) {
			if (typeof jump === 'number') return jump;
			if ((this.flags & (WALK_NO_MAGICLINKS | WALK_BENEATH | WALK_IN_ROOT)) !== 0) return -ELOOP;
			return this.goTo(jump);
		}
		const target = inode.readlink(this.task);
		if (typeof target === 'number') return target;
		if (target.length === 0) return -ENOENT;
		const saved = this.flags;
		this.flags |= WALK_FOLLOW;
		const error = this.components(target, false);
		this.flags = saved;
		return error;
	}

	private goTo(path: Path): number {
		if ((this.flags & WALK_NO_XDEV) !== 0 && path.mount !== this.mount) return -EXDEV;
		this.mount = path.mount;
		this.dentry = path.dentry;
		// As on Linux, what is mounted on a root is not seen from there.
		return 0;
	}
}

/** The entry `name` below `directory`, from the cache where its file system allows it. A negative dentry, or -errno, when it isn't there. */
export function lookupChild(directory: Dentry, name: string, task: Task): Dentry | number {
	const cached = directory.children?.get(name);
	const parent = directory.inode!;
	if (cached !== undefined && (parent.fs.isExclusive || cached.mountCount > 0)) return cached;
	if (directory.isDeleted) return -ENOENT;
	const found = parent.lookup(name, task);
	if (typeof found === 'number') {
		if (found !== -ENOENT) return found;
		if (cached !== undefined) dropChild(directory, cached);
		return parent.fs.isExclusive ? addChild(directory, name, null) : found;
	}
	if (cached !== undefined) {
		// A dentry whose name now leads elsewhere stays good for those who hold it: the file itself may live on.
		if (cached.inode === found) return cached;
	}
	return addChild(directory, name, found);
}

function addChild(directory: Dentry, name: string, inode: Inode | null): Dentry {
	const children = directory.children;
	if (children !== null && children.size >= MAX_VOLATILE_CHILDREN) {
		// Only what can be looked up again without a difference: names that lead nowhere, plain files, and whatever is asked for anew each time.
		const isExclusive = directory.inode!.fs.isExclusive;
		for (const [key, child] of children) {
			const isPlain = child.inode === null || !child.inode.isDirectory;
			if (isExclusive ? isPlain && child.mountCount === 0 : !hasMounts(child)) children.delete(key);
		}
	}
	const { fs } = directory.inode!;
	if (++fs.cachedNames > bounds.cachedNames) {
		let root = directory;
		while (root.parent !== null) root = root.parent;
		// Where directories alone are that many, it is looked again after as many new names as a sweep costs.
		fs.cachedNames = Math.min(forgetNames(root), bounds.cachedNames >> 1);
	}
	return directory.addChild(name, inode);
}

/** Drops what can be looked up again without a difference from a whole tree: how many names are left. */
export function forgetNames(root: Dentry): number {
	let left = 0;
	const directories = [root];
	for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
		const { children } = directory;
		if (children === null) continue;
		for (const [name, child] of children) {
			if (child.mountCount === 0 && child.inode?.isDirectory !== true) {
				children.delete(name);
				continue;
			}
			left++;
			directories.push(child);
		}
	}
	return left;
}

/** Does a mount stand on an entry or below it? */
function hasMounts(dentry: Dentry): boolean {
	if (dentry.mountCount > 0) return true;
	for (const child of dentry.children?.values() ?? []) if (hasMounts(child)) return true;
	return false;
}

/** Takes an entry out of the cache: the name leads elsewhere, or nowhere. */
export function dropChild(directory: Dentry, child: Dentry): void {
	child.isDeleted = true;
	if (directory.children?.get(child.name) === child) directory.children.delete(child.name);
}

/** The one walker; see the class. */
export const pathWalk = new PathWalk();
