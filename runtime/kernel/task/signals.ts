import { native } from '../../native.js';
import { SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH } from '../abi/signal-numbers.js';
import type { SignalMaskArgument } from '../event/signal-mask-argument.js';
import type { Kernel } from '../kernel.js';
import { EVENT_INTERRUPTED } from '../trap/records.js';
import { type Task, TaskState } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** A set of signals: bit n-1 is signal n. */
export interface SignalSet {
	low: number;
	high: number;
}

function has(set: SignalSet, signal: number): boolean {
	return signal <= 32 ? (set.low & (1 << (signal - 1))) !== 0 : (set.high & (1 << (signal - 33))) !== 0;
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

/**
 * Who may be interrupted by what: the host delivers signals, the guest kernel ends the blocked calls that they interrupt (facts/traps.md 1–5).
 */
export class Signals {
	private readonly state = new SignalState();

	constructor(private readonly kernel: Kernel) {}

	/** Sends a signal to a process, as kill(2) does, and ends the call that it interrupts. 0, or -ESRCH. */
	sendToGroup(group: ThreadGroup, signal: number): number {
		group.signalsSent++;
		if (signal === SIGSTOP) return this.stop(group, signal);
		const target = signal === SIGKILL || signal === 0 ? null : this.pickBlocked(group, signal);
		if (target === null) return native.sendSignal(group.pid, -1, signal);
		if (isStop(signal) && !has(this.state.caught, signal)) return this.stop(group, signal);
		const error = native.sendSignal(group.pid, target.tid, signal);
		this.end(target, signal);
		return error;
	}

	/** Sends a signal to one thread, as tgkill(2) does. */
	sendToThread(task: Task, signal: number): number {
		task.group.signalsSent++;
		const error = native.sendSignal(task.group.pid, task.tid, signal);
		if (error < 0 || task.state !== TaskState.Blocked || signal === SIGKILL || signal === 0) return error;
		if (!readState(task.tid, this.state) || this.state.isIgnored(signal, task.group.isInit)) return error;
		if (isStop(signal) && !has(this.state.caught, signal)) this.endAll(task.group);
		else if (this.isDeliverable(task, signal)) this.end(task, signal);
		return error;
	}

	/** The host itself has sent (or is about to send) `signal` to a process: SIGCHLD at a child's end. */
	hostSent(group: ThreadGroup, signal: number): void {
		group.signalsSent++;
		const target = this.pickBlocked(group, signal);
		if (target === null) return;
		// The pidfd is readable a moment before the signal is there, and the host may give it to another thread: the picked one gets its own.
		if (!has(this.state.sharedPending, signal) || group.tasks.size > 1) native.sendSignal(group.pid, target.tid, signal);
		this.end(target, signal);
	}

	/** A call that is about to block, after signals were sent to its group: one may be pending already, and will not wake it. */
	checkPending(task: Task): void {
		task.signalsSeen = task.group.signalsSent;
		if (!readState(task.tid, this.state)) return;
		const { pending, sharedPending, blocked } = this.state;
		const mask = task.trap.signalMask;
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

function isStop(signal: number): boolean {
	return signal === SIGSTOP || signal === SIGTSTP || signal === SIGTTIN || signal === SIGTTOU;
}
