import { CAP_SYS_RESOURCE } from '../abi/capability-numbers.js';
import { EACCES, EAGAIN, EIDRM, EINVAL, ENOMEM, ENOMSG, EPERM } from '../abi/errno.js';
import {
	IPC_64,
	IPC_INFO,
	IPC_NOWAIT,
	IPC_RMID,
	IPC_SET,
	IPC_STAT,
	MSG_COPY,
	MSG_EXCEPT,
	MSG_INFO,
	MSG_STAT,
	MSG_STAT_ANY,
} from '../abi/sysv.js';
import { bounds } from '../bounds.js';
import type { IpcNamespace } from '../ipc/sysv/ipc-namespace.js';
import { type Message, MessageQueue, MSGMAX, MSGMNB } from '../ipc/sysv/message-queue.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

const READ = 0o444;
const WRITE = 0o222;
/** struct msgbuf begins with a long. */
const TYPE_BYTES = 8;
const MSQID_BYTES = 120;
const MSQID_QBYTES = 88;
const MSGINFO_BYTES = 32;

/** A msgsnd(2) that waits for room, or a msgrcv(2) that waits for a message. */
class QueueWait {
	constructor(
		readonly queue: MessageQueue,
		readonly message: Message | null,
	) {}
}

/** msgget(2). */
export function sysMsgget(task: Task, trap: Trap): number {
	const { credentials } = task;
	return task.group.container.ipc.queues.get(
		trap.int(0),
		trap.int(1),
		credentials,
		() => 0,
		() => new MessageQueue(trap.int(0), trap.int(1), credentials),
	);
}

/** msgsnd(2). */
export function sysMsgsnd(task: Task, trap: Trap): number {
	const waiting = trap.state;
	if (waiting instanceof QueueWait) return waiting.queue.isRemoved ? -EIDRM : send(task, trap, waiting);
	const length = trap.size(2);
	if (trap.int(0) < 0 || length > MSGMAX) return -EINVAL;
	const error = copyIn(task.tid, trap.size(1), TYPE_BYTES + length);
	if (error < 0) return error;
	const type = scratchView.getInt32(4, true) * 0x1_0000_0000 + scratchView.getUint32(0, true);
	if (type < 1) return -EINVAL;
	const queue = task.group.container.ipc.queues.find(trap.int(0));
	if (typeof queue === 'number') return queue;
	if (!queue.allows(task.credentials, WRITE)) return -EACCES;
	return send(task, trap, new QueueWait(queue, { type, bytes: Uint8Array.from(scratch.subarray(TYPE_BYTES, TYPE_BYTES + length)) }));
}

function send(task: Task, trap: Trap, wait: QueueWait): number {
	const { queue } = wait;
	const message = wait.message!;
	const { ipc } = task.group.container;
	const { length } = message.bytes;
	if (!queue.hasRoom(length)) {
		if ((trap.int(3) & IPC_NOWAIT) !== 0) return -EAGAIN;
		trap.state = wait;
		return task.blockOn(queue.senders);
	}
	if (ipc.messageBytes + length + MESSAGE_OVERHEAD > bounds.messageBytes) return -ENOMEM;
	ipc.messageBytes += length + MESSAGE_OVERHEAD;
	queue.send(message, task.group.insideId);
	return 0;
}

/** What a message costs beside its bytes. */
const MESSAGE_OVERHEAD = 64;

