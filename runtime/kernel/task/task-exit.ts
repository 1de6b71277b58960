import { native } from '../../native.js';
import { SIGCHLD, SIGKILL } from '../abi/signal-numbers.js';
import type { Container } from '../container.js';
import { readHostProc } from '../fs/proc/host-proc.js';
import { HostStat } from '../fs/proc/pid/host-stat.js';
import type { Kernel } from '../kernel.js';
import { removeTask } from './identify.js';
import type { SignalInfo } from './kept-signals.js';
import type { ThreadGroup } from './thread-group.js';

/**
 * A process has ended (its pidfd says so): descriptors are closed and everyone who waits for that is woken, before any later trap is looked at.
 */
export function endGroup(kernel: Kernel, group: ThreadGroup): void {
	if (group.isDead) return;
	group.isDead = true;
	const leader = group.tasks.get(group.pid);
	for (const task of [...group.tasks.values()]) {
		if (task.pidfd >= 0) native.unwatchEnd(task.pidfd);
		removeTask(kernel, task);
	}
	kernel.forks.parentEnded(group);
	if (group.realTimer?.isArmed) kernel.timers.disarm(group.realTimer);
	group.destroyAio();
	group.posixTimers?.deleteAll();
	group.filters?.release();
	group.setExecutable(null);
	if (leader !== undefined) group.files.release(leader);
	group.container.ipc.groupEnded(group);
	kernel.groups.delete(group.pid);
	kernel.terminals.ended(group);
	const container = group.container;
	container.groups.delete(group.pid);
	container.pids.groups.delete(group.pid);
	container.ownMounts.left(group.fs);
	if (group.isSpawned) {
		const status = native.reap(group.pid);
		if (group === container.init) initEnded(container, status);
		group.onEnd?.(status);
	} else {
		tellParent(kernel, group);
	}
	if (container.groups.size === 0) container.onEmpty?.();
}

/** The container has ended. The host ends the rest of a PID namespace; one that others live in goes on, without this container's processes. */
function initEnded(container: Container, status: number): void {
	container.exitStatus = status;
	if (container.hasOwnPids) return;
	for (const group of container.groups.values()) native.sendSignal(group.pid, -1, SIGKILL);
}

function tellParent(kernel: Kernel, group: ThreadGroup): void {
	// The host has sent SIGCHLD to the parent; a blocked call of the parent's has to hear of it (facts/traps.md 3).
	const parent = kernel.groups.get(group.parentPid) ?? group.container.pids.init;
	if (parent !== null && !parent.isDead) kernel.signals.hostSent(parent, SIGCHLD, () => childInfo(group));
}

/** Fields of the host's stat, proc_pid_stat(5). */
const STAT_UTIME = 14;
const STAT_STIME = 15;
const STAT_EXIT_CODE = 52;
const CLD_EXITED = 1;
const CLD_KILLED = 2;
const CLD_DUMPED = 3;

/** What SIGCHLD says of a child that has ended. */
function childInfo(group: ThreadGroup): SignalInfo {
	const text = readHostProc(`${group.pid}/stat`);
	const stat = new HostStat(text);
	// Its parent may have waited for it already.
	const status = text === '' ? Math.max(0, native.endStatus(group.pidfd)) : stat.number(STAT_EXIT_CODE);
	const signal = status & 0x7f;
	return {
		signal: SIGCHLD,
		code: signal === 0 ? CLD_EXITED : (status & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED,
		pid: group.insideId,
		uid: group.credentials.uid,
		status: signal === 0 ? (status >> 8) & 0xff : signal,
		userTicks: stat.number(STAT_UTIME),
		systemTicks: stat.number(STAT_STIME),
		timerId: 0,
		overrun: 0,
		valueLow: 0,
		valueHigh: 0,
	};
}
