import { CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import {
	CLONE_CHILD_CLEARTID,
	CLONE_CHILD_SETTID,
	CLONE_DETACHED,
	CLONE_FILES,
	CLONE_FS,
	CLONE_IO,
	CLONE_NEWCGROUP,
	CLONE_NEWIPC,
	CLONE_NEWNET,
	CLONE_NEWNS,
	CLONE_NEWPID,
	CLONE_NEWUSER,
	CLONE_NEWUTS,
	CLONE_PARENT_SETTID,
	CLONE_SETTLS,
	CLONE_SIGHAND,
	CLONE_SYSVSEM,
	CLONE_THREAD,
	CLONE_VFORK,
	CLONE_VM,
	CSIGNAL,
} from '../abi/clone-flags.js';
import { EAGAIN, EINVAL, ENOENT, ENOMEM, ENOSYS, EPERM } from '../abi/errno.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from '../abi/fcntl.js';
import { SIGCHLD } from '../abi/signal-numbers.js';
import { hostField, readHostProc } from '../fs/proc/host-proc.js';
import { CONTINUE } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import { FileSystemContext } from '../task/file-system-context.js';
import type { Inheritance } from '../task/forks.js';
import type { Task } from '../task/task.js';
import { exec, execPath, recordStack, sysPlan } from '../task/task-exec.js';
import { copyInPath } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { hasDescriptors } from '../vfs/descriptor-table.js';
import type { Mount } from '../vfs/mount.js';
import { copyNamespace } from '../vfs/mount-tree.js';
import { Path } from '../vfs/path.js';
import { WALK_FOLLOW } from '../vfs/path-walk.js';
import { startOf } from './paths.js';

export { sysPlan };

/** What a guest's fork may share or set: nothing that another thread could change, nothing that makes a namespace. */
const FORK_FLAGS =
	CSIGNAL |
	CLONE_VM |
	CLONE_FS |
	CLONE_FILES |
	CLONE_SIGHAND |
	CLONE_VFORK |
	CLONE_SYSVSEM |
	CLONE_SETTLS |
	CLONE_PARENT_SETTID |
	CLONE_CHILD_CLEARTID |
	CLONE_CHILD_SETTID |
	CLONE_DETACHED |
	CLONE_IO;
const NAMESPACE_FLAGS = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/** fork(2). */
export function sysFork(task: Task): number {
	return fork(task, SIGCHLD);
}

/** vfork(2). */
export function sysVfork(task: Task): number {
	return fork(task, CLONE_VM | CLONE_VFORK | SIGCHLD);
}

/** clone(2), as far as it makes a process; the threads of known C libraries are native. Namespaces: EPERM. */
export function sysClone(task: Task, trap: Trap): number {
	const flags = trap.uint(0);
	// A thread whose flags the filter does not know, or CLONE_PARENT, CLONE_PTRACE, CLONE_PIDFD: refused as an old kernel would.
	if ((flags & NAMESPACE_FLAGS) !== 0) return -EPERM;
	if ((flags & CLONE_THREAD) !== 0 || (flags & ~FORK_FLAGS) !== 0) return -EINVAL;
	if ((flags & CLONE_SIGHAND) !== 0 && (flags & CLONE_VM) === 0) return -EINVAL;
	return fork(task, flags);
}

function fork(task: Task, flags: number): number {
	const { group, kernel } = task;
	if ((flags & CLONE_FILES) === 0 && !hasDescriptors(group.files.used)) return -EAGAIN;
	return kernel.forks.begin(
		task,
		(): Inheritance => ({
			container: group.container,
			parentPid: group.pid,
			parent: group,
			files: (flags & CLONE_FILES) !== 0 ? group.files.acquire() : group.files.copy(),
			fs: (flags & CLONE_FS) !== 0 ? group.fs : group.fs.copy(),
			limits: group.limits.copy(),
			credentials: task.credentials,
			filters: group.filters?.copy() ?? null,
		}),
	);
}

/** execve(2). Arguments and environment are the guest's own, read by the host. */
export function sysExecve(task: Task, trap: Trap): number {
	if (task.group.spawn !== null) return spawnedExec(task);
	const path = copyInPath(task.tid, trap.size(0));
	if (typeof path === 'number') return path;
	return exec(task, task.fs.cwd, path, WALK_FOLLOW);
}

/** The first call of a process that the sandbox process spawned: its program was found and checked before. */
function spawnedExec(task: Task): number {
	const { path, name, isHeld } = task.group.spawn!;
	if (isHeld) return task.blockOn(task.group.execQueue);
	task.group.spawn = null;
	recordStack(task);
	const { container } = task.group;
	container.filterCount = hostField(readHostProc(`${task.tid}/status`), 'Seccomp_filters') - Number(container.hasSeccompProfile);
	return execPath(task, path, name);
}

/**
 * execveat(2). Continued only where the host can't come to a lent descriptor by it, whatever the path turns into; fexecve(3) gets ENOSYS and
 * goes by /proc/self/fd.
 */
export function sysExecveat(task: Task, trap: Trap): number {
	const dirfd = trap.int(0);
	const flags = trap.uint(4);
	const path = copyInPath(task.tid, trap.size(1));
	if (typeof path === 'number') return path;
	if (path === '' && (flags & AT_EMPTY_PATH) === 0) return -ENOENT;
	if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) !== 0) return -EINVAL;
	if (path === '') return -ENOSYS;
	const start = startOf(task, dirfd, path);
	if (typeof start === 'number') return start;
	if ((flags & AT_EMPTY_PATH) !== 0 || (!path.startsWith('/') && dirfd !== AT_FDCWD)) return -ENOSYS;
	return exec(task, start, path, (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : WALK_FOLLOW);
}