/** msgrcv(2). */
export function sysMsgrcv(task: Task, trap: Trap): number {
	const length = trap.size(2);
	const flags = trap.int(4);
	const { ipc } = task.group.container;
	let queue: MessageQueue | number;
	if (trap.state instanceof QueueWait) {
		queue = trap.state.queue;
		if (queue.isRemoved) return -EIDRM;
	} else {
		if (trap.int(0) < 0 || trap.long(2) < 0) return -EINVAL;
		if ((flags & MSG_COPY) !== 0 && ((flags & MSG_EXCEPT) !== 0 || (flags & IPC_NOWAIT) === 0)) return -EINVAL;
		queue = ipc.queues.find(trap.int(0));
		if (typeof queue === 'number') return queue;
		if (!queue.allows(task.credentials, READ)) return -EACCES;
	}
	const at = queue.choose(trap.long(3), flags, length);
	if (at === -ENOMSG && (flags & IPC_NOWAIT) === 0) {
		trap.state ??= new QueueWait(queue, null);
		return task.blockOn(queue.receivers);
	}
	if (at < 0) return at;
	const { type, bytes } = queue.peek(at);
	const copied = Math.min(length, bytes.length);
	scratchView.setUint32(0, type % 0x1_0000_0000, true);
	scratchView.setUint32(4, Math.floor(type / 0x1_0000_0000), true);
	scratch.set(bytes.subarray(0, copied), TYPE_BYTES);
	const error = copyOut(task.tid, trap.size(1), TYPE_BYTES + copied);
	if (error < 0) return error;
	if ((flags & MSG_COPY) === 0) {
		ipc.messageBytes -= bytes.length + MESSAGE_OVERHEAD;
		queue.take(at, task.group.insideId);
	}
	return copied;
}

/** msgctl(2). */
export function sysMsgctl(task: Task, trap: Trap): number {
	const id = trap.int(0);
	const command = trap.int(1) & ~IPC_64;
	if (id < 0) return -EINVAL;
	const { ipc } = task.group.container;
	const { credentials } = task;
	switch (command) {
		case IPC_INFO:
		case MSG_INFO:
			return info(task, ipc, trap.size(2), command === MSG_INFO);
		case IPC_STAT:
		case MSG_STAT:
		case MSG_STAT_ANY: {
			const queue = command === IPC_STAT ? ipc.queues.find(id) : ipc.queues.at(id);
			if (typeof queue === 'number') return queue;
			if (command !== MSG_STAT_ANY && !queue.allows(credentials, READ)) return -EACCES;
			const error = copyOut(task.tid, trap.size(2), queue.encode());
			return error < 0 ? error : command === IPC_STAT ? 0 : queue.id;
		}
		case IPC_SET: {
			const error = copyIn(task.tid, trap.size(2), MSQID_BYTES);
			if (error < 0) return error;
			const queue = ipc.queues.find(id);
			if (typeof queue === 'number') return queue;
			if (!queue.isOwnedBy(credentials)) return -EPERM;
			const maxBytes = scratchView.getUint32(MSQID_QBYTES + 4, true) * 0x1_0000_0000 + scratchView.getUint32(MSQID_QBYTES, true);
			if (maxBytes > MSGMNB && !hasCapability(credentials, CAP_SYS_RESOURCE)) return -EPERM;
			queue.maxBytes = maxBytes;
			queue.set();
			queue.receivers.wake();
			queue.senders.wake();
			return 0;
		}
		case IPC_RMID: {
			const queue = ipc.queues.find(id);
			if (typeof queue === 'number') return queue;
			if (!queue.isOwnedBy(credentials)) return -EPERM;
			ipc.queues.remove(queue);
			ipc.messageBytes -= queue.bytes + queue.count * MESSAGE_OVERHEAD;
			queue.receivers.wake();
			queue.senders.wake();
			return 0;
		}
		default:
			return -EINVAL;
	}
}

/** struct msginfo. */
function info(task: Task, ipc: IpcNamespace, address: number, isUse: boolean): number {
	const pool = (bounds.messageQueues * MSGMNB) / 1024;
	let messages = 0;
	let bytes = 0;
	for (const queue of ipc.queues.all()) {
		messages += queue.count;
		bytes += queue.bytes;
	}
	const fields = [
		isUse ? ipc.queues.size : pool,
		isUse ? messages : MSGMNB,
		MSGMAX,
		MSGMNB,
		bounds.messageQueues,
		16,
		isUse ? bytes : MSGMNB,
	];
	scratch.fill(0, 0, MSGINFO_BYTES);
	for (const [at, field] of fields.entries()) scratchView.setInt32(at * 4, field, true);
	scratchView.setUint16(fields.length * 4, 0xffff, true);
	const error = copyOut(task.tid, address, MSGINFO_BYTES);
	return error < 0 ? error : Math.max(0, ipc.queues.highest);
}
