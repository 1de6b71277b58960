import { readdirSync } from 'node:fs';
import { native } from '../../native.js';
import type { Container } from '../container.js';
import type { Kernel } from '../kernel.js';
import type { DescriptorTable } from '../vfs/descriptor-table.js';
import { BLOCKED, CONTINUE } from './blocked.js';
import type { Credentials } from './credentials.js';
import type { FileSystemContext } from './file-system-context.js';
import type { FilterHold } from './filter-hold.js';
import { registerGroup } from './identify.js';
import type { Limits } from './limits.js';
import type { Continued, Task } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** What a new process gets from its parent. */
export interface Inheritance {
	readonly container: Container;
	readonly parentPid: number;
	readonly files: DescriptorTable;
	readonly fs: FileSystemContext;
	readonly limits: Limits;
	readonly credentials: Credentials;
	readonly parent: ThreadGroup | null;
	readonly filters: FilterHold | null;
}

/** A fork that was continued: an attempt until its child is seen (facts/traps.md 7, 23). Owns its snapshot until the child takes it. */
export class PendingFork implements Continued {
	/** The forking thread has trapped again: the fork has happened or failed. */
	isOver = false;

	constructor(
		private readonly forks: Forks,
		/** What the child inherits as its RLIMIT_LOCKS, and tells it by. */
		readonly cookie: number,
		readonly parent: Task,
		readonly inheritance: Inheritance,
	) {}

	settle(): void {
		this.forks.over(this);
	}
}

/** How long another thread's fork waits before it looks for the first one's child by itself. */
const FORK_WAIT_NS = 2_000_000;

/** The forks in flight, and the cookies by which children are told (facts/traps.md 22, 23). */
export class Forks {
	private readonly byCookie = new Map<number, PendingFork>();
	private nextCookie = 1000;
	private readonly overForks = new Set<PendingFork>();

	constructor(private readonly kernel: Kernel) {}

	newCookie(): number {
		return this.nextCookie++;
	}

	/** Some forks are over whose child has not trapped yet. */
	get hasOver(): boolean {
		return this.overForks.size > 0;
	}

	/** Lets the host fork, after taking the snapshot that the child will own. One at a time in a process: the cookie is the process's. */
	begin(task: Task, snapshot: () => Inheritance): number {
		const group = task.group;
		if (group.fork !== null) {
			if (task.trap.hasTimedOut) {
				this.find(group.fork);
				task.trap.deadlineNs = -1;
				task.trap.hasTimedOut = false;
			}
			if (group.fork !== null) {
				task.setDeadline(native.monotonicNs() + FORK_WAIT_NS);
				task.waitOn(group.forkQueue);
				return BLOCKED;
			}
		}
		const cookie = this.newCookie();
		const error = native.setCookie(group.pid, cookie);
		if (error < 0) return error;
		const fork = new PendingFork(this, cookie, task, snapshot());
		this.byCookie.set(cookie, fork);
		group.fork = fork;
		task.continued = fork;
		return CONTINUE;
	}

	/** The fork whose child carries `cookie`; it is no longer pending. */
	take(cookie: number): PendingFork | null {
		const fork = this.byCookie.get(cookie);
		if (fork === undefined) return null;
		this.byCookie.delete(cookie);
		this.overForks.delete(fork);
		this.unlock(fork);
		if (fork.parent.continued === fork) fork.parent.continued = null;
		return fork;
	}

	over(fork: PendingFork): void {
		if (!this.byCookie.has(fork.cookie)) return;
		fork.isOver = true;
		this.overForks.add(fork);
		this.unlock(fork);
	}

	/** The parent is dead: its forks are over. */
	parentEnded(group: ThreadGroup): void {
		for (const fork of this.byCookie.values()) if (fork.parent.group === group) this.over(fork);
	}

	/** Before the loop sleeps: finds the children of forks that are over, drops the snapshots of those that have none. */
	settle(): void {
		for (const fork of [...this.overForks]) {
			if (this.find(fork)) continue;
			this.byCookie.delete(fork.cookie);
			this.overForks.delete(fork);
			fork.inheritance.files.release(fork.parent);
			fork.inheritance.filters?.release();
		}
	}

	private unlock(fork: PendingFork): void {
		const group = fork.parent.group;
		if (group.fork !== fork) return;
		group.fork = null;
		group.forkQueue.wake();
	}

	/** Looks for the child of `fork` and registers it. */
	private find(fork: PendingFork): boolean {
		// A parent that is being killed loses its children before its end is told: whom it doesn't have is looked for among all.
		return this.findAmong(fork, childrenOf(this.kernel, fork.parent.tid)) || this.findAmong(fork, allProcesses());
	}

	private findAmong(fork: PendingFork, pids: readonly number[]): boolean {
		for (const pid of pids) {
			if (this.kernel.groups.has(pid) || native.getCookie(pid) !== fork.cookie) continue;
			return registerGroup(this.kernel, pid) !== null;
		}
		return false;
	}
}

const listing = Buffer.alloc(65536);

/** Every process of the pod: the numbers in the sandbox process's own /proc. */
function allProcesses(): number[] {
	return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** Processes that thread `tid` has started and that still exist. */
function childrenOf(kernel: Kernel, tid: number): number[] {
	const task = kernel.tasks.get(tid);
	const length = native.readProcFile(`${task?.group.pid ?? tid}/task/${tid}/children`, listing);
	if (length <= 0) return [];
	return listing.latin1Slice(0, length).split(' ').filter(Boolean).map(Number);
}
