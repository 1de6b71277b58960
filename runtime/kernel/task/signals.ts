import { readdirSync } from 'node:fs';
import { native } from '../../native.js';
import { EAGAIN } from '../abi/errno.js';
import { POLLIN } from '../abi/poll-constants.js';
import {
	SI_KERNEL,
	SI_TKILL,
	SI_USER,
	SIGCHLD,
	SIGCONT,
	SIGKILL,
	SIGSTOP,
	SIGTSTP,
	SIGTTIN,
	SIGTTOU,
	SIGURG,
	SIGWINCH,
} from '../abi/signal-numbers.js';
import type { SignalMaskArgument } from '../event/signal-mask-argument.js';
import { hasSignalFds, SignalFd } from '../event/signalfd.js';
import type { Kernel } from '../kernel.js';
import { EVENT_INTERRUPTED } from '../trap/records.js';
import { isInSet, KeptSignals, type SignalInfo } from './kept-signals.js';
import { encodeOrigin } from './signal-origin.js';
import { type Task, TaskState } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** A set of signals: bit n-1 is signal n. */
export interface SignalSet {
	low: number;
	high: number;
}

function has(set: SignalSet, signal: number): boolean {
	return isInSet(set.low, set.high, signal);
}

/** What the host keeps of a thread's signals. */
export class SignalState {
	readonly pending: SignalSet = { low: 0, high: 0 };
	readonly sharedPending: SignalSet = { low: 0, high: 0 };
	readonly blocked: SignalSet = { low: 0, high: 0 };
	readonly ignored: SignalSet = { low: 0, high: 0 };
	readonly caught: SignalSet = { low: 0, high: 0 };

	/**
	 * Does the signal do nothing: ignored, or by default so? The init of a PID namespace gets only what it catches, pid_namespaces(7): the host
	 * drops the rest, and a restart code without a signal would reach the guest. (SIGKILL and SIGSTOP from outside go their own way.)
	 */
	isIgnored(signal: number, isInit: boolean): boolean {
		if (has(this.ignored, signal)) return true;
		return !has(this.caught, signal) && (isInit || signal === SIGCHLD || signal === SIGCONT || signal === SIGURG || signal === SIGWINCH);
	}
}

const STATUS_BYTES = 4096;
const statusBuffer = Buffer.alloc(STATUS_BYTES);

/** Reads a thread's signal state from the host: false if it is gone. About 20 µs; only when a signal may end a blocked call. */
function readState(tid: number, out: SignalState): boolean {
	const length = native.readProcFile(`${tid}/status`, statusBuffer);
	if (length <= 0) return false;
	readSet('SigPnd:\t', length, out.pending);
	readSet('ShdPnd:\t', length, out.sharedPending);
	readSet('SigBlk:\t', length, out.blocked);
	readSet('SigIgn:\t', length, out.ignored);
	readSet('SigCgt:\t', length, out.caught);
	return true;
}

function readSet(label: string, length: number, out: SignalSet): void {
	const at = statusBuffer.subarray(0, length).indexOf(label, 0, 'latin1') + label.length;
	out.high = Number.parseInt(statusBuffer.latin1Slice(at, at + 8), 16) | 0;
	out.low = Number.parseInt(statusBuffer.latin1Slice(at + 8, at + 16), 16) | 0;
}

/** What `Signals.keep` gives when a signal is not for a signalfd. */
export const NOT_KEPT = 1;

/**
 * Who may be interrupted by what: the host delivers signals, the guest kernel ends the blocked calls that they interrupt (facts/traps.md 1–5).
 */
export class Signals {
	private readonly state = new SignalState();

	constructor(private readonly kernel: Kernel) {}

	/**
	 * Sends a signal to a process, as kill(2) does, and ends the call that it interrupts. 0, or -ESRCH. `sender`: null for the kernel itself. `info`: what it
	 * carries, of a timer or of sigqueue(3).
	 */
	sendToGroup(group: ThreadGroup, signal: number, sender: Task | null = null, info: SignalInfo | null = null): number {
		const kept = this.keep(group, null, signal, sender, info);
		if (kept !== NOT_KEPT) return kept;
		group.signalsSent++;
		if (signal === SIGSTOP) return this.stop(group, signal);
		const target = signal === SIGKILL || signal === 0 ? null : this.pickBlocked(group, signal);
		if (target === null) return give(group, -1, signal, info);
		if (isStop(signal) && !has(this.state.caught, signal)) return this.stop(group, signal);
		const error = give(group, target.tid, signal, info);
		this.end(target, signal);
		return error;
	}

