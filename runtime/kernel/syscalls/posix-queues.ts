import { native } from '../../native.js';
import { CAP_SYS_RESOURCE } from '../abi/capability-numbers.js';
import { EACCES, EBADF, EBUSY, EEXIST, EINVAL, EMSGSIZE, ENAMETOOLONG, ENOENT, ENOSYS } from '../abi/errno.js';
import { O_ACCMODE, O_CREAT, O_EXCL, O_NONBLOCK, O_PATH, O_RDONLY, O_WRONLY } from '../abi/fcntl.js';
import { NAME_MAX } from '../abi/limits.js';
import { RLIMIT_MSGQUEUE } from '../abi/resource.js';
import { SIGRTMAX } from '../abi/signal-numbers.js';
import { CLOCK_REALTIME, decodeTimespec, nsUntil, TIMESPEC_BYTES, type Timespec } from '../event/clocks.js';
import type { PosixQueue, PriorityMessage } from '../fs/mqueue/message-queue.js';
import { MSG_DEFAULT, MSGSIZE_DEFAULT } from '../fs/mqueue/mqueue-file-system.js';
import { QueueDescription } from '../fs/mqueue/queue-description.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyInPath, copyOut, copyOutBytes, copyOutInt, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { anonymousMount } from '../vfs/anonymous-path.js';
import { Dentry } from '../vfs/dentry.js';
import { Path } from '../vfs/path.js';
import { checkPermission, checkRemove, MAY_EXEC, MAY_READ, MAY_WRITE } from '../vfs/permission.js';
import { install } from './install.js';

/** struct mq_attr: flags, maxmsg, msgsize, curmsgs, four reserved. */
const ATTR_BYTES = 64;
const MQ_PRIO_MAX = 32768;
/** What a privileged process may ask for (HARD_MSGMAX, HARD_MSGSIZEMAX). */
const HARD_MSGMAX = 65536;
const HARD_MSGSIZEMAX = 16 << 20;
const SIGEVENT_BYTES = 64;
const SIGEV_SIGNAL = 0;
const SIGEV_NONE = 1;

const timeout: Timespec = { seconds: 0, nanoseconds: 0 };

/** A name without its slash, which the C library takes away. Errors: EFAULT, ENOENT, EACCES, ENAMETOOLONG. */
function queueName(task: Task, address: number): string | number {
	const name = copyInPath(task.tid, address);
	if (typeof name === 'number') return name;
	if (name === '') return -ENOENT;
	if (name.includes('/') || name === '.' || name === '..') return -EACCES;
	return name.length > NAME_MAX ? -ENAMETOOLONG : name;
}

function get64(at: number): number {
	return scratchView.getInt32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
}

/** mq_open(2). The descriptor is always close-on-exec. */
export function sysMqOpen(task: Task, trap: Trap): number {
	const flags = trap.int(1);
	let maxMessages = MSG_DEFAULT;
	let messageBytes = MSGSIZE_DEFAULT;
	const hasAttributes = trap.size(3) !== 0;
	if (hasAttributes) {
		const error = copyIn(task.tid, trap.size(3), ATTR_BYTES);
		if (error < 0) return error;
		maxMessages = get64(8);
		messageBytes = get64(16);
	}
	const name = queueName(task, trap.size(0));
	if (typeof name === 'number') return name;
	const { root } = task.group.container.ipc.posixQueues;
	let queue: PosixQueue | number = root.lookup(name);
	if (typeof queue === 'number') {
		if ((flags & O_CREAT) === 0) return -ENOENT;
		if (hasAttributes) {
			const isPrivileged = hasCapability(task.credentials, CAP_SYS_RESOURCE);
			if (maxMessages <= 0 || messageBytes <= 0) return -EINVAL;
			if (maxMessages > (isPrivileged ? HARD_MSGMAX : MSG_DEFAULT)) return -EINVAL;
			if (messageBytes > (isPrivileged ? HARD_MSGSIZEMAX : MSGSIZE_DEFAULT)) return -EINVAL;
		}
		const { fsuid, fsgid } = task.credentials;
		const limit = task.group.limits.soft[RLIMIT_MSGQUEUE]!;
		queue = root.make(name, trap.uint(2) & 0o7777 & ~task.fs.umask, fsuid, fsgid, maxMessages, messageBytes, limit);
		if (typeof queue === 'number') return queue;
	} else {
		if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
		const access = flags & O_ACCMODE;
		if (access === O_ACCMODE) return -EINVAL;
		const wanted = access === O_RDONLY ? MAY_READ : access === O_WRONLY ? MAY_WRITE : MAY_READ | MAY_WRITE;
		const denied = checkPermission(queue, wanted, task.credentials);
		if (denied < 0) return denied;
	}
	const path = new Path(anonymousMount(root), new Dentry(`/${name}`, null, queue));
	return install(task, new QueueDescription(path, queue, flags & (O_ACCMODE | O_NONBLOCK)), true);
}

