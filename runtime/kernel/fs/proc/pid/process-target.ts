import { CAP_SYS_PTRACE } from '../../../abi/capability-numbers.js';
import { EACCES } from '../../../abi/errno.js';
import { type Credentials, hasCapability } from '../../../task/credentials.js';
import type { Task } from '../../../task/task.js';
import type { ThreadGroup } from '../../../task/thread-group.js';
import { readHostProc } from '../host-proc.js';
import type { ProcFileSystem } from '../proc-file-system.js';
import type { Owner } from '../pseudo-inode.js';

/**
 * The process, or the thread of it, that a directory /proc/PID or /proc/PID/task/TID shows. The thread may be one that has never trapped.
 */
export class ProcessTarget {
	/** Owner of the directories: the effective ids. */
	readonly directoryOwner: Owner = new TargetOwner(this, false);
	/** Owner of the files: root's, when the process is not dumpable (proc(5)). */
	readonly fileOwner: Owner = new TargetOwner(this, true);

	constructor(
		readonly fs: ProcFileSystem,
		readonly group: ThreadGroup,
		/** Thread id as the sandbox process sees it; the group's pid for /proc/PID. */
		readonly tid: number,
		/** True for /proc/PID/task/TID: numbers are the thread's own, not the group's. */
		readonly isThread: boolean,
	) {}

	get task(): Task | null {
		return this.group.tasks.get(this.tid) ?? null;
	}
	get credentials(): Credentials {
		return this.task?.credentials ?? this.group.credentials;
	}
	/** Nothing can be said of it any more: ESRCH. */
	get isGone(): boolean {
		return this.group.isDead;
	}

	/** A file of the host's about it, "" when it is gone. */
	readHost(name: string): string {
		return readHostProc(this.isThread ? `${this.group.pid}/task/${this.tid}/${name}` : `${this.group.pid}/${name}`);
	}

	/** Its id as the container sees it. */
	get insideId(): number {
		return this.group.container.insideId(this.tid, true);
	}
}

/**
 * May `reader` look into the process (ptrace(2), PTRACE_MODE_READ_FSCREDS)? Its own threads may; others need all the same ids, a dumpable
 * process and no fewer capabilities, or CAP_SYS_PTRACE.
 */
export function canInspect(reader: Task, target: ProcessTarget): boolean {
	const { group } = target;
	if (reader.group === group) return true;
	const own = reader.credentials;
	if (hasCapability(own, CAP_SYS_PTRACE)) return true;
	const its = target.credentials;
	const { fsuid, fsgid } = own;
	if (fsuid !== its.euid || fsuid !== its.suid || fsuid !== its.uid) return false;
	if (fsgid !== its.egid || fsgid !== its.sgid || fsgid !== its.gid) return false;
	return group.isDumpable && its.permitted.isSubsetOf(own.effective);
}

/** `canInspect` as a guard: 0 or -EACCES. */
export function checkInspect(reader: Task, target: ProcessTarget): number {
	return canInspect(reader, target) ? 0 : -EACCES;
}

class TargetOwner implements Owner {
	constructor(
		private readonly target: ProcessTarget,
		private readonly isRootUnlessDumpable: boolean,
	) {}

	private get isRoot(): boolean {
		return this.isRootUnlessDumpable && !this.target.group.isDumpable;
	}
	get uid(): number {
		return this.isRoot ? 0 : this.target.credentials.euid;
	}
	get gid(): number {
		return this.isRoot ? 0 : this.target.credentials.egid;
	}
	get timeSec(): number {
		return this.target.fs.wallSec(this.target.group.startNs);
	}
}