/** unshare(2): no new namespaces but of mounts (EPERM); what threads share by their nature can't be taken apart (EINVAL). */
export function sysUnshare(task: Task, trap: Trap): number {
	let flags = trap.uint(0);
	if ((flags & NAMESPACE_FLAGS & ~CLONE_NEWNS) !== 0) return -EPERM;
	if ((flags & CLONE_NEWNS) !== 0) flags |= CLONE_FS;
	if ((flags & ~(CLONE_NEWNS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) !== 0) return -EINVAL;
	const { group } = task;
	if ((flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) !== 0) return group.tasks.size > 1 ? -EINVAL : 0;
	// Threads of a group share both tables for good here: one alone can't leave them.
	if (group.tasks.size > 1) return -EINVAL;
	const context = (flags & CLONE_NEWNS) !== 0 ? newMountNamespace(task) : (flags & CLONE_FS) !== 0 ? group.fs.copy() : group.fs;
	if (typeof context === 'number') return context;
	if ((flags & CLONE_FILES) !== 0 && group.files.isShared) {
		if (!hasDescriptors(group.files.used)) return -ENOMEM;
		const own = group.files.copy();
		group.files.release(task);
		group.files = own;
	}
	const left = group.fs;
	group.fs = context;
	group.container.ownMounts.left(left);
	return 0;
}

/** The caller's root and working directory in a copy of its mount namespace. Errors: EPERM, ENOSPC. */
function newMountNamespace(task: Task): FileSystemContext | number {
	if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
	const { root, cwd, umask, mounts } = task.fs;
	const copies = new Map<Mount, Mount>();
	const namespace = copyNamespace(mounts, copies);
	if (typeof namespace === 'number') return namespace;
	task.group.container.ownMounts.addNamespace(namespace);
	const inCopy = ({ mount, dentry }: Path): Path => new Path(copies.get(mount) ?? mount, dentry);
	return new FileSystemContext(inCopy(root), inCopy(cwd), umask, namespace);
}

/** exit_group(2): the clean-up comes with the process's end (task-exit.ts); the call is trapped so that a child is known before it is gone. */
export function sysExitGroup(): number {
	return CONTINUE;
}

/** setpgid(2), getpgid(2), setsid(2), getsid(2): the host keeps groups and sessions of the container's own PID namespace. Registers only. */
export function sysContinue(): number {
	return CONTINUE;
}
