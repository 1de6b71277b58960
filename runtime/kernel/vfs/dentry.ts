import type { Inode } from './inode.js';

/**
 * A name in a directory (Linux: dentry). The tree of dentries is the cache: a child that is there was looked up. `inode` null says
 * that the name is known not to exist.
 *
 * Owner: its parent's `children`. Paths, descriptions and working directories hold references to it.
 */
export class Dentry {
	/** Names below, as far as they were looked up; null for what is no directory or has none yet. */
	children: Map<string, Dentry> | null = null;
	/** How many mounts stand on it, in all mount namespaces. */
	mountCount = 0;
	/** Removed from its directory: unlink, rmdir, replaced by a rename. /proc shows " (deleted)". */
	isDeleted = false;

	constructor(
		/** Byte string; "" for a root. Changed by rename. */
		public name: string,
		/** Itself for a root. Changed by rename. */
		public parent: Dentry | null,
		/** What the name leads to; null for a negative entry. */
		public inode: Inode | null,
	) {}

	addChild(name: string, inode: Inode | null): Dentry {
		const child = new Dentry(name, this, inode);
		this.children ??= new Map();
		this.children.set(name, child);
		return child;
	}

	/** True when `this` is `other` or lies above it. */
	isAncestorOf(other: Dentry): boolean {
		for (let dentry: Dentry | null = other; dentry !== null; dentry = dentry.parent) if (dentry === this) return true;
		return false;
	}
}