	/** Sends a signal to one thread, as tgkill(2) does. */
	sendToThread(task: Task, signal: number, sender: Task | null = null, info: SignalInfo | null = null): number {
		const kept = this.keep(task.group, task, signal, sender, info);
		if (kept !== NOT_KEPT) return kept;
		task.group.signalsSent++;
		const error = give(task.group, task.tid, signal, info);
		if (error < 0 || task.state !== TaskState.Blocked || signal === SIGKILL || signal === 0) return error;
		if (!readState(task.tid, this.state) || this.state.isIgnored(signal, task.group.isInit)) return error;
		if (isStop(signal) && !has(this.state.caught, signal)) this.endAll(task.group);
		else if (this.isDeliverable(task, signal)) this.end(task, signal);
		return error;
	}

	/** `sendToThread` by the sandbox process's number of the thread, which may be one that has never trapped. */
	sendToThreadId(group: ThreadGroup, tid: number, signal: number, sender: Task | null, info: SignalInfo | null): number {
		const task = group.tasks.get(tid);
		return task !== undefined ? this.sendToThread(task, signal, sender, info) : give(group, tid, signal, info);
	}

	/** Sends a signal to every process of a process group (the host's number). `self`: the caller, which takes it in the call that it is in. */
	sendToProcessGroup(processGroup: number, signal: number, self: Task | null = null): void {
		// A child that has not trapped yet is known to nobody else.
		if (this.kernel.forks.hasOver) this.kernel.forks.settle();
		for (const group of [...this.kernel.groups.values()]) {
			if (group.isDead || native.getpgid(group.pid) !== processGroup) continue;
			if (group !== self?.group) {
				this.sendToGroup(group, signal);
				continue;
			}
			this.sendToThread(self, signal);
			if (isStop(signal) && readState(self.tid, this.state) && !has(this.state.caught, signal)) this.endAll(group);
		}
	}

	/** Does the thread block or ignore the signal? */
	isRefused(task: Task, signal: number): boolean {
		if (!readState(task.tid, this.state)) return true;
		return has(this.state.blocked, signal) || has(this.state.ignored, signal);
	}

	/** Does the signal wait, here or at the host, for the process or (`tid` not negative) for that thread of it? */
	isPending(group: ThreadGroup, tid: number, signal: number): boolean {
		const { kept } = tid < 0 ? group : (group.tasks.get(tid) ?? group);
		if (kept !== null && isInSet(kept.low, kept.high, signal)) return true;
		if (!readState(tid < 0 ? group.pid : tid, this.state)) return false;
		return has(tid < 0 ? this.state.sharedPending : this.state.pending, signal);
	}

	/** The host itself has sent (or is about to send) `signal` to a process: SIGCHLD at the end of the child that `info` tells of. */
	hostSent(group: ThreadGroup, signal: number, info: (() => SignalInfo) | null = null): void {
		if (info !== null && hasSignalFds()) this.keepChild(group, info);
		group.signalsSent++;
		const target = this.pickBlocked(group, signal);
		if (target === null) return;
		// The pidfd is readable a moment before the signal is there, and the host may give it to another thread: the picked one gets its own.
		if (!has(this.state.sharedPending, signal) || group.tasks.size > 1) native.sendSignal(group.pid, target.tid, signal);
		this.end(target, signal);
	}

	// --- Signals that are kept for a signalfd ------------------------------------------------------------------------

	/**
	 * Keeps a signal for the signalfds of a process: where one shows it, and whoever could take it (`thread`, or all threads) blocks it. The host doesn't hear of
	 * it, as the guest kernel can't take back what is pending there. 0; -EAGAIN when too many wait, as sigqueue(3) has it and kill(2) has not; `NOT_KEPT`: it has
	 * to be sent.
	 */
	keep(group: ThreadGroup, thread: Task | null, signal: number, sender: Task | null, info: SignalInfo | null = null): number {
		if (!hasSignalFds() || signal <= 0 || signal === SIGKILL || signal === SIGSTOP || !this.isShown(group, signal)) return NOT_KEPT;
		if (!(thread === null ? this.isBlockedByAll(group, signal) : this.isBlockedBy(thread.tid, signal))) return NOT_KEPT;
		// It goes on, whatever becomes of the signal.
		if (signal === SIGCONT) native.sendSignal(group.pid, -1, signal);
		const kept = info ?? sentInfo(group, thread, signal, sender);
		if (!this.keptOf(thread ?? group).add(kept)) return kept.code === SI_USER ? 0 : -EAGAIN;
		this.wakeSignalFds(group, signal);
		return 0;
	}

