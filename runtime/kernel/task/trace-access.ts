import { native } from '../../native.js';
import { CAP_SYS_PTRACE } from '../abi/capability-numbers.js';
import { EPERM, ESRCH } from '../abi/errno.js';
import { hasCapability } from './credentials.js';
import { threadGroupOf } from './identify.js';
import type { Task } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** May `task` look into the process and change it (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS)? */
export function mayAttach(task: Task, group: ThreadGroup): boolean {
	if (group === task.group) return true;
	const own = task.credentials;
	if (hasCapability(own, CAP_SYS_PTRACE)) return true;
	const its = group.credentials;
	const isSameUser = own.uid === its.euid && own.uid === its.suid && own.uid === its.uid;
	const isSameGroup = own.gid === its.egid && own.gid === its.sgid && own.gid === its.gid;
	return isSameUser && isSameGroup && group.isDumpable && its.permitted.isSubsetOf(own.permitted);
}

/** The process in the caller's container that has the thread `id` (as the container sees it), if the caller may look into it. Errors: ESRCH, EPERM. */
export function traceable(task: Task, id: number): ThreadGroup | number {
	const { container } = task.group;
	// A child that has not trapped yet is known to its parent, and to nobody here.
	if (task.kernel.forks.hasOver) task.kernel.forks.settle();
	const outside = container.outsideId(id, true);
	if (outside === 0) return -ESRCH;
	const group = task.kernel.tasks.get(outside)?.group ?? container.groups.get(outside) ?? container.groups.get(threadGroupOf(outside));
	if (group === undefined || group.container !== container) return -ESRCH;
	return mayAttach(task, group) ? group : -EPERM;
}

/**
 * Has the process not been waited for yet? Then its number was its own all the time since it was known: what was done by number just before was done to it,
 * and to no other process that has taken the number over.
 */
export function isStill(group: ThreadGroup): boolean {
	return !group.isDead && native.pidfdSendSignal(group.pidfd, 0) === 0;
}
