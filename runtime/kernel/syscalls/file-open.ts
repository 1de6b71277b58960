import { CAP_FSETID } from '../abi/capability-numbers.js';
import {
	E2BIG,
	EACCES,
	EAGAIN,
	EBADF,
	EEXIST,
	EINVAL,
	EISDIR,
	ELOOP,
	ENFILE,
	ENOENT,
	ENOTDIR,
	EPERM,
	EROFS,
	ETXTBSY,
} from '../abi/errno.js';
import {
	AT_FDCWD,
	CLOSE_RANGE_CLOEXEC,
	CLOSE_RANGE_UNSHARE,
	O_ACCMODE,
	O_CLOEXEC,
	O_CREAT,
	O_DIRECTORY,
	O_EXCL,
	O_LARGEFILE,
	O_NOATIME,
	O_NOFOLLOW,
	O_PATH,
	O_RDONLY,
	O_RDWR,
	O_TMPFILE,
	O_TRUNC,
	O_WRONLY,
	RESOLVE_BENEATH,
	RESOLVE_CACHED,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_MAGICLINKS,
	RESOLVE_NO_SYMLINKS,
	RESOLVE_NO_XDEV,
} from '../abi/fcntl.js';
import { IN_CREATE, IN_MODIFY, IN_OPEN } from '../abi/inotify.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import { S_IFBLK, S_IFCHR, S_ISGID } from '../abi/stat-constants.js';
import { CONTINUE } from '../task/blocked.js';
import { hasCapability, isInGroup } from '../task/credentials.js';
import { isRunning } from '../task/running-programs.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInPath, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { Dentry } from '../vfs/dentry.js';
import { hasDescriptors, LENT_NONE } from '../vfs/descriptor-table.js';
import type { FileDescription } from '../vfs/file-description.js';
import type { Inode } from '../vfs/inode.js';
import { MS_NODEV } from '../vfs/mount.js';
import { OPathDescription } from '../vfs/o-path-description.js';
import { Path } from '../vfs/path.js';
import {
	dropChild,
	pathWalk,
	WALK_BENEATH,
	WALK_FOLLOW,
	WALK_IN_ROOT,
	WALK_NO_MAGICLINKS,
	WALK_NO_SYMLINKS,
	WALK_NO_XDEV,
	WALK_PARENT,
} from '../vfs/path-walk.js';
import { checkPermission, isOwnerOrCapable, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/permission.js';
import { hasWatches, notifyEntry, notifyPath } from '../vfs/watches.js';
import { placeHere, startOf } from './paths.js';

/** Flags that O_PATH leaves in force (open(2)). */
const O_PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
/** O_TMPFILE without O_DIRECTORY, which it contains. */
const O_TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY;
/** Every flag that openat2(2) knows; open(2) ignores the others. */
const VALID_OPEN_FLAGS = 0o37777703 | O_PATH | O_TMPFILE;

/** open(2). */
export function sysOpen(task: Task, trap: Trap): number {
	return openArgument(task, AT_FDCWD, trap.size(0), trap.int(1), trap.uint(2) & 0o7777, 0);
}

/** openat(2). */
export function sysOpenat(task: Task, trap: Trap): number {
	return openArgument(task, trap.int(0), trap.size(1), trap.int(2), trap.uint(3) & 0o7777, 0);
}

/** creat(2). */
export function sysCreat(task: Task, trap: Trap): number {
	return openArgument(task, AT_FDCWD, trap.size(0), O_CREAT | O_WRONLY | O_TRUNC, trap.uint(1) & 0o7777, 0);
}

const OPEN_HOW_BYTES = 24;

/** openat2(2). */
export function sysOpenat2(task: Task, trap: Trap): number {
	const size = trap.size(3);
	if (size < OPEN_HOW_BYTES) return -EINVAL;
	if (size > 4096) return -E2BIG;
	const error = copyIn(task.tid, trap.size(2), size);
	if (error < 0) return error;
	for (let at = OPEN_HOW_BYTES; at < size; at++) if (scratchView.getUint8(at) !== 0) return -E2BIG;
	const flags = scratchView.getUint32(0, true);
	const mode = scratchView.getUint32(8, true);
	const resolve = scratchView.getUint32(16, true);
	if (scratchView.getUint32(4, true) !== 0 || scratchView.getUint32(12, true) !== 0 || scratchView.getUint32(20, true) !== 0)
		return -EINVAL;
	if ((flags & ~VALID_OPEN_FLAGS) !== 0) return -EINVAL;
	if ((flags & O_PATH) !== 0 && (flags & ~O_PATH_FLAGS) !== 0) return -EINVAL;
	const isCreating = (flags & (O_CREAT | O_TMPFILE_BIT)) !== 0;
	if (isCreating ? (mode & ~0o7777) !== 0 : mode !== 0) return -EINVAL;
	let walkFlags = 0;
	if ((resolve & RESOLVE_NO_XDEV) !== 0) walkFlags |= WALK_NO_XDEV;
	if ((resolve & RESOLVE_NO_MAGICLINKS) !== 0) walkFlags |= WALK_NO_MAGICLINKS;
	if ((resolve & RESOLVE_NO_SYMLINKS) !== 0) walkFlags |= WALK_NO_SYMLINKS;
	if ((resolve & RESOLVE_BENEATH) !== 0) walkFlags |= WALK_BENEATH;
	if ((resolve & RESOLVE_IN_ROOT) !== 0) walkFlags |= WALK_IN_ROOT;
	const known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;
	if ((resolve & ~known) !== 0 || (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) === (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) return -EINVAL;
	// Nothing waits here for a cache; what changes the tree is refused all the same.
	if ((resolve & RESOLVE_CACHED) !== 0 && (flags & (O_TRUNC | O_CREAT | O_TMPFILE_BIT)) !== 0) return -EAGAIN;
	return openArgument(task, trap.int(0), trap.size(1), flags | 0, mode, walkFlags);
}

function openArgument(task: Task, dirfd: number, address: number, flags: number, mode: number, walkFlags: number): number {
	const invalid = checkFlags(flags);
	if (invalid < 0) return invalid;
	const path = copyInPath(task.tid, address);
	if (typeof path === 'number') return path;
	let start = startOf(task, dirfd, path);
	if (typeof start === 'number') return start;
	if ((walkFlags & (WALK_IN_ROOT | WALK_BENEATH)) !== 0 && dirfd !== AT_FDCWD) {
		// The directory is the root of the walk even for an absolute path.
		start = startOf(task, dirfd, '.');
		if (typeof start === 'number') return start;
	}
	const description = open(task, start, path, flags, mode, walkFlags);
	if (typeof description === 'number') return description;
	description.opener = task.credentials;
	const fd = task.files.add(description, (flags & O_CLOEXEC) !== 0, task.group.limits.soft[RLIMIT_NOFILE]!);
	if (fd < 0) description.release();
	return fd;
}

/** Flags that contradict each other: EINVAL before the path is looked at. */
function checkFlags(flags: number): number {
	if ((flags & O_PATH) !== 0) return 0;
	if ((flags & O_TMPFILE_BIT) !== 0) {
		return (flags & O_DIRECTORY) === 0 || (flags & O_ACCMODE) === O_RDONLY || (flags & O_CREAT) !== 0 ? -EINVAL : 0;
	}
	return (flags & (O_CREAT | O_DIRECTORY)) === (O_CREAT | O_DIRECTORY) ? -EINVAL : 0;
}

/** Opens `path`: a description with one reference, -errno, or BLOCKED (a fifo's peer). */
export function open(task: Task, start: Path, path: string, openFlags: number, mode: number, walkFlags: number): FileDescription | number {
	// A 64-bit process opens large files always.
	let flags = openFlags | O_LARGEFILE;
	if ((flags & O_PATH) !== 0) flags &= O_PATH_FLAGS;
	if ((flags & O_TMPFILE_BIT) !== 0) return openUnnamed(task, start, path, flags, mode, walkFlags);
	const follow = (flags & O_NOFOLLOW) === 0 && (flags & (O_CREAT | O_EXCL)) !== (O_CREAT | O_EXCL);
	let isCreated = false;
	if ((flags & O_CREAT) !== 0) {
		const created = walkOrCreate(task, start, path, flags, mode, walkFlags, follow);
		if (created < 0) return created;
		isCreated = created === 1;
	} else {
		const error = pathWalk.walk(task, start, path, walkFlags | (follow ? WALK_FOLLOW : 0));
		if (error < 0) return error;
	}
	const found = pathWalk.path;
	const inode = found.dentry.inode!;
	if ((flags & O_DIRECTORY) !== 0 && !inode.isDirectory) return -ENOTDIR;
	if ((flags & O_PATH) !== 0) return new OPathDescription(found, inode, flags);
	if (inode.isSymlink) return -ELOOP;
	if (!isCreated) {
		const error = checkOpen(task, found, inode, flags);
		if (error < 0) return error;
	}
	const description = inode.open(found, flags & ~(O_CREAT | O_EXCL | O_CLOEXEC | O_TRUNC | O_NOFOLLOW | O_DIRECTORY), task);
	if (hasWatches() && typeof description !== 'number') {
		notifyPath(found, IN_OPEN);
		if ((flags & O_TRUNC) !== 0 && !isCreated && inode.isRegular) notifyPath(found, IN_MODIFY);
	}
	return description;
}

/** Permission, type and mount; then O_TRUNC. */
function checkOpen(task: Task, path: Path, inode: Inode, flags: number): number {
	const access = flags & O_ACCMODE;
	const isWriting = access !== O_RDONLY || (flags & O_TRUNC) !== 0;
	if (inode.isDirectory && (isWriting || (flags & O_CREAT) !== 0)) return -EISDIR;
	let want =
		access === O_WRONLY ? MAY_WRITE : access === O_RDWR ? MAY_READ | MAY_WRITE : access === O_RDONLY ? MAY_READ : MAY_READ | MAY_WRITE;
	if ((flags & O_TRUNC) !== 0) want |= MAY_WRITE;
	const isDevice = inode.type === S_IFCHR || inode.type === S_IFBLK;
	if (isDevice && (path.mount.flags & MS_NODEV) !== 0) return -EACCES;
	// A mount's being read-only is found out by truncation before permission is looked at, by opening for writing after it.
	const isReadOnly = inode.isRegular && path.mount.isReadOnly;
	if (isReadOnly && (flags & O_TRUNC) !== 0) return -EROFS;
	const denied = checkPermission(inode, want, task.credentials);
	if (denied < 0) return denied;
	if ((flags & O_NOATIME) !== 0 && !isOwnerOrCapable(inode, task.credentials)) return -EPERM;
	if (isReadOnly && isWriting) return -EROFS;
	// Access mode 3 gives no right to write.
	const isWriter = access === O_WRONLY || access === O_RDWR || (flags & O_TRUNC) !== 0;
	if (isWriter && isRunning(inode)) return -ETXTBSY;
	if ((flags & O_TRUNC) !== 0 && inode.isRegular) return inode.truncate(0);
	return 0;
}

/** O_CREAT: 1 when the file was made, 0 when it was there; `pathWalk` stands on it. */
function walkOrCreate(task: Task, start: Path, text: string, flags: number, mode: number, walkFlags: number, follow: boolean): number {
	let from = start;
	let path = text;
	// A symlink in the last component is followed by hand: its target may be what is to be created.
	for (let links = 0; ; links++) {
		if (links > 40) return -ELOOP;
		const error = pathWalk.walk(task, from, path, walkFlags | WALK_PARENT);
		if (error < 0) return error;
		if (pathWalk.last === '.' || pathWalk.last === '..' || pathWalk.last === '/') return (flags & O_EXCL) !== 0 ? -EEXIST : -EISDIR;
		if (pathWalk.hasTrailingSlash) return -EISDIR;
		const place = placeHere();
		if (typeof place === 'number') return place;
		const { directory, name } = place;
		const inode = place.entry?.inode ?? null;
		if (inode === null) return create(task, directory, name, place.entry, mode);
		if ((flags & O_EXCL) !== 0) return -EEXIST;
		if (inode.isSymlink && follow && inode.jump(task) === null) {
			if ((walkFlags & WALK_NO_SYMLINKS) !== 0) return -ELOOP;
			const target = inode.readlink(task);
			if (typeof target === 'number') return target;
			if (target === '') return -ENOENT;
			from = directory;
			path = target;
			continue;
		}
		return pathWalk.walk(task, directory, name, walkFlags | (follow ? WALK_FOLLOW : 0));
	}
}

function create(task: Task, directory: Path, name: string, negative: Dentry | null, mode: number): number {
	const parent = directory.dentry.inode!;
	if (directory.mount.isReadOnly) return -EROFS;
	const denied = checkPermission(parent, MAY_WRITE | MAY_EXEC, task.credentials);
	if (denied < 0) return denied;
	if (directory.dentry.isDeleted) return -ENOENT;
	const gid = newGid(task, parent);
	let finalMode = mode & 0o7777 & ~task.fs.umask;
	if (
		(finalMode & (S_ISGID | 0o010)) === (S_ISGID | 0o010) &&
		!isInGroup(task.credentials, gid) &&
		!hasCapability(task.credentials, CAP_FSETID)
	)
		finalMode &= ~S_ISGID;
	const inode = parent.create(name, finalMode, task.credentials.fsuid, gid);
	if (typeof inode === 'number') return inode;
	pathWalk.dentry = instantiate(directory.dentry, name, negative, inode);
	pathWalk.mount = directory.mount;
	if (hasWatches()) notifyEntry(parent, IN_CREATE, name, inode);
	return 1;
}

/** The group of a new file: the directory's if that is set-group-id. */
export function newGid(task: Task, parent: Inode): number {
	return (parent.mode & S_ISGID) !== 0 ? parent.gid : task.credentials.fsgid;
}

/** Puts a new inode into the cache, in the place of the negative entry if there is one. */
export function instantiate(directory: Dentry, name: string, negative: Dentry | null, inode: Inode): Dentry {
	if (negative !== null && negative.inode === null && !negative.isDeleted) {
		negative.inode = inode;
		return negative;
	}
	const stale = directory.children?.get(name);
	if (stale !== undefined) dropChild(directory, stale);
	return directory.addChild(name, inode);
}

/** O_TMPFILE. */
function openUnnamed(task: Task, start: Path, path: string, flags: number, mode: number, walkFlags: number): FileDescription | number {
	const error = pathWalk.walk(task, start, path, walkFlags | WALK_FOLLOW);
	if (error < 0) return error;
	const directory = pathWalk.path;
	const parent = directory.dentry.inode!;
	if (!parent.isDirectory) return -ENOTDIR;
	if (directory.mount.isReadOnly) return -EROFS;
	const denied = checkPermission(parent, MAY_WRITE | MAY_EXEC, task.credentials);
	if (denied < 0) return denied;
	const inode = parent.createUnnamed(mode & ~task.fs.umask, task.credentials.fsuid, newGid(task, parent));
	if (typeof inode === 'number') return inode;
	inode.isNameless = (flags & O_EXCL) !== 0;
	const dentry = new Dentry(`#${inode.ino}`, directory.dentry, inode);
	dentry.isDeleted = true;
	return inode.open(new Path(directory.mount, dentry), flags & ~(O_TMPFILE | O_CLOEXEC | O_EXCL), task);
}

/** close(2). A number with a lent descriptor is closed natively too, by the host: it can only hurt the caller's own table. */
export function sysClose(task: Task, trap: Trap): number {
	const fd = trap.int(0);
	const lent = task.files.lentState(fd);
	const error = task.files.close(fd, task);
	if (error < 0 || lent === LENT_NONE) return error;
	task.files.setLentState(fd, LENT_NONE);
	return CONTINUE;
}

/** close_range(2). */
export function sysCloseRange(task: Task, trap: Trap): number {
	const first = trap.uint(0);
	const last = Math.min(trap.uint(1), task.files.size);
	const flags = trap.uint(2);
	if ((flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) !== 0 || first > trap.uint(1)) return -EINVAL;
	if ((flags & CLOSE_RANGE_UNSHARE) !== 0 && task.group.tasks.size > 1) return -EINVAL;
	for (let fd = first; fd <= last; fd++) {
		if (task.files.get(fd) === null) continue;
		if ((flags & CLOSE_RANGE_CLOEXEC) !== 0) task.files.setCloseOnExec(fd, true);
		else task.files.close(fd, task);
	}
	return 0;
}

/** dup(2). */
export function sysDup(task: Task, trap: Trap): number {
	return duplicate(task, trap.int(0), 0, false);
}

/** dup2(2). */
export function sysDup2(task: Task, trap: Trap): number {
	const from = trap.int(0);
	if (from === trap.int(1)) return task.file(from) === null ? -EBADF : from;
	return duplicateTo(task, from, trap.int(1), false);
}

/** dup3(2). */
export function sysDup3(task: Task, trap: Trap): number {
	if ((trap.uint(2) & ~O_CLOEXEC) !== 0 || trap.int(0) === trap.int(1)) return -EINVAL;
	return duplicateTo(task, trap.int(0), trap.int(1), (trap.uint(2) & O_CLOEXEC) !== 0);
}

/** The lowest number from `from` on: dup, F_DUPFD. */
export function duplicate(task: Task, fd: number, from: number, isCloseOnExec: boolean): number {
	const description = task.file(fd);
	if (description === null) return -EBADF;
	const limit = task.group.limits.soft[RLIMIT_NOFILE]!;
	if (from < 0 || from >= limit) return -EINVAL;
	const result = task.files.add(description.acquire(), isCloseOnExec, limit, from);
	if (result < 0) description.release();
	return result;
}

function duplicateTo(task: Task, from: number, to: number, isCloseOnExec: boolean): number {
	const description = task.file(from);
	if (description === null || to < 0 || to >= task.group.limits.soft[RLIMIT_NOFILE]!) return -EBADF;
	if (task.file(to) === null && !hasDescriptors(1)) return -ENFILE;
	task.files.set(to, description.acquire(), isCloseOnExec, task);
	return to;
}
