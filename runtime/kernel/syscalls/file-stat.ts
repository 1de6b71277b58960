import { CAP_CHOWN, CAP_FSETID, CAP_SETFCAP, CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import { E2BIG, EACCES, EBADF, EINVAL, ENODATA, ENOENT, EOPNOTSUPP, EPERM, ERANGE } from '../abi/errno.js';
import {
	AT_EACCESS,
	AT_EMPTY_PATH,
	AT_FDCWD,
	AT_NO_AUTOMOUNT,
	AT_STATX_SYNC_TYPE,
	AT_SYMLINK_NOFOLLOW,
	O_PATH,
	XATTR_CREATE,
	XATTR_REPLACE,
} from '../abi/fcntl.js';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY } from '../abi/inotify.js';
import { PATH_MAX } from '../abi/limits.js';
import {
	S_IFMT,
	S_ISGID,
	S_ISUID,
	S_ISVTX,
	STATX_BASIC_STATS,
	STATX_BTIME,
	STATX_MNT_ID,
	UTIME_NOW,
	UTIME_OMIT,
} from '../abi/stat-constants.js';
import { type Credentials, hasCapability, isInGroup } from '../task/credentials.js';
import { parseFileCapabilities } from '../task/file-capabilities.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyInString, copyOut, copyOutBytes, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { Inode } from '../vfs/inode.js';
import type { Mount } from '../vfs/mount.js';
import type { Path } from '../vfs/path.js';
import { WALK_FOLLOW } from '../vfs/path-walk.js';
import { checkPermission, isOwnerOrCapable, MAY_READ, MAY_WRITE } from '../vfs/permission.js';
import { type Stat, sharedStat } from '../vfs/stat.js';
import { hasWatches, notifyPath } from '../vfs/watches.js';
import { checkWritable, resolveTarget, type Target } from './paths.js';

// --- stat --------------------------------------------------------------------------------------------------------

/** stat(2). */
export function sysStat(task: Task, trap: Trap): number {
	return statTarget(task, resolveTarget(task, AT_FDCWD, trap.size(0), WALK_FOLLOW, 0), trap.size(1));
}

/** lstat(2). */
export function sysLstat(task: Task, trap: Trap): number {
	return statTarget(task, resolveTarget(task, AT_FDCWD, trap.size(0), 0, 0), trap.size(1));
}

/** fstat(2). */
export function sysFstat(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null) return -EBADF;
	const error = description.stat(sharedStat);
	return error < 0 ? error : copyOutStat(task, sharedStat, trap.size(1));
}

/** newfstatat(2), fstatat(3). */
export function sysNewfstatat(task: Task, trap: Trap): number {
	const flags = trap.uint(3);
	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) !== 0) return -EINVAL;
	const walkFlags = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW;
	return statTarget(task, resolveTarget(task, trap.int(0), trap.size(1), walkFlags, flags), trap.size(2));
}

function statTarget(task: Task, target: Target | number, address: number): number {
	if (typeof target === 'number') return target;
	const error = target.description !== null ? target.description.stat(sharedStat) : target.path!.dentry.inode!.stat(sharedStat);
	return error < 0 ? error : copyOutStat(task, sharedStat, address);
}

