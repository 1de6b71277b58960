import { native } from '../../native.js';
import { SIGCHLD } from '../abi/signal-numbers.js';
import type { Kernel } from '../kernel.js';
import { removeTask } from './identify.js';
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
	if (leader !== undefined) group.files.release(leader);
	kernel.groups.delete(group.pid);
	const container = group.container;
	container.groups.delete(group.pid);
	if (group.isInit || group.isSpawned) {
		const status = native.reap(group.pid);
		if (group.isInit) container.initEnded(status);
		group.onEnd?.(status);
		return;
	}
	// The host has sent SIGCHLD to the parent; a blocked call of the parent's has to hear of it (facts/traps.md 3).
	const parent = kernel.groups.get(group.parentPid) ?? container.init;
	if (parent !== null && !parent.isDead) kernel.signals.hostSent(parent, SIGCHLD);
}
