import { CAP_DAC_READ_SEARCH, CAP_MKNOD, CAP_SYS_CHROOT } from '../abi/capability-numbers.js';
import { EBADF, EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, ERANGE, EROFS, EXDEV } from '../abi/errno.js';
import {
	AT_EMPTY_PATH,
	AT_FDCWD,
	AT_REMOVEDIR,
	AT_SYMLINK_FOLLOW,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	RENAME_WHITEOUT,
} from '../abi/fcntl.js';
import { IN_ATTRIB, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO } from '../abi/inotify.js';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK, S_ISGID, S_ISUID, S_ISVTX } from '../abi/stat-constants.js';
import { type Credentials, hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyInPath, copyOut, scratch } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { Dentry } from '../vfs/dentry.js';
import type { Inode } from '../vfs/inode.js';
import type { Path } from '../vfs/path.js';
import { pathText } from '../vfs/path-text.js';
import { dropChild, pathWalk, WALK_FOLLOW, WALK_PARENT } from '../vfs/path-walk.js';
import { checkPermission, checkRemove, isOwnerOrCapable, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/permission.js';
import { hasWatches, newCookie, notifyEntry, notifyGone, notifyIfGone, notifyInode, notifyMoved } from '../vfs/watches.js';
import { instantiate, newGid } from './file-open.js';
import {
	checkWritable,
	isDots,
	lookupPlace,
	type Place,
	parentArgument,
	placeArgument,
	placeHere,
	resolveTarget,
	walkArgument,
} from './paths.js';

/** May a name be made here? The directory's permission and mount. The place must be free (EEXIST). */
function checkCreate(task: Task, place: Place): number {
	if (isDots(place.name)) return -EEXIST;
	if (place.entry?.inode != null) return -EEXIST;
	const { directory } = place;
	if (directory.mount.isReadOnly) return -EROFS;
	if (directory.dentry.isDeleted) return -ENOENT;
	return checkPermission(directory.dentry.inode!, MAY_WRITE | MAY_EXEC, task.credentials);
}

function finishCreate(place: Place, inode: Inode | number): number {
	if (typeof inode === 'number') return inode;
	instantiate(place.directory.dentry, place.name, place.entry, inode);
	if (hasWatches()) notifyEntry(place.directory.dentry.inode!, IN_CREATE, place.name, inode);
	return 0;
}

/** mkdir(2). */
export function sysMkdir(task: Task, trap: Trap): number {
	return mkdir(task, AT_FDCWD, trap.size(0), trap.uint(1));
}

/** mkdirat(2). */
export function sysMkdirat(task: Task, trap: Trap): number {
	return mkdir(task, trap.int(0), trap.size(1), trap.uint(2));
}

function mkdir(task: Task, dirfd: number, address: number, mode: number): number {
	const place = placeArgument(task, dirfd, address);
	if (typeof place === 'number') return place;
	const denied = checkCreate(task, place);
	if (denied < 0) return denied;
	const parent = place.directory.dentry.inode!;
	const bits = (mode & (0o777 | S_ISVTX) & ~task.fs.umask) | (parent.mode & S_ISGID);
	return finishCreate(place, parent.mkdir(place.name, bits, task.credentials.fsuid, newGid(task, parent)));
}

/** mknod(2). */
export function sysMknod(task: Task, trap: Trap): number {
	return mknod(task, AT_FDCWD, trap.size(0), trap.uint(1), trap.uint(2));
}

/** mknodat(2). */
export function sysMknodat(task: Task, trap: Trap): number {
	return mknod(task, trap.int(0), trap.size(1), trap.uint(2), trap.uint(3));
}

function mknod(task: Task, dirfd: number, address: number, mode: number, rdev: number): number {
	const type = mode & S_IFMT;
	if (type === S_IFDIR) return -EPERM;
	if (![0, S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK].includes(type)) return -EINVAL;
	const place = placeArgument(task, dirfd, address);
	if (typeof place === 'number') return place;
	if (place.hasTrailingSlash && place.entry?.inode == null) return -ENOENT;
	const denied = checkCreate(task, place);
	if (denied < 0) return denied;
	if ((type === S_IFCHR || type === S_IFBLK) && !hasCapability(task.credentials, CAP_MKNOD)) return -EPERM;
	const parent = place.directory.dentry.inode!;
	const bits = mode & 0o7777 & ~task.fs.umask;
	const { fsuid } = task.credentials;
	if (type === 0 || type === S_IFREG) return finishCreate(place, parent.create(place.name, bits, fsuid, newGid(task, parent)));
	return finishCreate(
		place,
		parent.mknod(place.name, type | bits, type === S_IFCHR || type === S_IFBLK ? rdev : 0, fsuid, newGid(task, parent)),
	);
}

/** The inode of a unix socket's name, bind(2). Errors: EEXIST and mknod(2)'s. */
export function makeSocketNode(task: Task, path: string, mode: number): Inode | number {
	const error = pathWalk.walk(task, task.fs.cwd, path, WALK_PARENT);
	if (error < 0) return error;
	const place = placeHere();
	if (typeof place === 'number') return place;
	if (place.hasTrailingSlash && place.entry?.inode == null) return -ENOENT;
	const denied = checkCreate(task, place);
	if (denied < 0) return denied;
	const parent = place.directory.dentry.inode!;
	const inode = parent.mknod(place.name, S_IFSOCK | (mode & ~task.fs.umask), 0, task.credentials.fsuid, newGid(task, parent));
	return finishCreate(place, inode) || inode;
}

/** symlink(2). */
export function sysSymlink(task: Task, trap: Trap): number {
	return symlink(task, trap.size(0), AT_FDCWD, trap.size(1));
}

/** symlinkat(2). */
export function sysSymlinkat(task: Task, trap: Trap): number {
	return symlink(task, trap.size(0), trap.int(1), trap.size(2));
}

function symlink(task: Task, targetAddress: number, dirfd: number, address: number): number {
	const target = copyInPath(task.tid, targetAddress);
	if (typeof target === 'number') return target;
	if (target === '') return -ENOENT;
	const place = placeArgument(task, dirfd, address);
	if (typeof place === 'number') return place;
	if (place.hasTrailingSlash && place.entry?.inode == null) return -ENOENT;
	const denied = checkCreate(task, place);
	if (denied < 0) return denied;
	const parent = place.directory.dentry.inode!;
	return finishCreate(place, parent.symlink(place.name, target, task.credentials.fsuid, newGid(task, parent)));
}

/** link(2). */
export function sysLink(task: Task, trap: Trap): number {
	return link(task, AT_FDCWD, trap.size(0), AT_FDCWD, trap.size(1), 0);
}

/** linkat(2). */
export function sysLinkat(task: Task, trap: Trap): number {
	const flags = trap.uint(4);
	if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
	return link(task, trap.int(0), trap.size(1), trap.int(2), trap.size(3), flags);
}

function link(task: Task, oldDirfd: number, oldAddress: number, newDirfd: number, newAddress: number, flags: number): number {
	const target = resolveTarget(task, oldDirfd, oldAddress, (flags & AT_SYMLINK_FOLLOW) !== 0 ? WALK_FOLLOW : 0, flags);
	if (typeof target === 'number') return target;
	// Whoever was handed a descriptor doesn't get a name for its file by that (fs/namei.c, path_init).
	const isOthers = target.description !== null && target.description.opener !== task.credentials;
	if (isOthers && !hasCapability(task.credentials, CAP_DAC_READ_SEARCH)) return -ENOENT;
	const from = target.path;
	if (from === null) return -EXDEV;
	const inode = from.dentry.inode!;
	const place = placeArgument(task, newDirfd, newAddress);
	if (typeof place === 'number') return place;
	if (place.hasTrailingSlash && place.entry?.inode == null) return -ENOENT;
	if (isDots(place.name) || place.entry?.inode != null) return -EEXIST;
	if (place.directory.mount.isReadOnly) return -EROFS;
	if (place.directory.mount !== from.mount) return -EXDEV;
	if (!mayLink(task.credentials, inode)) return -EPERM;
	const denied = checkCreate(task, place);
	if (denied < 0) return denied;
	if (inode.isDirectory) return -EPERM;
	if (inode.isNameless) return -ENOENT;
	const error = place.directory.dentry.inode!.link(place.name, inode);
	if (error < 0) return error;
	if (hasWatches()) notifyInode(inode, IN_ATTRIB);
	return finishCreate(place, inode);
}

/** Who doesn't own a file may link to it only if it is harmless: plain, no set-id program, readable and writable (proc(5), protected_hardlinks). */
function mayLink(credentials: Credentials, inode: Inode): boolean {
	if (isOwnerOrCapable(inode, credentials)) return true;
	const isSetId = (inode.mode & S_ISUID) !== 0 || (inode.mode & (S_ISGID | 0o010)) === (S_ISGID | 0o010);
	return inode.isRegular && !isSetId && checkPermission(inode, MAY_READ | MAY_WRITE, credentials) === 0;
}

/** unlink(2). */
export function sysUnlink(task: Task, trap: Trap): number {
	return unlink(task, AT_FDCWD, trap.size(0));
}

/** rmdir(2). */
export function sysRmdir(task: Task, trap: Trap): number {
	return rmdir(task, AT_FDCWD, trap.size(0));
}

/** unlinkat(2). */
export function sysUnlinkat(task: Task, trap: Trap): number {
	const flags = trap.uint(2);
	if ((flags & ~AT_REMOVEDIR) !== 0) return -EINVAL;
	return (flags & AT_REMOVEDIR) !== 0 ? rmdir(task, trap.int(0), trap.size(1)) : unlink(task, trap.int(0), trap.size(1));
}

function unlink(task: Task, dirfd: number, address: number): number {
	const parent = parentArgument(task, dirfd, address);
	if (typeof parent === 'number') return parent;
	if (isDots(parent.name)) return -EISDIR;
	const readOnly = checkWritable(parent.directory);
	if (readOnly < 0) return readOnly;
	const place = lookupPlace(parent);
	if (typeof place === 'number') return place;
	const inode = place.entry?.inode ?? null;
	if (inode === null) return -ENOENT;
	if (place.hasTrailingSlash) return inode.isDirectory ? -EISDIR : -ENOTDIR;
	const { directory } = place;
	const denied = checkRemove(directory.dentry.inode!, inode, task.credentials);
	if (denied < 0) return denied;
	if (inode.isDirectory) return -EISDIR;
	if (place.entry!.mountCount > 0) return -EBUSY;
	const error = directory.dentry.inode!.unlink(place.name, inode);
	if (error < 0) return error;
	dropChild(directory.dentry, place.entry!);
	if (hasWatches()) {
		notifyInode(inode, IN_ATTRIB);
		notifyIfGone(inode);
		notifyEntry(directory.dentry.inode!, IN_DELETE, place.name, inode);
	}
	return 0;
}

function rmdir(task: Task, dirfd: number, address: number): number {
	const parent = parentArgument(task, dirfd, address);
	if (typeof parent === 'number') return parent;
	if (parent.name === '.') return -EINVAL;
	if (parent.name === '..') return -ENOTEMPTY;
	if (parent.name === '/') return -EBUSY;
	const readOnly = checkWritable(parent.directory);
	if (readOnly < 0) return readOnly;
	const place = lookupPlace(parent);
	if (typeof place === 'number') return place;
	const inode = place.entry?.inode ?? null;
	if (inode === null) return -ENOENT;
	const { directory } = place;
	const denied = checkRemove(directory.dentry.inode!, inode, task.credentials);
	if (denied < 0) return denied;
	if (!inode.isDirectory) return -ENOTDIR;
	if (place.entry!.mountCount > 0) return -EBUSY;
	const error = directory.dentry.inode!.rmdir(place.name, inode);
	if (error < 0) return error;
	dropChild(directory.dentry, place.entry!);
	if (hasWatches()) {
		notifyGone(inode);
		notifyEntry(directory.dentry.inode!, IN_DELETE, place.name, inode);
	}
	return 0;
}

/** rename(2). */
export function sysRename(task: Task, trap: Trap): number {
	return rename(task, AT_FDCWD, trap.size(0), AT_FDCWD, trap.size(1), 0);
}

/** renameat(2). */
export function sysRenameat(task: Task, trap: Trap): number {
	return rename(task, trap.int(0), trap.size(1), trap.int(2), trap.size(3), 0);
}

/** renameat2(2). */
export function sysRenameat2(task: Task, trap: Trap): number {
	return rename(task, trap.int(0), trap.size(1), trap.int(2), trap.size(3), trap.uint(4));
}

function rename(task: Task, oldDirfd: number, oldAddress: number, newDirfd: number, newAddress: number, flags: number): number {
	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
	const isExchange = (flags & RENAME_EXCHANGE) !== 0;
	const isWhiteout = (flags & RENAME_WHITEOUT) !== 0;
	if (isExchange && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
	// Both directories are found before either name is looked up.
	const oldPlace = parentArgument(task, oldDirfd, oldAddress);
	if (typeof oldPlace === 'number') return oldPlace;
	const newPlace = parentArgument(task, newDirfd, newAddress);
	if (typeof newPlace === 'number') return newPlace;
	if (oldPlace.directory.mount !== newPlace.directory.mount) return -EXDEV;
	if (isDots(oldPlace.name)) return -EBUSY;
	if (isDots(newPlace.name)) return (flags & RENAME_NOREPLACE) !== 0 ? -EEXIST : -EBUSY;
	const readOnly = checkWritable(oldPlace.directory);
	if (readOnly < 0) return readOnly;
	const from = lookupPlace(oldPlace);
	if (typeof from === 'number') return from;
	const inode = from.entry?.inode ?? null;
	if (inode === null) return -ENOENT;
	const to = lookupPlace(newPlace);
	if (typeof to === 'number') return to;
	const replaced = to.entry?.inode ?? null;
	if (replaced !== null && (flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
	if (replaced === null && isExchange) return -ENOENT;
	if (isExchange && to.hasTrailingSlash && !replaced!.isDirectory) return -ENOTDIR;
	if (!inode.isDirectory && (from.hasTrailingSlash || (to.hasTrailingSlash && !isExchange))) return -ENOTDIR;
	if (replaced === inode) return 0;
	const fromDentry = from.entry!;
	const newParent = to.directory.dentry;
	if (inode.isDirectory && fromDentry.isAncestorOf(newParent)) return -EINVAL;
	if (to.entry !== null && replaced?.isDirectory && to.entry.isAncestorOf(from.directory.dentry)) return isExchange ? -EINVAL : -ENOTEMPTY;
	const denied = checkRename(task.credentials, from, inode, to, replaced, isExchange);
	if (denied < 0) return denied;
	if (fromDentry.mountCount > 0 || (to.entry?.mountCount ?? 0) > 0) return -EBUSY;
	const oldDirectory = from.directory.dentry.inode!;
	if (isWhiteout) {
		const room = checkWhiteout(oldDirectory);
		if (room < 0) return room;
	}
	const error = oldDirectory.rename(from.name, inode, newParent.inode!, to.name, replaced, flags & ~RENAME_WHITEOUT);
	if (error < 0) return error;
	if (isExchange) exchangeDentries(from.directory.dentry, fromDentry, newParent, to.entry!);
	else moveDentry(from.directory.dentry, fromDentry, newParent, to.name, to.entry);
	if (isWhiteout) oldDirectory.mknod(from.name, S_IFCHR, 0, task.credentials.fsuid, task.credentials.fsgid);
	if (hasWatches()) {
		notifyMove(from, inode, to, isExchange ? null : replaced);
		if (isExchange) notifyMove(to, replaced!, from, null);
	}
	return 0;
}

const statfsNumbers = new Float64Array(10);
const STATFS_FILES = 5;
const STATFS_FREE_FILES = 6;

/** May RENAME_WHITEOUT leave a device 0:0, overlayfs's mark of a name that is gone, in a directory? A tmpfs with room for it: 0, -EINVAL, -ENOSPC. */
function checkWhiteout({ fs }: Inode): number {
	if (fs.type !== 'tmpfs') return -EINVAL;
	fs.statfs(statfsNumbers);
	return statfsNumbers[STATFS_FILES]! > 0 && statfsNumbers[STATFS_FREE_FILES]! === 0 ? -ENOSPC : 0;
}

/** Tells of a rename: both directories, what was replaced, what was moved. */
function notifyMove(from: Place, inode: Inode, to: Place, replaced: Inode | null): void {
	const cookie = newCookie();
	notifyEntry(from.directory.dentry.inode!, IN_MOVED_FROM, from.name, inode, cookie);
	notifyEntry(to.directory.dentry.inode!, IN_MOVED_TO, to.name, inode, cookie);
	if (replaced !== null) notifyInode(replaced, IN_ATTRIB);
	notifyMoved(inode);
	if (replaced === null) return;
	if (replaced.isDirectory) notifyGone(replaced);
	else notifyIfGone(replaced);
}

function checkRename(credentials: Credentials, from: Place, inode: Inode, to: Place, replaced: Inode | null, isExchange: boolean): number {
	const oldDirectory = from.directory.dentry.inode!;
	const newDirectory = to.directory.dentry.inode!;
	const denied = checkRemove(oldDirectory, inode, credentials);
	if (denied < 0) return denied;
	const deniedThere =
		replaced === null ? checkPermission(newDirectory, MAY_WRITE | MAY_EXEC, credentials) : checkRemove(newDirectory, replaced, credentials);
	if (deniedThere < 0) return deniedThere;
	if (to.directory.dentry.isDeleted) return -ENOENT;
	if (replaced !== null && !isExchange) {
		if (inode.isDirectory && !replaced.isDirectory) return -ENOTDIR;
		if (!inode.isDirectory && replaced.isDirectory) return -EISDIR;
	}
	// A directory that changes its parent is written to: its ".." changes.
	if (inode.isDirectory && oldDirectory !== newDirectory) {
		const own = checkPermission(inode, MAY_WRITE, credentials);
		if (own < 0) return own;
	}
	return 0;
}

function moveDentry(oldParent: Dentry, dentry: Dentry, newParent: Dentry, name: string, replaced: Dentry | null): void {
	if (replaced !== null) dropChild(newParent, replaced);
	if (oldParent.children?.get(dentry.name) === dentry) oldParent.children.delete(dentry.name);
	dentry.name = name;
	dentry.parent = newParent;
	newParent.children ??= new Map();
	newParent.children.set(name, dentry);
}

function exchangeDentries(oldParent: Dentry, dentry: Dentry, newParent: Dentry, other: Dentry): void {
	const { name } = dentry;
	const otherName = other.name;
	dentry.name = otherName;
	dentry.parent = newParent;
	other.name = name;
	other.parent = oldParent;
	newParent.children?.set(otherName, dentry);
	oldParent.children?.set(name, other);
}

// --- Working directory, root, umask -----------------------------------------------------------------------------

/** chdir(2). */
export function sysChdir(task: Task, trap: Trap): number {
	const error = walkArgument(task, AT_FDCWD, trap.size(0), WALK_FOLLOW);
	return error < 0 ? error : enter(task, pathWalk.path);
}

/** fchdir(2). */
export function sysFchdir(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null) return -EBADF;
	return description.path === null ? -ENOTDIR : enter(task, description.path);
}

function enter(task: Task, path: Path): number {
	const inode = path.dentry.inode!;
	if (!inode.isDirectory) return -ENOTDIR;
	const denied = checkPermission(inode, MAY_EXEC, task.credentials);
	if (denied < 0) return denied;
	task.fs.cwd = path;
	return 0;
}

/** chroot(2). */
export function sysChroot(task: Task, trap: Trap): number {
	const error = walkArgument(task, AT_FDCWD, trap.size(0), WALK_FOLLOW);
	if (error < 0) return error;
	const path = pathWalk.path;
	if (!path.dentry.inode!.isDirectory) return -ENOTDIR;
	const denied = checkPermission(path.dentry.inode!, MAY_EXEC, task.credentials);
	if (denied < 0) return denied;
	if (!hasCapability(task.credentials, CAP_SYS_CHROOT)) return -EPERM;
	task.fs.root = path;
	return 0;
}

/** getcwd(2): bytes with the NUL. */
export function sysGetcwd(task: Task, trap: Trap): number {
	if (task.fs.cwd.dentry.isDeleted) return -ENOENT;
	const text = pathText(task.fs.cwd, task.fs.root);
	const length = text.length + 1;
	if (length > trap.size(1)) return -ERANGE;
	scratch.latin1Write(text, 0);
	scratch[length - 1] = 0;
	const error = copyOut(task.tid, trap.size(0), length);
	return error < 0 ? error : length;
}

/** umask(2). */
export function sysUmask(task: Task, trap: Trap): number {
	const old = task.fs.umask;
	task.fs.umask = trap.uint(0) & 0o777;
	return old;
}