	/** A child's end: the host's own SIGCHLD stays pending there, where nobody takes it while it is blocked. */
	private keepChild(group: ThreadGroup, info: () => SignalInfo): void {
		if (!this.isShown(group, SIGCHLD) || !this.isBlockedByAll(group, SIGCHLD) || has(this.state.ignored, SIGCHLD)) return;
		this.keptOf(group).add(info());
		this.wakeSignalFds(group, SIGCHLD);
	}

	private keptOf(owner: { kept: KeptSignals | null }): KeptSignals {
		owner.kept ??= new KeptSignals();
		return owner.kept;
	}

	private isShown(group: ThreadGroup, signal: number): boolean {
		const { files } = group;
		for (let fd = 0; fd < files.size; fd++) {
			const description = files.get(fd);
			if (description instanceof SignalFd && description.has(signal)) return true;
		}
		return false;
	}

	private wakeSignalFds(group: ThreadGroup, signal: number): void {
		const { files } = group;
		for (let fd = 0; fd < files.size; fd++) {
			const description = files.get(fd);
			if (description instanceof SignalFd && description.has(signal)) description.waiters.wake(POLLIN);
		}
	}

	/** Do all threads block it, those too that the guest kernel has not met? Leaves the last one's state in `state`. */
	private isBlockedByAll(group: ThreadGroup, signal: number): boolean {
		for (const tid of threadsOf(group.pid)) if (!this.isBlockedBy(tid, signal)) return false;
		return true;
	}

	/** A thread in ppoll or its like blocks what the call's mask says. */
	private isBlockedBy(tid: number, signal: number): boolean {
		if (!readState(tid, this.state)) return false;
		const task = this.kernel.tasks.get(tid);
		return task?.state === TaskState.Blocked ? !this.isDeliverable(task, signal) : has(this.state.blocked, signal);
	}

	/** A signalfd of the process was closed, or shows other signals: what no other one shows is the host's to keep from now on. */
	release(group: ThreadGroup): void {
		if (group.isDead) return;
		this.giveUp(group, null, (signal) => !this.isShown(group, signal));
		for (const task of group.tasks.values()) this.giveUp(group, task, (signal) => !this.isShown(group, signal));
	}

	/** Gives kept signals to the host after all. */
	private giveUp(group: ThreadGroup, thread: Task | null, isWanted: (signal: number) => boolean): boolean {
		const kept = (thread ?? group).kept;
		if (kept === null || kept.isEmpty) return false;
		let isAny = false;
		for (let signal = 1; signal <= 64; signal++) {
			if (!isInSet(kept.low, kept.high, signal) || !isWanted(signal)) continue;
			const low = signal <= 32 ? 1 << (signal - 1) : 0;
			const high = signal > 32 ? 1 << (signal - 33) : 0;
			for (let info = kept.take(low, high); info !== null; info = kept.take(low, high)) {
				give(group, thread === null ? -1 : thread.tid, signal, info.code < 0 && info.code !== SI_TKILL ? info : null);
			}
			isAny = true;
		}
		if (isAny) group.signalsSent++;
		return isAny;
	}

	/** A call that is about to block, after signals were sent to its group: one may be pending already, and will not wake it. */
	checkPending(task: Task): void {
		task.signalsSeen = task.group.signalsSent;
		if (!readState(task.tid, this.state)) return;
		const { pending, sharedPending, blocked } = this.state;
		const mask = task.trap.signalMask;
		if (task.hasKeptSignals) {
			const open = mask ?? { low: blocked.low, high: blocked.high };
			const isOpen = (signal: number): boolean => !isInSet(open.low, open.high, signal);
			const isShared = this.giveUp(task.group, null, isOpen);
			if ((this.giveUp(task.group, task, isOpen) || isShared) && !readState(task.tid, this.state)) return;
		}
		const low = (pending.low | sharedPending.low) & ~(mask ?? blocked).low;
		const high = (pending.high | sharedPending.high) & ~(mask ?? blocked).high;
		if (low === 0 && high === 0) return;
		if (mask !== null && ((low & blocked.low) !== 0 || (high & blocked.high) !== 0)) this.endUnderMask(task, mask);
		else this.interrupt(task, low === 1 << (SIGCHLD - 1) && high === 0 ? SIGCHLD : 0);
	}

