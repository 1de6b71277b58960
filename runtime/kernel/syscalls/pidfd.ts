import { EBADF, EINVAL, EPERM, ESRCH } from '../abi/errno.js';
import { O_EXCL, O_NONBLOCK, O_PATH } from '../abi/fcntl.js';
import { SIGRTMAX } from '../abi/signal-numbers.js';
import { ProcessDirectory } from '../fs/proc/pid/process-directory.js';
import { ANSWERED, CONTINUE } from '../task/blocked.js';
import { PidFd } from '../task/pidfd.js';
import { SIGINFO_BYTES, SIGINFO_CODE, SIGINFO_SIGNO } from '../task/signal-origin.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { mayAttach } from '../task/trace-access.js';
import { copyIn, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { LENT_CURRENT } from '../vfs/descriptor-table.js';
import { install } from './install.js';
import { lend } from './memory.js';
import { checkKill, killGroup, sendToThreadOf } from './signal.js';

/** pidfd_open(2) flags are open(2)'s. */
const PIDFD_NONBLOCK = O_NONBLOCK;
const PIDFD_THREAD = O_EXCL;

const PIDFD_SIGNAL_THREAD = 1;
const PIDFD_SIGNAL_THREAD_GROUP = 2;
const PIDFD_SIGNAL_PROCESS_GROUP = 4;

const SI_TKILL = -6;

/** pidfd_open(2). A pidfd is always close-on-exec. */
export function sysPidfdOpen(task: Task, trap: Trap): number {
	const id = trap.int(0);
	const flags = trap.uint(1);
	if ((flags & ~(PIDFD_NONBLOCK | PIDFD_THREAD)) !== 0 || id <= 0) return -EINVAL;
	const { container } = task.group;
	const outside = container.outsideId(id, true);
	if (outside === 0) return -ESRCH;
	const pidfd = PidFd.open(task.kernel, container, outside, (flags & PIDFD_THREAD) !== 0, flags & (PIDFD_NONBLOCK | PIDFD_THREAD));
	return typeof pidfd === 'number' ? pidfd : install(task, pidfd, true);
}

/** pidfd_send_signal(2). As with rt_sigqueueinfo(2), the info is checked and doesn't arrive. */
export function sysPidfdSendSignal(task: Task, trap: Trap): number {
	const signal = trap.int(1);
	const flags = trap.uint(3);
	const kinds = PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP | PIDFD_SIGNAL_PROCESS_GROUP;
	if ((flags & ~kinds) !== 0 || (flags & (flags - 1)) !== 0) return -EINVAL;
	const pidfd = signalTargetOf(task, trap.int(0));
	if (typeof pidfd === 'number') return pidfd;
	if (trap.size(2) !== 0) {
		const error = checkInfo(task, trap.size(2), signal, pidfd.group);
		if (error < 0) return error;
	}
	if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
	const { group } = pidfd;
	// A process that has ended takes any signal until it is waited for.
	if (group === null) return pidfd.isGone ? -ESRCH : 0;
	if ((flags & PIDFD_SIGNAL_PROCESS_GROUP) !== 0) return killGroup(task, group.pid, signal);
	const denied = checkKill(task, group, signal);
	if (denied < 0 || signal === 0) return denied;
	if (pidfd.isThread ? (flags & PIDFD_SIGNAL_THREAD_GROUP) === 0 : (flags & PIDFD_SIGNAL_THREAD) !== 0) {
		return sendToThreadOf(task, group, pidfd.isThread ? pidfd.threadId : group.pid, signal);
	}
	return group.isImmuneTo(signal) ? 0 : task.kernel.signals.sendToGroup(group, signal, task);
}

/** Whom pidfd_send_signal(2) sends to. */
type SignalTarget = Pick<PidFd, 'group' | 'isGone' | 'isThread' | 'threadId'>;

/** A pidfd, or an open /proc/PID in its place. */
function signalTargetOf(task: Task, fd: number): SignalTarget | number {
	const description = task.file(fd);
	const inode = description?.inode;
	if (!(inode instanceof ProcessDirectory) || inode.target.isThread || (description!.flags & O_PATH) !== 0) return pidfdOf(task, fd);
	const { group, isGone, tid } = inode.target;
	return { group: isGone ? null : group, isGone, isThread: false, threadId: tid };
}

function checkInfo(task: Task, address: number, signal: number, group: ThreadGroup | null): number {
	const error = copyIn(task.tid, address, SIGINFO_BYTES);
	if (error < 0) return error;
	if (scratchView.getInt32(SIGINFO_SIGNO, true) !== signal) return -EINVAL;
	const code = scratchView.getInt32(SIGINFO_CODE, true);
	return group !== task.group && (code >= 0 || code === SI_TKILL) ? -EPERM : 0;
}

/** pidfd_getfd(2): for who could trace the process (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS). */
export function sysPidfdGetfd(task: Task, trap: Trap): number {
	if (trap.uint(2) !== 0) return -EINVAL;
	const pidfd = pidfdOf(task, trap.int(0));
	if (typeof pidfd === 'number') return pidfd;
	const { group } = pidfd;
	if (group === null) return -ESRCH;
	if (!mayAttach(task, group)) return -EPERM;
	const description = group.files.get(trap.int(1));
	return description === null ? -EBADF : install(task, description.acquire(), true);
}

/**
 * waitid(2) with P_PIDFD; the others are native. The host's own pidfd is lent at the guest's number: waiting is all that a guest can do with it natively, as
 * every other call that takes one traps, and it waits for nobody but the caller's children.
 */
export function sysWaitid(task: Task, trap: Trap): number {
	const fd = trap.int(1);
	if (fd < 0) return -EINVAL;
	const pidfd = pidfdOf(task, fd);
	if (typeof pidfd === 'number') return pidfd;
	if (task.files.lentState(fd) === LENT_CURRENT) return CONTINUE;
	const source = pidfd.openForWaiting();
	if (source < 0) return source;
	lend(task, trap, source, fd);
	return ANSWERED;
}

function pidfdOf(task: Task, fd: number): PidFd | number {
	const description = task.file(fd);
	return description instanceof PidFd && (description.flags & O_PATH) === 0 ? description : -EBADF;
}