function put64(at: number, value: number): void {
	scratchView.setUint32(at, value % 0x1_0000_0000, true);
	scratchView.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

const STAT_BYTES = 144;

/** struct stat of amd64 (arch/x86/include/uapi/asm/stat.h). */
function copyOutStat(task: Task, stat: Stat, address: number): number {
	put64(0, stat.dev);
	put64(8, stat.ino);
	put64(16, stat.nlink);
	scratchView.setUint32(24, stat.mode, true);
	scratchView.setUint32(28, stat.uid, true);
	scratchView.setUint32(32, stat.gid, true);
	scratchView.setUint32(36, 0, true);
	put64(40, stat.rdev);
	put64(48, stat.sizeBytes);
	put64(56, stat.blockSizeBytes);
	put64(64, stat.blocks);
	put64(72, stat.atimeSec);
	put64(80, stat.atimeNsec);
	put64(88, stat.mtimeSec);
	put64(96, stat.mtimeNsec);
	put64(104, stat.ctimeSec);
	put64(112, stat.ctimeNsec);
	scratch.fill(0, 120, STAT_BYTES);
	return copyOut(task.tid, address, STAT_BYTES);
}

const STATX_BYTES = 256;
const STATX_RESERVED = 0x8000_0000;

/** statx(2). */
export function sysStatx(task: Task, trap: Trap): number {
	const flags = trap.uint(2);
	const known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
	if ((flags & ~known) !== 0 || (flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE || trap.uint(3) >= STATX_RESERVED) return -EINVAL;
	const walkFlags = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW;
	const target = resolveTarget(task, trap.int(0), trap.size(1), walkFlags, flags);
	if (typeof target === 'number') return target;
	const stat = sharedStat;
	const error = target.description !== null ? target.description.stat(stat) : target.path!.dentry.inode!.stat(stat);
	if (error < 0) return error;
	const path = target.path;
	scratch.fill(0, 0, STATX_BYTES);
	const hasBirth = stat.btimeSec !== 0;
	scratchView.setUint32(0, STATX_BASIC_STATS | (hasBirth ? STATX_BTIME : 0) | (path !== null ? STATX_MNT_ID : 0), true);
	scratchView.setUint32(4, stat.blockSizeBytes, true);
	const isMountRoot = path !== null && path.dentry === path.mount.root;
	put64(8, isMountRoot ? 0x2000 : 0);
	scratchView.setUint32(16, stat.nlink, true);
	scratchView.setUint32(20, stat.uid, true);
	scratchView.setUint32(24, stat.gid, true);
	scratchView.setUint16(28, stat.mode, true);
	put64(32, stat.ino);
	put64(40, stat.sizeBytes);
	put64(48, stat.blocks);
	put64(56, 0x2000);
	putStatxTime(64, stat.atimeSec, stat.atimeNsec);
	if (hasBirth) putStatxTime(80, stat.btimeSec, stat.btimeNsec);
	putStatxTime(96, stat.ctimeSec, stat.ctimeNsec);
	putStatxTime(112, stat.mtimeSec, stat.mtimeNsec);
	scratchView.setUint32(128, major(stat.rdev), true);
	scratchView.setUint32(132, minor(stat.rdev), true);
	scratchView.setUint32(136, major(stat.dev), true);
	scratchView.setUint32(140, minor(stat.dev), true);
	if (path !== null) put64(144, path.mount.id);
	return copyOut(task.tid, trap.size(4), STATX_BYTES);
}

function putStatxTime(at: number, sec: number, nsec: number): void {
	put64(at, sec);
	scratchView.setUint32(at + 8, nsec, true);
}

/** makedev(3): the major number. */
export function major(dev: number): number {
	return (dev >>> 8) & 0xfff;
}
/** makedev(3): the minor number. */
export function minor(dev: number): number {
	return (dev & 0xff) | ((dev >>> 12) & 0xfff00);
}

// --- statfs ------------------------------------------------------------------------------------------------------

const statfsFields = new Float64Array(10);
const STATFS_BYTES = 120;
const ST_VALID = 0x20;

/** statfs(2). */
export function sysStatfs(task: Task, trap: Trap): number {
	const target = resolveTarget(task, AT_FDCWD, trap.size(0), WALK_FOLLOW, 0);
	if (typeof target === 'number') return target;
	return statfs(task, target.path!.dentry.inode!, target.path!.mount, trap.size(1));
}

/** fstatfs(2). */
export function sysFstatfs(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null) return -EBADF;
	return statfs(task, description.inode, description.path?.mount ?? null, trap.size(1));
}

function statfs(task: Task, inode: Inode, mount: Mount | null, address: number): number {
	const error = inode.fs.statfs(statfsFields);
	if (error < 0) return error;
	scratch.fill(0, 0, STATFS_BYTES);
	for (let i = 0; i < 7; i++) put64(i * 8, statfsFields[i]!);
	put64(56, inode.fs.dev);
	put64(64, statfsFields[7]!);
	put64(72, statfsFields[8]!);
	put64(80, ((mount?.flags ?? 0) & 0x200fff) | ST_VALID);
	return copyOut(task.tid, address, STATFS_BYTES);
}

// --- access, readlink --------------------------------------------------------------------------------------------

/** access(2). */
export function sysAccess(task: Task, trap: Trap): number {
	return access(task, AT_FDCWD, trap.size(0), trap.uint(1), 0);
}

/** faccessat(2), the call without flags. */
export function sysFaccessat(task: Task, trap: Trap): number {
	return access(task, trap.int(0), trap.size(1), trap.uint(2), 0);
}

/** faccessat2(2). */
export function sysFaccessat2(task: Task, trap: Trap): number {
	return access(task, trap.int(0), trap.size(1), trap.uint(2), trap.uint(3));
}

function access(task: Task, dirfd: number, address: number, mode: number, flags: number): number {
	if ((mode & ~7) !== 0 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
	const real = task.credentials;
	const isEffective = (flags & AT_EACCESS) !== 0;
	if (!isEffective) task.credentials = asReal(real);
	const target = resolveTarget(task, dirfd, address, (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW, flags);
	let result = 0;
	if (typeof target === 'number') {
		result = target;
	} else if (mode !== 0) {
		const inode = target.path?.dentry.inode ?? target.description!.inode;
		result = checkPermission(inode, mode, task.credentials);
		if (result === 0 && (mode & MAY_WRITE) !== 0 && target.path !== null && (inode.isRegular || inode.isDirectory || inode.isSymlink)) {
			result = checkWritable(target.path);
		}
		if (result === 0 && (mode & 1) !== 0 && inode.isRegular && target.path !== null && (target.path.mount.flags & 8) !== 0)
			result = -EACCES;
	}
	task.credentials = real;
	return result;
}

/** access(2) asks with the real ids, and with the permitted capabilities if the real user is root. */
function asReal(credentials: Credentials): Credentials {
	if (credentials.uid === credentials.fsuid && credentials.gid === credentials.fsgid && credentials.uid === 0) return credentials;
	return {
		...credentials,
		fsuid: credentials.uid,
		fsgid: credentials.gid,
		effective: credentials.uid === 0 ? credentials.permitted : credentials.effective.without(credentials.effective),
	};
}

/** readlink(2). */
export function sysReadlink(task: Task, trap: Trap): number {
	return readlink(task, AT_FDCWD, trap.size(0), trap.size(1), trap.int(2));
}

/** readlinkat(2). */
export function sysReadlinkat(task: Task, trap: Trap): number {
	return readlink(task, trap.int(0), trap.size(1), trap.size(2), trap.int(3));
}

function readlink(task: Task, dirfd: number, address: number, buffer: number, size: number): number {
	if (size <= 0) return -EINVAL;
	const target = resolveTarget(task, dirfd, address, 0, dirfd === AT_FDCWD ? 0 : AT_EMPTY_PATH);
	if (typeof target === 'number') return target;
	const inode = target.path?.dentry.inode ?? null;
	if (inode === null || !inode.isSymlink) return target.description !== null ? -ENOENT : -EINVAL;
	const text = inode.readlink(task);
	if (typeof text === 'number') return text;
	const length = Math.min(text.length, size, PATH_MAX);
	scratch.latin1Write(text, 0, length);
	const error = copyOut(task.tid, buffer, length);
	return error < 0 ? error : length;
}

// --- mode and owner -----------------------------------------------------------------------------------------------

/** chmod(2). */
export function sysChmod(task: Task, trap: Trap): number {
	return chmod(task, resolveTarget(task, AT_FDCWD, trap.size(0), WALK_FOLLOW, 0), trap.uint(1));
}

/** fchmod(2). */
export function sysFchmod(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return chmodInode(task, description.path, description.inode, trap.uint(1));
}

/** fchmodat(2), the call without flags. */
export function sysFchmodat(task: Task, trap: Trap): number {
	return chmod(task, resolveTarget(task, trap.int(0), trap.size(1), WALK_FOLLOW, 0), trap.uint(2));
}

/** fchmodat2(2). */
export function sysFchmodat2(task: Task, trap: Trap): number {
	const flags = trap.uint(3);
	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
	return chmod(
		task,
		resolveTarget(task, trap.int(0), trap.size(1), (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW, flags),
		trap.uint(2),
	);
}

function chmod(task: Task, target: Target | number, mode: number): number {
	if (typeof target === 'number') return target;
	return chmodInode(task, target.path, target.path?.dentry.inode ?? target.description!.inode, mode);
}

function chmodInode(task: Task, path: Path | null, inode: Inode, mode: number): number {
	const readOnly = path === null ? 0 : checkWritable(path);
	if (readOnly < 0) return readOnly;
	if (inode.isSymlink) return -EOPNOTSUPP;
	if (!isOwnerOrCapable(inode, task.credentials)) return -EPERM;
	let bits = mode & 0o7777;
	if (!isInGroup(task.credentials, inode.gid) && !hasCapability(task.credentials, CAP_FSETID)) bits &= ~S_ISGID;
	return tellChange(path, inode.chmod((inode.mode & S_IFMT) | bits));
}

/** Tells who watches the file of a change that has succeeded. */
function tellChange(path: Path | null, result: number, mask = IN_ATTRIB): number {
	if (result >= 0 && path !== null && hasWatches()) notifyPath(path, mask);
	return result;
}

/** chown(2). */
export function sysChown(task: Task, trap: Trap): number {
	return chown(task, resolveTarget(task, AT_FDCWD, trap.size(0), WALK_FOLLOW, 0), trap.int(1), trap.int(2));
}

/** lchown(2). */
export function sysLchown(task: Task, trap: Trap): number {
	return chown(task, resolveTarget(task, AT_FDCWD, trap.size(0), 0, 0), trap.int(1), trap.int(2));
}

/** fchown(2). */
export function sysFchown(task: Task, trap: Trap): number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return chownInode(task, description.path, description.inode, trap.int(1), trap.int(2));
}

/** fchownat(2). */
export function sysFchownat(task: Task, trap: Trap): number {
	const flags = trap.uint(4);
	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
	const walkFlags = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW;
	return chown(task, resolveTarget(task, trap.int(0), trap.size(1), walkFlags, flags), trap.int(2), trap.int(3));
}

function chown(task: Task, target: Target | number, uid: number, gid: number): number {
	if (typeof target === 'number') return target;
	return chownInode(task, target.path, target.path?.dentry.inode ?? target.description!.inode, uid, gid);
}

function chownInode(task: Task, path: Path | null, inode: Inode, uid: number, gid: number): number {
	const readOnly = path === null ? 0 : checkWritable(path);
	if (readOnly < 0) return readOnly;
	const credentials = task.credentials;
	if (!hasCapability(credentials, CAP_CHOWN)) {
		if (uid !== -1 && (uid >>> 0 !== inode.uid || credentials.fsuid !== inode.uid)) return -EPERM;
		if (gid !== -1 && (credentials.fsuid !== inode.uid || (gid >>> 0 !== inode.gid && !isInGroup(credentials, gid >>> 0)))) return -EPERM;
	}
	const mode = inode.mode;
	const error = inode.chown(uid === -1 ? -1 : uid >>> 0, gid === -1 ? -1 : gid >>> 0);
	// Nothing was asked for: nothing is told.
	const told = (result: number): number => (uid === -1 && gid === -1 ? result : tellChange(path, result));
	if (error < 0 || inode.isDirectory || inode.isSymlink) return told(error);
	// A change of owner takes the set-id bits away, whoever makes it.
	let stripped = mode & ~S_ISUID;
	if ((mode & (S_ISGID | 0o010)) === (S_ISGID | 0o010)) stripped &= ~S_ISGID;
	return told(stripped === mode ? 0 : inode.chmod(stripped));
}

// --- times ---------------------------------------------------------------------------------------------------------

const times = { atimeSec: 0, atimeNsec: UTIME_NOW, mtimeSec: 0, mtimeNsec: UTIME_NOW };

/** utimensat(2). */
export function sysUtimensat(task: Task, trap: Trap): number {
	const error = copyInTimespecs(task, trap.size(2));
	if (error < 0) return error;
	if (times.atimeNsec === UTIME_OMIT && times.mtimeNsec === UTIME_OMIT) return 0;
	const flags = trap.uint(3);
	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
	// futimens(3): no path at all.
	if (trap.size(1) === 0 && ((task.file(trap.int(0))?.flags ?? 0) & O_PATH) !== 0) return -EBADF;
	const target = resolveTarget(
		task,
		trap.int(0),
		trap.size(1),
		(flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW,
		trap.size(1) === 0 ? AT_EMPTY_PATH : flags,
	);
	return setTimes(task, target);
}

/** utimes(2), futimesat(2): microseconds. */
export function sysUtimes(task: Task, trap: Trap): number {
	return utimes(task, AT_FDCWD, trap.size(0), trap.size(1));
}

/** futimesat(2). */
export function sysFutimesat(task: Task, trap: Trap): number {
	return utimes(task, trap.int(0), trap.size(1), trap.size(2));
}

function utimes(task: Task, dirfd: number, address: number, timevals: number): number {
	times.atimeNsec = times.mtimeNsec = UTIME_NOW;
	if (timevals !== 0) {
		const error = copyIn(task.tid, timevals, 32);
		if (error < 0) return error;
		times.atimeSec = get64(0);
		times.atimeNsec = get64(8) * 1000;
		times.mtimeSec = get64(16);
		times.mtimeNsec = get64(24) * 1000;
		if (!isNsec(times.atimeNsec) || !isNsec(times.mtimeNsec)) return -EINVAL;
	}
	return setTimes(task, resolveTarget(task, dirfd, address, WALK_FOLLOW, 0));
}

/** utime(2): seconds. */
export function sysUtime(task: Task, trap: Trap): number {
	times.atimeNsec = times.mtimeNsec = UTIME_NOW;
	if (trap.size(1) !== 0) {
		const error = copyIn(task.tid, trap.size(1), 16);
		if (error < 0) return error;
		times.atimeSec = get64(0);
		times.mtimeSec = get64(8);
		times.atimeNsec = times.mtimeNsec = 0;
	}
	return setTimes(task, resolveTarget(task, AT_FDCWD, trap.size(0), WALK_FOLLOW, 0));
}

function get64(at: number): number {
	return scratchView.getInt32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
}

function isNsec(nsec: number): boolean {
	return nsec >= 0 && nsec < 1_000_000_000;
}

function copyInTimespecs(task: Task, address: number): number {
	times.atimeNsec = times.mtimeNsec = UTIME_NOW;
	if (address === 0) return 0;
	const error = copyIn(task.tid, address, 32);
	if (error < 0) return error;
	times.atimeSec = get64(0);
	times.atimeNsec = get64(8);
	times.mtimeSec = get64(16);
	times.mtimeNsec = get64(24);
	return 0;
}

function setTimes(task: Task, target: Target | number): number {
	if (typeof target === 'number') return target;
	for (const nsec of [times.atimeNsec, times.mtimeNsec]) if (!isNsec(nsec) && nsec !== UTIME_NOW && nsec !== UTIME_OMIT) return -EINVAL;
	const inode = target.path?.dentry.inode ?? target.description!.inode;
	const readOnly = target.path === null ? 0 : checkWritable(target.path);
	if (readOnly < 0) return readOnly;
	if (!isOwnerOrCapable(inode, task.credentials)) {
		// "Now" needs no more than write permission.
		if (times.atimeNsec !== UTIME_NOW || times.mtimeNsec !== UTIME_NOW) return -EPERM;
		const denied = checkPermission(inode, MAY_WRITE, task.credentials);
		if (denied < 0) return denied;
	}
	// One time alone is what reading or writing would change.
	const isOnlyAccess = times.mtimeNsec === UTIME_OMIT;
	const mask = isOnlyAccess ? IN_ACCESS : times.atimeNsec === UTIME_OMIT ? IN_MODIFY : IN_ATTRIB;
	return tellChange(target.path, inode.setTimes(times), mask);
}

// --- extended attributes ---------------------------------------------------------------------------------------------

const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65536;

/** Finds a call's file, once its other arguments have been looked at. */
type Resolver = (task: Task, trap: Trap) => Target | number;

function byPath(task: Task, trap: Trap): Target | number {
	return resolveTarget(task, AT_FDCWD, trap.size(0), WALK_FOLLOW, 0);
}

function byLink(task: Task, trap: Trap): Target | number {
	return resolveTarget(task, AT_FDCWD, trap.size(0), 0, 0);
}

function byDescriptor(task: Task, trap: Trap): Target | number {
	const description = task.file(trap.int(0));
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return { path: description.path, description };
}

function inodeOf(target: Target): Inode {
	return target.path?.dentry.inode ?? target.description!.inode;
}

function attributeName(task: Task, address: number): string | number {
	const name = copyInString(task.tid, address, XATTR_NAME_MAX + 1, -ERANGE);
	return name === '' ? -ERANGE : name;
}

/** -EINVAL for a prefix with no name behind it. */
function checkSuffix(name: string, prefix: string): number {
	return name.length === prefix.length ? -EINVAL : 0;
}

/**
 * Who may read or change which attribute, xattr(7) and fs/xattr.c, xattr_permission: user.* needs the file's own permission, trusted.* CAP_SYS_ADMIN, security.* is
 * for all to read. File systems here have no access control lists, so that system.* isn't there.
 */
function checkAttribute(task: Task, target: Target, name: string, want: number): number {
	const inode = inodeOf(target);
	const isWrite = want === MAY_WRITE;
	if (isWrite && target.path !== null) {
		const readOnly = checkWritable(target.path);
		if (readOnly < 0) return readOnly;
	}
	if (name.startsWith('security.')) {
		if (isWrite && name === 'security.capability' && !hasCapability(task.credentials, CAP_SETFCAP)) return -EPERM;
		if (isWrite && name !== 'security.capability' && !hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
		return checkSuffix(name, 'security.');
	}
	if (name.startsWith('trusted.')) {
		if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return isWrite ? -EPERM : -ENODATA;
		return checkSuffix(name, 'trusted.');
	}
	// The system's own names are no matter of the file's permission.
	if (name.startsWith('system.')) return -EOPNOTSUPP;
	if (!name.startsWith('user.')) return checkPermission(inode, want, task.credentials) || -EOPNOTSUPP;
	if (!inode.isRegular && !inode.isDirectory) return isWrite ? -EPERM : -ENODATA;
	// Of a sticky directory only the owner changes attributes: everybody may write to it.
	if (isWrite && inode.isDirectory && (inode.mode & S_ISVTX) !== 0 && !isOwnerOrCapable(inode, task.credentials)) return -EPERM;
	const denied = checkPermission(inode, want, task.credentials);
	if (denied < 0) return denied;
	return checkSuffix(name, 'user.');
}

function getxattr(task: Task, trap: Trap, resolve: Resolver): number {
	const name = attributeName(task, trap.size(1));
	if (typeof name === 'number') return name;
	const target = resolve(task, trap);
	if (typeof target === 'number') return target;
	const denied = checkAttribute(task, target, name, MAY_READ);
	if (denied < 0) return denied;
	const value = inodeOf(target).getxattr(name);
	if (typeof value === 'number') return value;
	const size = trap.size(3);
	if (size === 0) return value.length;
	if (value.length > size) return -ERANGE;
	const error = copyOutBytes(task.tid, trap.size(2), value);
	return error < 0 ? error : value.length;
}

function setxattr(task: Task, trap: Trap, resolve: Resolver): number {
	const flags = trap.uint(4);
	if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return -EINVAL;
	const name = attributeName(task, trap.size(1));
	if (typeof name === 'number') return name;
	const size = trap.size(3);
	if (size > XATTR_SIZE_MAX) return -E2BIG;
	const value = Buffer.alloc(size);
	const fault = copyInBytes(task.tid, trap.size(2), value, 0, size);
	if (fault < 0) return fault;
	const target = resolve(task, trap);
	if (typeof target === 'number') return target;
	const denied = checkAttribute(task, target, name, MAY_WRITE);
	if (denied < 0) return denied;
	if (name === 'security.capability' && parseFileCapabilities(value) === null) return -EINVAL;
	return tellChange(target.path, inodeOf(target).setxattr(name, value, flags));
}

function listxattr(task: Task, trap: Trap, resolve: Resolver): number {
	const target = resolve(task, trap);
	if (typeof target === 'number') return target;
	const names = inodeOf(target).listxattr();
	if (typeof names === 'number') return names;
	const bytes = Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');
	const size = trap.size(2);
	if (size === 0) return bytes.length;
	if (bytes.length > size) return -ERANGE;
	const error = copyOutBytes(task.tid, trap.size(1), bytes);
	return error < 0 ? error : bytes.length;
}

function removexattr(task: Task, trap: Trap, resolve: Resolver): number {
	const name = attributeName(task, trap.size(1));
	if (typeof name === 'number') return name;
	const target = resolve(task, trap);
	if (typeof target === 'number') return target;
	const denied = checkAttribute(task, target, name, MAY_WRITE);
	return denied < 0 ? denied : tellChange(target.path, inodeOf(target).removexattr(name));
}

/** getxattr(2) and its siblings. */
export const sysGetxattr = (task: Task, trap: Trap): number => getxattr(task, trap, byPath);
export const sysLgetxattr = (task: Task, trap: Trap): number => getxattr(task, trap, byLink);
export const sysFgetxattr = (task: Task, trap: Trap): number => getxattr(task, trap, byDescriptor);
export const sysSetxattr = (task: Task, trap: Trap): number => setxattr(task, trap, byPath);
export const sysLsetxattr = (task: Task, trap: Trap): number => setxattr(task, trap, byLink);
export const sysFsetxattr = (task: Task, trap: Trap): number => setxattr(task, trap, byDescriptor);
export const sysListxattr = (task: Task, trap: Trap): number => listxattr(task, trap, byPath);
export const sysLlistxattr = (task: Task, trap: Trap): number => listxattr(task, trap, byLink);
export const sysFlistxattr = (task: Task, trap: Trap): number => listxattr(task, trap, byDescriptor);
export const sysRemovexattr = (task: Task, trap: Trap): number => removexattr(task, trap, byPath);
export const sysLremovexattr = (task: Task, trap: Trap): number => removexattr(task, trap, byLink);
export const sysFremovexattr = (task: Task, trap: Trap): number => removexattr(task, trap, byDescriptor);
