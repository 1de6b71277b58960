import { native } from '../../native.js';
import { CAP_KILL } from '../abi/capability-numbers.js';
import { EINVAL, EPERM, ESRCH } from '../abi/errno.js';
import { SI_TKILL, SIGCONT, SIGRTMAX } from '../abi/signal-numbers.js';
import { CONTINUE } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import type { SignalInfo } from '../task/kept-signals.js';
import { SIGINFO_BYTES, SIGINFO_CODE, SIGINFO_VALUE } from '../task/signal-origin.js';
import { SignalWatch } from '../task/signal-watch.js';
import { NOT_KEPT } from '../task/signals.js';
import { type Task, TaskState } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { copyIn, copyOutInt, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

/** struct kernel_sigaction: handler, flags, restorer, mask. */
const SIGACTION_FLAGS = 8;
const SA_RESTART = 0x1000_0000;
/** The C library's own, which signal(7) leaves out: pthread_cancel(3), and setuid(2) and its like of all threads, nptl(7). */
const SIGCANCEL = 32;
const SIGSETXID = 33;

/**
 * rt_sigaction(2) of SIGCHLD; the others are native. The host ends a trap that nobody has received yet when a signal comes, with EINTR unless the handler
 * restarts: a fork or a stat would fail with it, and SIGCHLD is the signal that comes at any time without the guest kernel's doing. So the host is told
 * SA_RESTART, and whether the guest wants its blocked calls interrupted is kept here. The flag is set in the caller's own structure, which C libraries
 * make for the call; where that can't be written, it stays as it is.
 */
export function sysRtSigaction(task: Task, trap: Trap): number {
	const action = trap.size(1);
	if (action === 0 || trap.size(3) !== 8 || copyIn(task.tid, action, 16) < 0) return CONTINUE;
	const flags = scratchView.getUint32(SIGACTION_FLAGS, true);
	const isHandler = scratchView.getUint32(0, true) > 1 || scratchView.getUint32(4, true) !== 0;
	task.group.isChildSignalInterrupting = isHandler && (flags & SA_RESTART) === 0;
	if (task.group.isChildSignalInterrupting) copyOutInt(task.tid, action + SIGACTION_FLAGS, flags | SA_RESTART);
	return CONTINUE;
}

/** kill(2). */
export function sysKill(task: Task, trap: Trap): number {
	const id = trap.int(0);
	const signal = trap.int(1);
	if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
	// A child that has not trapped yet is known to its parent, and to nobody here.
	if (task.kernel.forks.hasOver) task.kernel.forks.settle();
	if (id > 0) {
		const group = task.group.container.groupByInsideId(id);
		if (group === null) return -ESRCH;
		const denied = checkKill(task, group, signal);
		return denied < 0 ? denied : send(task, group, signal);
	}
	if (id === 0) return killGroup(task, native.getpgid(task.group.pid), signal);
	if (id < -1) return killGroup(task, task.group.container.outsideId(-id), signal);
	let result = -ESRCH;
	for (const group of task.group.container.pids.groups.values()) {
		if (group === task.group || group.isInit) continue;
		const denied = checkKill(task, group, signal);
		if (denied >= 0) send(task, group, signal);
		if (result < 0) result = denied;
	}
	return result;
}

/** kill(2) of a process group, in the sandbox process's numbers. */
export function killGroup(task: Task, processGroup: number, signal: number): number {
	if (processGroup <= 0) return -ESRCH;
	let result = -ESRCH;
	let isOwn = false;
	for (const group of [...task.group.container.pids.groups.values()]) {
		if (native.getpgid(group.pid) !== processGroup) continue;
		const denied = checkKill(task, group, signal);
		if (denied >= 0 && group === task.group) isOwn = true;
		else if (denied >= 0) send(task, group, signal);
		if (result < 0) result = denied;
	}
	// Last, as it may be the end of the caller.
	if (isOwn) task.kernel.signals.sendToGroup(task.group, signal, task);
	return result;
}

/** tkill(2). */
export function sysTkill(task: Task, trap: Trap): number {
	return sendToThread(task, -1, trap.int(0), trap.int(1));
}

/** tgkill(2). */
export function sysTgkill(task: Task, trap: Trap): number {
	if (trap.int(0) <= 0) return -EINVAL;
	return sendToThread(task, trap.int(0), trap.int(1), trap.int(2));
}

function sendToThread(task: Task, tgid: number, tid: number, signal: number): number {
	if (tid <= 0 || signal < 0 || signal > SIGRTMAX) return -EINVAL;
	const outside = task.group.container.outsideId(tid, true);
	if (outside === 0) return -ESRCH;
	const target = task.kernel.tasks.get(outside);
	// A thread that never trapped is not known; the host knows whether it is the caller's own group's.
	const group = target?.group ?? (tgid > 0 ? task.group.container.groupByInsideId(tgid) : task.group);
	if (group === null) return -ESRCH;
	if (tgid > 0 && task.group.container.outsideId(tgid) !== group.pid) return -ESRCH;
	const denied = checkKill(task, group, signal);
	if (denied < 0) return denied;
	const kept = target === undefined ? NOT_KEPT : task.kernel.signals.keep(group, target, signal, task);
	if (kept !== NOT_KEPT) return kept;
	if (target === task || (target === undefined && group === task.group)) return CONTINUE;
	if (group === task.group && (signal === SIGCANCEL || signal === SIGSETXID)) {
		// The host's own siginfo has the right si_pid: without it, C libraries take the signal for a stranger's, and who sent it waits for ever.
		group.signalsSent++;
		target!.signalWatch ??= new SignalWatch(target!);
		target!.signalWatch.start();
		return CONTINUE;
	}
	return sendToThreadOf(task, group, outside, signal);
}

/** Sends to a thread of `group`, by the sandbox process's number of it; never a *continued* call. */
export function sendToThreadOf(task: Task, group: ThreadGroup, tid: number, signal: number, info: SignalInfo | null = null): number {
	return group.isImmuneTo(signal) ? 0 : task.kernel.signals.sendToThreadId(group, tid, signal, task, info);
}

/** rt_sigqueueinfo(2). To the caller's own process the host sends, who checks the info; to others it comes from no process (si_pid is 0). */
export function sysRtSigqueueinfo(task: Task, trap: Trap): number {
	const signal = trap.int(1);
	const info = copyInOrigin(task, trap.size(2), signal);
	if (typeof info === 'number') return info;
	const group = task.group.container.groupByInsideId(trap.int(0));
	if (group === null) return -ESRCH;
	const denied = group === task.group ? 0 : checkOrigin(info);
	if (denied < 0) return denied;
	if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
	const refused = checkKill(task, group, signal);
	if (refused < 0) return refused;
	if (group === task.group && !hasBlockedOther(task)) {
		const kept = task.kernel.signals.keep(group, null, signal, task, info);
		return kept === NOT_KEPT ? CONTINUE : kept;
	}
	return signal === 0 || group.isImmuneTo(signal) ? 0 : task.kernel.signals.sendToGroup(group, signal, task, originToSend(info));
}

/** rt_tgsigqueueinfo(2). */
export function sysRtTgsigqueueinfo(task: Task, trap: Trap): number {
	const signal = trap.int(2);
	const info = copyInOrigin(task, trap.size(3), signal);
	if (typeof info === 'number') return info;
	if (trap.int(0) <= 0 || trap.int(1) <= 0) return -EINVAL;
	const { container } = task.group;
	const group = container.groupByInsideId(trap.int(0));
	const outside = container.outsideId(trap.int(1), true);
	if (group === null || outside === 0) return -ESRCH;
	const denied = group === task.group ? 0 : checkOrigin(info);
	if (denied < 0) return denied;
	if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
	const refused = checkKill(task, group, signal);
	if (refused < 0) return refused;
	if (group === task.group && outside === task.tid) {
		const kept = task.kernel.signals.keep(group, task, signal, task, info);
		return kept === NOT_KEPT ? CONTINUE : kept;
	}
	return sendToThreadOf(task, group, outside, signal, originToSend(info));
}

/** What the caller says of a signal that it sends with a value. */
function copyInOrigin(task: Task, address: number, signal: number): SignalInfo | number {
	const error = copyIn(task.tid, address, SIGINFO_BYTES);
	if (error < 0) return error;
	return {
		signal,
		code: scratchView.getInt32(SIGINFO_CODE, true),
		pid: task.group.container.insideId(task.group.pid),
		uid: task.credentials.uid,
		status: 0,
		userTicks: 0,
		systemTicks: 0,
		timerId: 0,
		overrun: 0,
		valueLow: scratchView.getInt32(SIGINFO_VALUE, true),
		valueHigh: scratchView.getInt32(SIGINFO_VALUE + 4, true),
	};
}

/** Nobody may pass for the kernel or for kill(2) before another process. */
function checkOrigin(info: SignalInfo): number {
	return info.code >= 0 || info.code === SI_TKILL ? -EPERM : 0;
}

/** The host lets nobody pass for the kernel, not the guest kernel either: such an info is left out. */
function originToSend(info: SignalInfo): SignalInfo | null {
	return checkOrigin(info) < 0 ? null : info;
}

/** To itself the host sends, with the right siginfo; whoever is blocked in a trap has to be woken by the guest kernel. */
function send(task: Task, group: ThreadGroup, signal: number): number {
	if (signal === 0 || group.isImmuneTo(signal)) return 0;
	if (group === task.group && !hasBlockedOther(task)) {
		const kept = task.kernel.signals.keep(group, null, signal, task);
		return kept === NOT_KEPT ? CONTINUE : kept;
	}
	return task.kernel.signals.sendToGroup(group, signal, task);
}

function hasBlockedOther(task: Task): boolean {
	for (const other of task.group.tasks.values()) if (other !== task && other.state === TaskState.Blocked) return true;
	return false;
}

/** kill(2): the same user, CAP_KILL, or SIGCONT within the session. */
export function checkKill(task: Task, group: ThreadGroup, signal: number): number {
	const from = task.credentials;
	const to = group.credentials;
	const isSameUser = from.euid === to.suid || from.euid === to.uid || from.uid === to.suid || from.uid === to.uid;
	if (group !== task.group && !isSameUser && !hasCapability(from, CAP_KILL)) {
		if (signal !== SIGCONT || native.getsid(task.group.pid) !== native.getsid(group.pid)) return -EPERM;
	}
	return 0;
}
