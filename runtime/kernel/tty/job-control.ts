import { native } from '../../native.js';
import { EIO, ERESTARTSYS } from '../abi/errno.js';
import { SIGTTIN } from '../abi/signal-numbers.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import type { Terminal } from './terminal.js';

const STAT_BYTES = 1024;
const statBuffer = Buffer.alloc(STAT_BYTES);

/**
 * May a process use its controlling terminal (Linux: __tty_check_change)? One in the background gets `signal`, SIGTTIN or SIGTTOU, with its whole group,
 * and its call is issued again: -ERESTARTSYS. Errors: EIO (it ignores SIGTTIN; nobody is there to continue its group). 0: it may.
 */
export function checkForeground(task: Task, terminal: Terminal, signal: number): number {
	const { kernel, group } = task;
	if (terminal.processGroup === 0 || kernel.terminals.of(task) !== terminal) return 0;
	const processGroup = native.getpgid(group.pid);
	if (processGroup === terminal.processGroup) return 0;
	if (kernel.signals.isRefused(task, signal)) return signal === SIGTTIN ? -EIO : 0;
	if (isOrphaned(task, processGroup)) return -EIO;
	kernel.signals.sendToProcessGroup(processGroup, signal, task);
	return -ERESTARTSYS;
}

/** Has no process of the group a parent in another group of the session, who could continue it (Linux: is_current_pgrp_orphaned)? */
function isOrphaned(task: Task, processGroup: number): boolean {
	for (const group of task.group.container.pids.groups.values()) {
		if (native.getpgid(group.pid) !== processGroup) continue;
		const parent = parentOf(group);
		if (parent > 0 && native.getpgid(parent) !== processGroup && native.getsid(parent) === native.getsid(group.pid)) return false;
	}
	return true;
}

/** The host knows who the parent is now. */
function parentOf(group: ThreadGroup): number {
	const length = native.readProcFile(`${group.pid}/stat`, statBuffer);
	if (length <= 0) return 0;
	const text = statBuffer.latin1Slice(0, length);
	return Number(text.slice(text.lastIndexOf(')') + 2).split(' ', 2)[1]);
}