/** mq_unlink(2). */
export function sysMqUnlink(task: Task, trap: Trap): number {
	const name = queueName(task, trap.size(0));
	if (typeof name === 'number') return name;
	const { root } = task.group.container.ipc.posixQueues;
	const queue = root.lookup(name);
	if (typeof queue === 'number') return queue;
	const denied = checkPermission(root, MAY_WRITE | MAY_EXEC, task.credentials) || checkRemove(root, queue, task.credentials);
	return denied < 0 ? denied : root.unlink(name, queue);
}

function queueOf(task: Task, fd: number): QueueDescription | number {
	const description = task.file(fd);
	return description instanceof QueueDescription && (description.flags & O_PATH) === 0 ? description : -EBADF;
}

/** Takes the absolute timeout of the call's first run: 0, or -errno. Afterwards `isOver` tells. */
function takeTimeout(task: Task, trap: Trap, address: number): number {
	if (!trap.isFirstRun || address === 0) return 0;
	const error = copyIn(task.tid, address, TIMESPEC_BYTES);
	if (error < 0) return error;
	if (!decodeTimespec(0, timeout)) return -EINVAL;
	task.setDeadline(Math.max(0, native.monotonicNs() + nsUntil(CLOCK_REALTIME, timeout)));
	return 0;
}

function isOver(trap: Trap): boolean {
	return trap.hasTimedOut || (trap.deadlineNs >= 0 && trap.deadlineNs <= native.monotonicNs());
}

/** mq_timedsend(2). */
export function sysMqTimedsend(task: Task, trap: Trap): number {
	const error = takeTimeout(task, trap, trap.size(4));
	if (error < 0) return error;
	const priority = trap.uint(3);
	if (priority >= MQ_PRIO_MAX) return -EINVAL;
	const description = queueOf(task, trap.int(0));
	if (typeof description === 'number') return description;
	if (!description.isWritable) return -EBADF;
	const length = trap.size(2);
	if (length > description.inode.messageBytes) return -EMSGSIZE;
	const bytes = new Uint8Array(length);
	const fault = copyInBytes(task.tid, trap.size(1), bytes, 0, length);
	return fault < 0 ? fault : description.send(task, { priority, bytes }, isOver(trap));
}

/** mq_timedreceive(2). */
export function sysMqTimedreceive(task: Task, trap: Trap): number {
	const error = takeTimeout(task, trap, trap.size(4));
	if (error < 0) return error;
	const description = queueOf(task, trap.int(0));
	if (typeof description === 'number') return description;
	if (!description.isReadable) return -EBADF;
	const message: PriorityMessage | number = description.receive(task, trap.size(2), isOver(trap));
	if (typeof message === 'number') return message;
	const fault =
		(trap.size(3) === 0 ? 0 : copyOutInt(task.tid, trap.size(3), message.priority)) || copyOutBytes(task.tid, trap.size(1), message.bytes);
	return fault < 0 ? fault : message.bytes.length;
}

/** mq_notify(2), by signal. SIGEV_THREAD, for which C libraries bring a netlink socket, is ENOSYS. */
export function sysMqNotify(task: Task, trap: Trap): number {
	const address = trap.size(1);
	let signal = 0;
	let kind = SIGEV_NONE;
	if (address !== 0) {
		const error = copyIn(task.tid, address, SIGEVENT_BYTES);
		if (error < 0) return error;
		signal = scratchView.getInt32(8, true);
		kind = scratchView.getInt32(12, true);
		if (kind < SIGEV_SIGNAL || kind > 2) return -EINVAL;
		if (kind === SIGEV_SIGNAL && (signal < 0 || signal > SIGRTMAX)) return -EINVAL;
		if (kind > SIGEV_NONE) return -ENOSYS;
	}
	const description = queueOf(task, trap.int(0));
	if (typeof description === 'number') return description;
	const queue = description.inode;
	if (address === 0) {
		if (queue.notification?.group === task.group) queue.notification = null;
		return 0;
	}
	if (queue.notification !== null) return -EBUSY;
	queue.notification = { group: task.group, signal, isSilent: kind === SIGEV_NONE };
	return 0;
}

/** mq_getsetattr(2): O_NONBLOCK alone can be changed. */
export function sysMqGetsetattr(task: Task, trap: Trap): number {
	let flags = 0;
	if (trap.size(1) !== 0) {
		const error = copyIn(task.tid, trap.size(1), ATTR_BYTES);
		if (error < 0) return error;
		flags = get64(0);
		if (flags !== 0 && flags !== O_NONBLOCK) return -EINVAL;
	}
	const description = queueOf(task, trap.int(0));
	if (typeof description === 'number') return description;
	const { maxMessages, messageBytes, messages } = description.inode;
	scratch.fill(0, 0, ATTR_BYTES);
	for (const [at, value] of [description.flags & O_NONBLOCK, maxMessages, messageBytes, messages.length].entries())
		scratchView.setUint32(at * 8, value, true);
	if (trap.size(1) !== 0) description.flags = (description.flags & ~O_NONBLOCK) | flags;
	return trap.size(2) === 0 ? 0 : copyOut(task.tid, trap.size(2), ATTR_BYTES);
}
