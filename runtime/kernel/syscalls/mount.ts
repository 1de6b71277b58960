import { CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import { EAGAIN, EBUSY, EINVAL, ELOOP, ENOENT, ENOSPC, ENOTDIR, EPERM } from '../abi/errno.js';
import { AT_FDCWD } from '../abi/fcntl.js';
import { PATH_MAX } from '../abi/limits.js';
import {
	MNT_DETACH,
	MNT_EXPIRE,
	MNT_FORCE,
	MS_BIND,
	MS_MGC_VAL,
	MS_MOVE,
	MS_NOUSER,
	MS_PRIVATE,
	MS_REC,
	MS_REMOUNT,
	MS_SHARED,
	MS_SILENT,
	MS_SLAVE,
	MS_STRICTATIME,
	MS_UNBINDABLE,
	UMOUNT_NOFOLLOW,
} from '../abi/mount-flags.js';
import type { Container } from '../container.js';
import { mountable, remountFileSystem } from '../fs/mountable.js';
import { hasCapability } from '../task/credentials.js';
import { isMountBusy } from '../task/mount-use.js';
import type { Task } from '../task/task.js';
import { copyInString } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import {
	MOUNT_MAX,
	Mount,
	MS_NOATIME,
	MS_NODEV,
	MS_NODIRATIME,
	MS_NOEXEC,
	MS_NOSUID,
	MS_NOSYMFOLLOW,
	MS_RDONLY,
	MS_RELATIME,
} from '../vfs/mount.js';
import { copyTree, discardTree, graft, ungraft } from '../vfs/mount-tree.js';
import { Path } from '../vfs/path.js';
import { pathWalk, WALK_FOLLOW } from '../vfs/path-walk.js';
import { makePrivate, makeShared, makeSlave, makeUnbindable } from '../vfs/peer-group.js';
import { walkArgument } from './paths.js';

const ATIME_FLAGS = MS_NOATIME | MS_NODIRATIME | MS_RELATIME;
/** What a mount keeps of the flags. */
const KEPT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME | MS_NODIRATIME;
const PROPAGATION = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
/** Options that every file system takes for flags of its own (Linux: common_set_sb_flag and common_clear_sb_flag). */
const COMMON_OPTIONS: ReadonlySet<string> = new Set(['dirsync', 'lazytime', 'mand', 'sync', 'async', 'nolazytime', 'nomand', 'rw', 'ro']);

/** mount(2). Of what mounting is refused for: no capability (EPERM), too many mounts (ENOSPC). */
export function sysMount(task: Task, trap: Trap): number {
	const type = optionalString(task, trap.size(2));
	if (typeof type === 'number') return type;
	const source = optionalString(task, trap.size(0));
	if (typeof source === 'number') return source;
	const data = optionalString(task, trap.size(4));
	if (typeof data === 'number') return data;
	const error = walkArgument(task, AT_FDCWD, trap.size(1), WALK_FOLLOW);
	if (error < 0) return error;
	const target = pathWalk.path;
	let flags = trap.uint(3);
	if (flags >>> 16 === MS_MGC_VAL) flags &= 0xffff;
	if ((flags & MS_NOUSER) !== 0) return -EINVAL;
	if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
	const kept = mountFlags(flags, target.mount);
	if ((flags & (MS_REMOUNT | MS_BIND)) === (MS_REMOUNT | MS_BIND)) return changeFlags(task, target, kept);
	if ((flags & MS_REMOUNT) !== 0) return remount(task, target, kept, data ?? '');
	if ((flags & MS_BIND) !== 0) return bind(task, source, target, (flags & MS_REC) !== 0);
	if ((flags & PROPAGATION) !== 0) return changePropagation(task, target, flags);
	if ((flags & MS_MOVE) !== 0) return move(task, source, target);
	return mountNew(task, type, source ?? '', target, kept, data ?? '');
}

/** A string that may be absent (null); errors: EFAULT, EINVAL when it is too long. */
function optionalString(task: Task, address: number): string | null | number {
	return address === 0 ? null : copyInString(task.tid, address, PATH_MAX, -EINVAL);
}

function mountFlags(flags: number, mount: Mount): number {
	let kept = flags & KEPT_FLAGS;
	if ((flags & MS_NOATIME) === 0) kept |= MS_RELATIME;
	if ((flags & MS_STRICTATIME) !== 0) kept &= ~(MS_RELATIME | MS_NOATIME);
	// A remount that says nothing of access times leaves them.
	const saysNothing = (flags & (ATIME_FLAGS | MS_STRICTATIME)) === 0;
	if ((flags & MS_REMOUNT) !== 0 && saysNothing) kept = (kept & ~ATIME_FLAGS) | (mount.flags & ATIME_FLAGS);
	return kept;
}

/** Is it a mount of the caller's own namespace? (Linux: check_mnt) */
function isOurs(task: Task, mount: Mount): boolean {
	return mount.namespace === task.fs.mounts;
}

function isMountRoot(path: Path): boolean {
	return path.dentry === path.mount.root;
}

/** Would new flags take away what the operator has set? */
function isLocked(mount: Mount, flags: number): boolean {
	return (mount.lockedFlags & ~flags) !== 0;
}

// --- What is mounted already -------------------------------------------------------------------------------------------

function changeFlags(task: Task, target: Path, flags: number): number {
	const { mount } = target;
	if (!isOurs(task, mount) || !isMountRoot(target)) return -EINVAL;
	if (isLocked(mount, flags)) return -EPERM;
	mount.flags = flags;
	return 0;
}

function remount(task: Task, target: Path, flags: number, data: string): number {
	const { mount } = target;
	if (!isOurs(task, mount) || !isMountRoot(target)) return -EINVAL;
	if (isLocked(mount, flags)) return -EPERM;
	const options = ownOptions(data);
	const error = remountFileSystem(task.group.container, mount, options);
	if (error < 0) return error;
	mount.flags = flags;
	mount.fs.superFlags = superFlags(flags, data);
	return 0;
}

function changePropagation(task: Task, target: Path, flags: number): number {
	const type = flags & PROPAGATION;
	const { mount } = target;
	if (!isMountRoot(target)) return -EINVAL;
	if ((flags & ~(PROPAGATION | MS_REC | MS_SILENT)) !== 0 || (type & (type - 1)) !== 0) return -EINVAL;
	if (!isOurs(task, mount)) return -EINVAL;
	const change = type === MS_SHARED ? makeShared : type === MS_SLAVE ? makeSlave : type === MS_PRIVATE ? makePrivate : makeUnbindable;
	for (const each of (flags & MS_REC) !== 0 ? mount.tree() : [mount]) change(each);
	return 0;
}

// --- New mounts ----------------------------------------------------------------------------------------------------------

/** Where a mount on `target` goes: on top of what is there already. Errors: EINVAL (not the caller's), ENOENT (its name is gone). */
function placeFor(task: Task, target: Path): { mount: Mount; dentry: Path['dentry'] } | number {
	const place = target.mount.topmost(target.dentry);
	if (place.dentry.isDeleted) return -ENOENT;
	return isOurs(task, place.mount) ? place : -EINVAL;
}

/** The path that a mount's source names; errors as path_resolution(7). */
function sourcePath(task: Task, source: string | null): Path | number {
	if (source === null || source === '') return -EINVAL;
	const error = pathWalk.walk(task, task.fs.cwd, source, WALK_FOLLOW);
	return error < 0 ? error : pathWalk.path;
}

function isSameKind(one: Path['dentry'], other: Path['dentry']): boolean {
	return one.inode!.isDirectory === other.inode!.isDirectory;
}

function bind(task: Task, sourceText: string | null, target: Path, isRecursive: boolean): number {
	const source = sourcePath(task, sourceText);
	if (typeof source === 'number') return source;
	const place = placeFor(task, target);
	if (typeof place === 'number') return place;
	const { mount, dentry } = source;
	if (mount.isUnbindable || !isOurs(task, mount)) return -EINVAL;
	if (!isRecursive && hasLockedBelow(mount, source)) return -EINVAL;
	if (!isSameKind(dentry, place.dentry)) return -ENOTDIR;
	const budget = task.fs.mounts.budget;
	if (!budget.has(isRecursive ? mount.tree().length : 1)) return -ENOSPC;
	const copy = copyTree(mount, dentry, { isRecursive, withUnbindable: false });
	copy.isLocked = false;
	return attach(copy, place);
}

function attach(tree: Mount, place: { mount: Mount; dentry: Path['dentry'] }): number {
	const error = graft(tree, place.mount, place.dentry);
	if (error < 0) discardTree(tree);
	return error;
}

/** A part that is bound without what stands on it would show what the operator has covered. */
function hasLockedBelow(mount: Mount, { dentry }: Path): boolean {
	for (const [mountpoint, child] of mount.children) if (child.isLocked && dentry.isAncestorOf(mountpoint)) return true;
	return false;
}

function move(task: Task, sourceText: string | null, target: Path): number {
	const source = sourcePath(task, sourceText);
	if (typeof source === 'number') return source;
	const place = placeFor(task, target);
	if (typeof place === 'number') return place;
	const { mount } = source;
	const { parent, mountpoint } = mount;
	if (!isOurs(task, mount) || !isMountRoot(source) || parent === null || mountpoint === null) return -EINVAL;
	if (mount.isLocked || parent.peers !== null) return -EINVAL;
	if (!isSameKind(mount.root, place.dentry)) return -ENOTDIR;
	if (place.mount.peers !== null && mount.tree().some(({ isUnbindable }) => isUnbindable)) return -EINVAL;
	for (let above: Mount | null = place.mount; above !== null; above = above.parent) if (above === mount) return -ELOOP;
	mount.detach();
	const error = graft(mount, place.mount, place.dentry);
	if (error < 0) mount.attachTo(parent, mountpoint);
	return error;
}

function mountNew(task: Task, type: string | null, source: string, target: Path, flags: number, data: string): number {
	if (type === null) return -EINVAL;
	const { container } = task.group;
	const made = mountable(container, type, ownOptions(data));
	if (typeof made === 'number') return made;
	const { fs, root } = made;
	if (made.isOwn) container.ownMounts.addFileSystem(fs);
	const error = attachNew(task, new Mount(fs, root, flags, source, made.options, null, null), target);
	if (error < 0) container.ownMounts.settle();
	else if (made.isOwn) fs.superFlags = superFlags(flags, data);
	return error;
}

function attachNew(task: Task, mount: Mount, target: Path): number {
	const place = placeFor(task, target);
	if (typeof place === 'number') return place;
	if (place.dentry === place.mount.root && place.mount.fs === mount.fs && mount.root === place.mount.root) return -EBUSY;
	if (!isSameKind(mount.root, place.dentry)) return -ENOTDIR;
	if (!hasRoom(task.group.container)) return -ENOSPC;
	return graft(mount, place.mount, place.dentry);
}

/** File systems that are unmounted but still used count too; what is not used any more doesn't. */
function hasRoom(container: Container): boolean {
	const { budget } = container.mounts;
	return budget.has(1) && budget.used + container.ownMounts.lingering <= MOUNT_MAX;
}

/** Options without those that every file system has. */
function ownOptions(data: string): string {
	return data
		.split(',')
		.filter((option) => !COMMON_OPTIONS.has(option) && !option.startsWith('source='))
		.join(',');
}

/** MS_RDONLY of the whole file system: a flag of the call, or an option. */
function superFlags(flags: number, data: string): number {
	return data
		.split(',')
		.reduce((value, option) => (option === 'ro' ? value | MS_RDONLY : option === 'rw' ? value & ~MS_RDONLY : value), flags & MS_RDONLY);
}

// --- umount2, pivot_root ---------------------------------------------------------------------------------------------------

/** Mounts that umount2(2) with MNT_EXPIRE was called for once. */
const expiring = new WeakSet<Mount>();

/** umount2(2). */
export function sysUmount2(task: Task, trap: Trap): number {
	const flags = trap.uint(1);
	if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) !== 0) return -EINVAL;
	const error = walkArgument(task, AT_FDCWD, trap.size(0), (flags & UMOUNT_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW);
	if (error < 0) return error;
	// What is mounted on a root or on the working directory goes first.
	const { mount, dentry } = pathWalk.mount.topmost(pathWalk.dentry);
	if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
	if (dentry !== mount.root || !isOurs(task, mount) || mount.isLocked) return -EINVAL;
	return unmount(task, mount, flags);
}

