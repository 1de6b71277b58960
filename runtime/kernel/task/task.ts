import { native } from '../../native.js';
import { Timer } from '../event/timers.js';
import { WAKE_ANY, WaitEntry, type Waiter, type WaitQueue } from '../event/wait-queue.js';
import type { SharedMemory } from '../ipc/sysv/shared-memory.js';
import type { Kernel } from '../kernel.js';
import { Trap } from '../trap/trap.js';
import type { DescriptorTable } from '../vfs/descriptor-table.js';
import type { FileDescription } from '../vfs/file-description.js';
import { BLOCKED } from './blocked.js';
import type { Credentials } from './credentials.js';
import type { FileSystemContext } from './file-system-context.js';
import type { KeptSignals } from './kept-signals.js';
import type { MemoryPolicy } from './memory-policy.js';
import type { SignalWatch } from './signal-watch.js';
import type { ThreadGroup } from './thread-group.js';

/** What a task is doing, as far as the guest kernel knows. */
export enum TaskState {
	/** In guest code, or in a native call. */
	Running = 0,
	/** Its trap is being handled, or waits for a lend to finish. */
	InTrap = 1,
	/** Its trap waits on wait queues or for its deadline. */
	Blocked = 2,
	/** Gone. */
	Dead = 3,
}

/** What `settle` gets in place of a call's number when the thread has ended. */
export const THREAD_ENDED = -1;

/** State of a call that was continued: an attempt, until the thread's next trap tells how it ended. */
export interface Continued {
	settle(task: Task, nextCall: number): void;
}

/**
 * A guest thread (Linux: task_struct). Made when its first trap arrives, as threads are started natively; owned by its thread group.
 */
export class Task implements Waiter {
	readonly trap = new Trap();
	state: TaskState = TaskState.Running;
	/** Watches the thread's end; -1 for a leader, whose end is its group's. Owned by the addon, which closes it. */
	pidfd = -1;

	/** Signals sent to its group when its last trap was answered: when more were sent since, one may be pending already as it blocks. */
	signalsSeen = 0;
	/** A shmat(2) that is on its way as an mmap; null without one. */
	attaching: { readonly segment: SharedMemory; readonly fd: number; readonly isReadOnly: boolean } | null = null;
	/** A seccomp(2) is on its way as one with the guest kernel's own copy of the program. */
	isInstallingFilter = false;
	/** Signals for this thread alone that are kept for a signalfd; null before the first. */
	kept: KeptSignals | null = null;
	/** set_mempolicy(2); null is MPOL_DEFAULT. */
	memoryPolicy: MemoryPolicy | null = null;
	/** When its call blocked first, monotonic ns; meaningless while it isn't blocked. */
	blockedSinceNs = 0;
	/** Looks for a signal that another thread of its process sends; null before the first. */
	signalWatch: SignalWatch | null = null;
	/** A continued fork or exec that isn't known to have happened yet (facts/traps.md 7, 18). */
	continued: Continued | null = null;

	private readonly entries: WaitEntry[] = [];
	private entryCount = 0;
	private readonly timer = new Timer(() => {
		this.trap.hasTimedOut = true;
		this.schedule();
	});
	private isScheduled = false;

	constructor(
		readonly kernel: Kernel,
		readonly group: ThreadGroup,
		/** Thread id as the sandbox process sees it. Guests see another: their PID namespace is deeper. */
		readonly tid: number,
		/** Changed by set*id, capset, exec. */
		public credentials: Credentials,
	) {}

	/** Descriptors: one table per thread group, as threads are only ever made with CLONE_FILES. */
	get files(): DescriptorTable {
		return this.group.files;
	}
	get fs(): FileSystemContext {
		return this.group.fs;
	}
	/** Are signals kept for it or for its process? */
	get hasKeptSignals(): boolean {
		const { kept } = this;
		const { kept: shared } = this.group;
		return (kept !== null && !kept.isEmpty) || (shared !== null && !shared.isEmpty);
	}
	get isLeader(): boolean {
		return this.tid === this.group.pid;
	}

	/** The thread's next trap came: its continued call is over. */
	settleContinued(nextCall: number): void {
		const continued = this.continued;
		this.continued = null;
		continued?.settle(this, nextCall);
	}

	/** The description of a descriptor, or null (EBADF). */
	file(fd: number): FileDescription | null {
		return this.group.files.get(fd);
	}

	// --- Blocking -------------------------------------------------------------------------------------------------

	/** Puts the current call on one more wait queue: any of them wakes it. Call before returning BLOCKED. */
	waitOn(queue: WaitQueue, events = WAKE_ANY, isExclusive = false): void {
		let entry = this.entries[this.entryCount];
		if (entry === undefined) {
			entry = new WaitEntry(this);
			this.entries.push(entry);
		}
		this.entryCount++;
		entry.isExclusive = isExclusive;
		queue.add(entry, events);
	}

	/** `waitOn` and BLOCKED in one: `return task.blockOn(queue)`. */
	blockOn(queue: WaitQueue, events = WAKE_ANY, isExclusive = false): number {
		this.waitOn(queue, events, isExclusive);
		return BLOCKED;
	}

	/** Gives the current call a deadline (monotonic ns) by which it runs again with `trap.hasTimedOut`. Only the first run's counts. */
	setDeadline(deadlineNs: number): void {
		if (this.trap.deadlineNs < 0) this.trap.deadlineNs = deadlineNs;
	}

	/** The dispatcher's: the call returned BLOCKED. */
	block(): void {
		this.state = TaskState.Blocked;
		if (this.trap.isFirstRun) this.blockedSinceNs = native.monotonicNs();
		if (this.trap.deadlineNs >= 0 && !this.timer.isArmed) this.kernel.timers.arm(this.timer, this.trap.deadlineNs);
	}

	/** Leaves all wait queues and forgets the deadline's timer. A wake-up that it alone got and has made no use of goes to the next in the queue. */
	unblock(): void {
		for (let i = 0; i < this.entryCount; i++) {
			const entry = this.entries[i]!;
			const { queue } = entry;
			entry.remove();
			if (this.isScheduled && entry.isExclusive && queue !== null) queue.wake(entry.events);
		}
		this.entryCount = 0;
		if (this.timer.isArmed) this.kernel.timers.disarm(this.timer);
		if (this.entries.length > 64) this.entries.length = 64;
	}

	/** A wait queue woke it: the call runs again in this turn. */
	wake(): boolean {
		return this.schedule();
	}

	private schedule(): boolean {
		if (this.isScheduled || this.state !== TaskState.Blocked) return false;
		this.isScheduled = true;
		this.kernel.runQueue.push(this);
		return true;
	}

	/** Wait queues that its call stands on. */
	get queueCount(): number {
		return this.entryCount;
	}

	/** The dispatcher's: taken off the run queue. */
	unschedule(): void {
		this.isScheduled = false;
	}
}
