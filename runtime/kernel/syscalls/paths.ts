import { EBADF, ENOENT, ENOTDIR, EROFS } from '../abi/errno.js';
import { AT_EMPTY_PATH, AT_FDCWD } from '../abi/fcntl.js';
import type { Task } from '../task/task.js';
import { copyInPath } from '../trap/guest-memory.js';
import type { Dentry } from '../vfs/dentry.js';
import type { FileDescription } from '../vfs/file-description.js';
import type { Path } from '../vfs/path.js';
import { pathWalk, WALK_PARENT } from '../vfs/path-walk.js';

/** Where a path argument starts: the root for absolute ones, the working directory, or the directory `dirfd`. Errors: EBADF, ENOTDIR. */
export function startOf(task: Task, dirfd: number, path: string): Path | number {
	// An empty path is ENOENT before the descriptor is looked at.
	if (dirfd === AT_FDCWD || path === '' || path.charCodeAt(0) === 47) return task.fs.cwd;
	const description = task.file(dirfd);
	if (description === null) return -EBADF;
	if (description.path === null || description.path.dentry.inode?.isDirectory !== true) return -ENOTDIR;
	return description.path;
}

/** Copies a path argument in and walks it: 0, and `pathWalk` stands on what it leads to; or -errno. */
export function walkArgument(task: Task, dirfd: number, address: number, walkFlags: number): number {
	const path = copyInPath(task.tid, address);
	if (typeof path === 'number') return path;
	const start = startOf(task, dirfd, path);
	if (typeof start === 'number') return start;
	return pathWalk.walk(task, start, path, walkFlags);
}

/** What an *at call is about: a file by path, or by descriptor with AT_EMPTY_PATH and "". */
export class Target {
	path: Path | null = null;
	description: FileDescription | null = null;
}

const target = new Target();

/**
 * Resolves (dirfd, path, flags) of an *at call. `target` is valid until the next call. An anonymous object (pipe, socket) has a description but no path.
 */
export function resolveTarget(task: Task, dirfd: number, address: number, walkFlags: number, atFlags: number): Target | number {
	target.path = target.description = null;
	const text = (atFlags & AT_EMPTY_PATH) !== 0 && address === 0 ? '' : copyInPath(task.tid, address);
	if (typeof text === 'number') return text;
	if (text === '') {
		if ((atFlags & AT_EMPTY_PATH) === 0) return -ENOENT;
		if (dirfd === AT_FDCWD) {
			target.path = task.fs.cwd;
			return target;
		}
		const description = task.file(dirfd);
		if (description === null) return -EBADF;
		target.description = description;
		target.path = description.path;
		return target;
	}
	const start = startOf(task, dirfd, text);
	if (typeof start === 'number') return start;
	const error = pathWalk.walk(task, start, text, walkFlags);
	if (error < 0) return error;
	target.path = pathWalk.path;
	return target;
}

/** Where a name is made, removed or renamed: captured from `pathWalk`, which the next walk overwrites. */
export interface Parent {
	readonly directory: Path;
	readonly name: string;
	readonly hasTrailingSlash: boolean;
}

/** A place whose name has been looked up. */
export interface Place extends Parent {
	/** What the name leads to now; its inode is null if nothing. Null for "." and ".." and "/". */
	readonly entry: Dentry | null;
}

/** Walks to the parent of a path argument, whose last component is not looked up yet; or -errno. */
export function parentArgument(task: Task, dirfd: number, address: number): Parent | number {
	const error = walkArgument(task, dirfd, address, WALK_PARENT);
	return error < 0 ? error : { directory: pathWalk.path, name: pathWalk.last, hasTrailingSlash: pathWalk.hasTrailingSlash };
}

/** Not a name: ".", ".." or "/". */
export function isDots(name: string): boolean {
	return name === '.' || name === '..' || name === '/';
}

/** The place of a path argument's last component, looked up; -errno. */
export function placeArgument(task: Task, dirfd: number, address: number): Place | number {
	const error = walkArgument(task, dirfd, address, WALK_PARENT);
	return error < 0 ? error : placeHere();
}

/** The place that `pathWalk` stopped at. */
export function placeHere(): Place | number {
	return lookupPlace({ directory: pathWalk.path, name: pathWalk.last, hasTrailingSlash: pathWalk.hasTrailingSlash });
}

/** Looks a parent's name up. In a deleted directory it has no entry. */
export function lookupPlace({ directory, name, hasTrailingSlash }: Parent): Place | number {
	if (isDots(name)) return { directory, name, hasTrailingSlash, entry: null };
	const entry = pathWalk.lookup(directory.dentry, name);
	if (typeof entry === 'number') return entry === -ENOENT ? { directory, name, hasTrailingSlash, entry: null } : entry;
	return { directory, name, hasTrailingSlash, entry };
}

/** Nothing is changed on a read-only mount. */
export function checkWritable(path: Path): number {
	return path.mount.isReadOnly ? -EROFS : 0;
}
