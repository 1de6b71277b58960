import { native } from '../../native.js';
import { CAP_SYS_NICE } from '../abi/capability-numbers.js';
import { EPERM } from '../abi/errno.js';
import { CONTINUE } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import type { Trap } from '../trap/trap.js';

/** setpriority(2): whom the second argument names. */
const PRIO_PROCESS = 0;
const PRIO_PGRP = 1;
const PRIO_USER = 2;
/** ioprio_set(2) counts them from 1. */
const IOPRIO_WHO_PROCESS = 1;

/**
 * sched_setaffinity(2), sched_setscheduler(2), sched_setparam(2), sched_setattr(2): the host does it, and can name nobody outside of the container. To it
 * all guests of the container are one user, so who may change whom is checked here. Errors: EPERM.
 */
export function sysSchedSet(task: Task, trap: Trap): number {
	return mayChangeThread(task, trap.int(0)) ? CONTINUE : -EPERM;
}

/** setpriority(2). Errors: EPERM. */
export function sysSetpriority(task: Task, trap: Trap): number {
	return mayChange(task, trap.int(0), trap.int(1)) ? CONTINUE : -EPERM;
}

/** ioprio_set(2). Errors: EPERM. */
export function sysIoprioSet(task: Task, trap: Trap): number {
	return mayChange(task, trap.int(0) - IOPRIO_WHO_PROCESS, trap.int(1)) ? CONTINUE : -EPERM;
}

/** Of a process group and of a user the host changes all or, if one of them is another user's, none is changed. */
function mayChange(task: Task, which: number, who: number): boolean {
	if (which === PRIO_PROCESS) return mayChangeThread(task, who);
	// By number the host knows no guest's user.
	if (which !== PRIO_PGRP && (which !== PRIO_USER || who !== 0)) return true;
	if (hasCapability(task.credentials, CAP_SYS_NICE)) return true;
	const { container } = task.group;
	if (task.kernel.forks.hasOver) task.kernel.forks.settle();
	const processGroup = who === 0 ? native.getpgid(task.group.pid) : container.outsideId(who);
	for (const group of container.pids.groups.values()) {
		if (which === PRIO_PGRP && native.getpgid(group.pid) !== processGroup) continue;
		if (!isOwn(task, group)) return false;
	}
	return true;
}

function mayChangeThread(task: Task, id: number): boolean {
	if (id <= 0 || hasCapability(task.credentials, CAP_SYS_NICE)) return true;
	if (task.kernel.forks.hasOver) task.kernel.forks.settle();
	const { container } = task.group;
	const outside = container.outsideId(id, true);
	if (outside === 0) return true;
	const group = task.kernel.tasks.get(outside)?.group ?? container.pids.groups.get(outside);
	return group !== undefined ? isOwn(task, group) : task.group.hasThread(outside);
}

function isOwn(task: Task, group: ThreadGroup): boolean {
	const { euid } = task.credentials;
	return group === task.group || euid === group.credentials.uid || euid === group.credentials.euid;
}