function unmount(task: Task, mount: Mount, flags: number): number {
	const { container } = task.group;
	const isDetach = (flags & MNT_DETACH) !== 0;
	const isRoot = mount === task.fs.root.mount;
	if ((flags & MNT_EXPIRE) !== 0) {
		if (isRoot || (flags & (MNT_FORCE | MNT_DETACH)) !== 0) return -EINVAL;
		if (mount.children.size > 0 || isMountBusy(container, mount)) return -EBUSY;
		if (!expiring.has(mount)) {
			expiring.add(mount);
			return -EAGAIN;
		}
	}
	if (isRoot && !isDetach) {
		// As at a machine's shutdown.
		mount.fs.superFlags |= MS_RDONLY;
		return 0;
	}
	if (mount.parent === null) return -EINVAL;
	if (!isDetach && (mount.children.size > 0 || isMountBusy(container, mount))) return -EBUSY;
	ungraft(mount);
	container.ownMounts.settle();
	return 0;
}

/** pivot_root(2): the caller's root becomes `new_root`, and what was the root stands on `put_old`. */
export function sysPivotRoot(task: Task, trap: Trap): number {
	if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
	const fresh = directoryArgument(task, trap.size(0));
	if (typeof fresh === 'number') return fresh;
	const old = directoryArgument(task, trap.size(1));
	if (typeof old === 'number') return old;
	const place = old.mount.topmost(old.dentry);
	if (place.dentry.isDeleted) return -ENOENT;
	const { root } = task.fs;
	const { parent } = root.mount;
	if (place.mount.peers !== null || fresh.mount.parent?.peers != null || parent?.peers != null) return -EINVAL;
	if (!isOurs(task, root.mount) || !isOurs(task, fresh.mount) || fresh.mount.isLocked) return -EINVAL;
	if (fresh.dentry.isDeleted) return -ENOENT;
	if (fresh.mount === root.mount || place.mount === root.mount) return -EBUSY;
	if (!isMountRoot(root) || !isMountRoot(fresh) || fresh.mount.parent === null) return -EINVAL;
	if (!isReachable(place, fresh) || !isReachable(fresh, root)) return -EINVAL;
	pivot(task, root, fresh.mount, place);
	return 0;
}

