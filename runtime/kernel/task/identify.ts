import { native } from '../../native.js';
import { SIGKILL } from '../abi/signal-numbers.js';
import { hasSignalFds } from '../event/signalfd.js';
import type { Kernel } from '../kernel.js';
import type { Endpoint } from '../trap/endpoints.js';
import { EVENT_ENDED } from '../trap/records.js';
import type { Inheritance } from './forks.js';
import { Task, TaskState, THREAD_ENDED } from './task.js';
import { endGroup } from './task-exit.js';
import { ThreadGroup } from './thread-group.js';

/**
 * Who trapped? Thread ids are reused within seconds, so a number alone says nothing: every known thread and process is watched through a pidfd,
 * whose end is seen before any trap of a successor with the same number; a new process is tied to its fork by an inherited cookie.
 */
export function identify(kernel: Kernel, tid: number): Task | null {
	const group = registerGroup(kernel, tid);
	if (group !== null) return addTask(kernel, group, tid);
	// Not a leader: a thread of a known process, or of a new one whose leader has not trapped yet.
	const pid = threadGroupOf(tid);
	if (pid <= 0 || pid === tid) return null;
	const owner = kernel.groups.get(pid) ?? registerGroup(kernel, pid);
	if (owner === null) {
		native.sendSignal(pid, -1, SIGKILL);
		return null;
	}
	const task = addTask(kernel, owner, tid);
	const watcher = new ThreadEnd(kernel, task);
	watcher.key = kernel.endpoints.add(watcher);
	task.pidfd = native.watchEnd(tid, watcher.key, true);
	if (task.pidfd < 0) {
		kernel.endpoints.remove(watcher.key);
		removeTask(kernel, task);
		return null;
	}
	return task;
}

/** Registers the process `pid` from the fork that made it; null if `pid` is no thread group leader or no fork of ours made it (then it is killed). */
export function registerGroup(kernel: Kernel, pid: number): ThreadGroup | null {
	const watcher = GroupEnd.watch(kernel, pid);
	if (watcher === null) return null;
	const cookie = native.getCookie(pid);
	const fork = kernel.forks.take(cookie);
	if (fork === null) {
		kernel.log('error', `Identify process ${pid}: no fork has its cookie ${cookie}; it is killed`, { pid, cookie });
		watcher.cancel();
		native.sendSignal(pid, -1, SIGKILL);
		return null;
	}
	const group = createGroup(kernel, pid, cookie, fork.inheritance);
	group.tasks.get(pid)!.memoryPolicy = fork.parent.memoryPolicy;
	watcher.tell(group);
	kernel.dispatcher.forked(fork.parent, pid);
	return group;
}

/** A container's first process, or an exec's, which `spawn` started with `cookie`. */
export function registerSpawned(kernel: Kernel, pid: number, cookie: number, inheritance: Inheritance): ThreadGroup | null {
	const watcher = GroupEnd.watch(kernel, pid);
	if (watcher === null) return null;
	const group = createGroup(kernel, pid, cookie, inheritance);
	watcher.tell(group);
	return group;
}

function createGroup(kernel: Kernel, pid: number, cookie: number, from: Inheritance): ThreadGroup {
	const group = new ThreadGroup(from.container, pid, from.parentPid, cookie, from.files, from.fs, from.limits, from.credentials);
	group.filters = from.filters;
	if (from.parent !== null) {
		group.setExecutable(from.parent.executable);
		group.isDumpable = from.parent.isDumpable;
		group.stackStart = from.parent.stackStart;
		group.isChildSignalInterrupting = from.parent.isChildSignalInterrupting;
		group.scriptArguments = from.parent.scriptArguments;
		group.oomScoreAdj = from.parent.oomScoreAdj;
		group.oomScoreAdjMin = from.parent.oomScoreAdjMin;
		group.memoryPolicies = from.parent.memoryPolicies?.copy() ?? null;
		if (from.parent.attachments !== null) from.container.ipc.inherit(from.parent, group);
	}
	// Its parent may want to know when it is gone, and nobody can tell any more.
	if (hasSignalFds()) group.learnInsideId();
	kernel.groups.set(pid, group);
	from.container.groups.set(pid, group);
	from.container.pids.groups.set(pid, group);
	addTask(kernel, group, pid);
	// It was made while its container ended.
	if (from.container.exitStatus !== null) native.sendSignal(pid, -1, SIGKILL);
	return group;
}

function addTask(kernel: Kernel, group: ThreadGroup, tid: number): Task {
	const existing = group.tasks.get(tid);
	if (existing !== undefined) return existing;
	const task = new Task(kernel, group, tid, group.credentials);
	task.signalsSeen = group.signalsSent;
	// Who started it isn't known; most often it was the first thread.
	task.memoryPolicy = group.tasks.get(group.pid)?.memoryPolicy ?? null;
	group.tasks.set(tid, task);
	kernel.tasks.set(tid, task);
	return task;
}

/** A thread is gone, or killed by another thread's exec. */
export function removeTask(kernel: Kernel, task: Task): void {
	task.unblock();
	task.trap.dispose();
	task.state = TaskState.Dead;
	task.settleContinued(THREAD_ENDED);
	task.group.tasks.delete(task.tid);
	if (kernel.tasks.get(task.tid) === task) kernel.tasks.delete(task.tid);
}

class ThreadEnd implements Endpoint {
	key = 0;

	constructor(
		private readonly kernel: Kernel,
		private readonly task: Task,
	) {}

	onEvent(kind: number): void {
		if (kind !== EVENT_ENDED) return;
		this.kernel.endpoints.remove(this.key);
		removeTask(this.kernel, this.task);
	}
}

class GroupEnd implements Endpoint {
	private group: ThreadGroup | null = null;
	private readonly key: number;
	private readonly pidfd: number;

	private constructor(
		private readonly kernel: Kernel,
		pid: number,
	) {
		this.key = kernel.endpoints.add(this);
		this.pidfd = native.watchEnd(pid, this.key, false);
	}

	/** Watches a process that has no group yet; null when there is no such process, or only a thread. */
	static watch(kernel: Kernel, pid: number): GroupEnd | null {
		const watcher = new GroupEnd(kernel, pid);
		if (watcher.pidfd >= 0) return watcher;
		kernel.endpoints.remove(watcher.key);
		return null;
	}

	/** Nobody is to be told after all. */
	cancel(): void {
		native.unwatchEnd(this.pidfd);
		this.kernel.endpoints.remove(this.key);
	}

	/** The group that ends with the process. */
	tell(group: ThreadGroup): void {
		group.pidfd = this.pidfd;
		this.group = group;
	}

	onEvent(kind: number): void {
		if (kind !== EVENT_ENDED) return;
		this.kernel.endpoints.remove(this.key);
		if (this.group !== null) endGroup(this.kernel, this.group);
	}
}

const statusBuffer = Buffer.alloc(4096);

/** The thread group of a thread, from the host; 0 if the thread is gone. */
export function threadGroupOf(tid: number): number {
	const length = native.readProcFile(`${tid}/status`, statusBuffer);
	if (length <= 0) return 0;
	const match = /^Tgid:\t(\d+)$/m.exec(statusBuffer.latin1Slice(0, length));
	return match === null ? 0 : Number(match[1]);
}