	/** Answers all blocked traps of a group so that its threads can stop: stop signals, pause. They are issued again when it goes on. */
	endAll(group: ThreadGroup): void {
		for (const task of group.tasks.values()) if (task.state === TaskState.Blocked) this.kernel.dispatcher.restart(task);
	}

	/** The thread that the signal interrupts: unblocked there, not ignored, and in a blocked trap. Leaves the thread's state in `state`. */
	private pickBlocked(group: ThreadGroup, signal: number): Task | null {
		for (const task of group.tasks.values()) {
			if (task.state !== TaskState.Blocked) continue;
			if (!readState(task.tid, this.state)) continue;
			if (this.state.isIgnored(signal, group.isInit)) return null;
			if (this.isDeliverable(task, signal)) return task;
		}
		return null;
	}

	/** Would the thread take the signal in its call: by its own mask, or by the mask that ppoll and its like carry? */
	private isDeliverable(task: Task, signal: number): boolean {
		const mask = task.trap.signalMask;
		if (mask !== null) return !has(mask, signal);
		return !has(this.state.blocked, signal);
	}

	private end(task: Task, signal: number): void {
		const mask = task.trap.signalMask;
		if (mask !== null && has(this.state.blocked, signal)) this.endUnderMask(task, mask);
		else this.interrupt(task, signal);
	}

	/**
	 * A SIGCHLD handler is restarting for the host, whatever the guest asked for (syscalls/signal.ts, sysRtSigaction): the guest's own wish decides here.
	 */
	private interrupt(task: Task, signal: number): void {
		this.kernel.dispatcher.interrupt(task, signal === SIGCHLD && task.group.isChildSignalInterrupting);
	}

	/** ppoll, pselect6, epoll_pwait: the handler must run under the call's mask, which the host does not know. */
	private endUnderMask(task: Task, mask: SignalMaskArgument): void {
		const { trap } = task;
		task.unblock();
		trap.dispose();
		task.state = TaskState.InTrap;
		const endpoint = {
			onEvent: (kind: number): void => {
				if (kind !== EVENT_INTERRUPTED) return;
				this.kernel.endpoints.remove(key);
				if (task.state === TaskState.InTrap) task.state = TaskState.Running;
			},
		};
		const key = this.kernel.endpoints.add(endpoint);
		native.interruptUnderMask(key, trap.listener, trap.idLow, trap.idHigh, task.tid, mask.address);
	}

	private stop(group: ThreadGroup, signal: number): number {
		const error = native.sendSignal(group.pid, -1, signal);
		this.endAll(group);
		return error;
	}
}

/** What kill(2) and tgkill(2) say of themselves. */
function sentInfo(group: ThreadGroup, thread: Task | null, signal: number, sender: Task | null): SignalInfo {
	return {
		signal,
		code: sender === null ? SI_KERNEL : thread === null ? SI_USER : SI_TKILL,
		pid: sender === null ? 0 : group.container.insideId(sender.group.pid),
		uid: sender === null ? 0 : sender.credentials.uid,
		status: 0,
		userTicks: 0,
		systemTicks: 0,
		timerId: 0,
		overrun: 0,
		valueLow: 0,
		valueHigh: 0,
	};
}

/** Gives a signal to the host, for the process or (`tid` not negative) for that thread of it. */
function give(group: ThreadGroup, tid: number, signal: number, info: SignalInfo | null): number {
	if (info === null) return native.sendSignal(group.pid, tid, signal);
	const error = native.queueSignal(group.pid, tid, signal, encodeOrigin(info));
	// Its queue of signals with a value is full: as Linux, where a timer or a signal below SIGRTMIN comes all the same, without.
	return error === -EAGAIN ? native.sendSignal(group.pid, tid, signal) : error;
}

/** Every thread of a process, from the host. */
function threadsOf(pid: number): number[] {
	try {
		return readdirSync(`/proc/${pid}/task`).map(Number);
	} catch {
		// It is gone.
		return [];
	}
}

function isStop(signal: number): boolean {
	return signal === SIGSTOP || signal === SIGTSTP || signal === SIGTTIN || signal === SIGTTOU;
}