function directoryArgument(task: Task, address: number): Path | number {
	const error = walkArgument(task, AT_FDCWD, address, WALK_FOLLOW);
	if (error < 0) return error;
	return pathWalk.dentry.inode!.isDirectory ? pathWalk.path : -ENOTDIR;
}

/** Does one come from `at` to `root` by going up? */
function isReachable(at: { mount: Mount; dentry: Path['dentry'] }, root: Path): boolean {
	let { mount, dentry } = at;
	while (mount !== root.mount) {
		if (mount.parent === null || mount.mountpoint === null) return false;
		dentry = mount.mountpoint;
		mount = mount.parent;
	}
	return root.dentry.isAncestorOf(dentry);
}

function pivot(task: Task, root: Path, fresh: Mount, place: { mount: Mount; dentry: Path['dentry'] }): void {
	const { mounts } = task.fs;
	const { parent, mountpoint } = root.mount;
	fresh.detach();
	root.mount.detach();
	root.mount.attachTo(place.mount, place.dentry);
	if (parent !== null && mountpoint !== null) fresh.attachTo(parent, mountpoint);
	else mounts.root = fresh;
	// Whoever has the old root for a root or a working directory goes along.
	const now = new Path(fresh, fresh.root);
	for (const { fs } of task.group.container.groups.values()) {
		if (fs.root.equals(root)) fs.root = now;
		if (fs.cwd.equals(root)) fs.cwd = now;
	}
}
