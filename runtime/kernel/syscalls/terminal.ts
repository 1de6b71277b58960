import { CAP_SYS_TTY_CONFIG } from '../abi/capability-numbers.js';
import { EPERM } from '../abi/errno.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';

/** vhangup(2): the caller's controlling terminal, if it has one. Errors: EPERM. */
export function sysVhangup(task: Task): number {
	if (!hasCapability(task.credentials, CAP_SYS_TTY_CONFIG)) return -EPERM;
	task.kernel.terminals.of(task)?.hangUp();
	return 0;
}
