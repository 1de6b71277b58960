import { EAGAIN, EFAULT, EINVAL, EMSGSIZE, ENODEV, ETIMEDOUT } from '../../abi/errno.js';
import { SEEK_SET } from '../../abi/fcntl.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../abi/poll-constants.js';
import type { Task } from '../../task/task.js';
import type { IoVector } from '../../trap/guest-memory.js';
import { AT_OFFSET, FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { PosixQueue, PriorityMessage } from './message-queue.js';

/** An open POSIX queue: what mq_open(3) gives. */
export class QueueDescription extends FileDescription {
	constructor(
		path: Path,
		override readonly inode: PosixQueue,
		flags: number,
	) {
		super(path, inode, flags, inode.pollers);
		inode.opened();
	}

	protected override close(): void {
		this.inode.closed();
	}

	/** A process that closes any description of it isn't told any more. */
	override flush(task: Task): void {
		super.flush(task);
		if (this.inode.notification?.group === task.group) this.inode.notification = null;
	}

	/** mq_send(3). Errors: EMSGSIZE, EAGAIN, ETIMEDOUT (`hasTimedOut` where it would block). */
	send(task: Task, message: PriorityMessage, hasTimedOut: boolean): number {
		const queue = this.inode;
		if (queue.messages.length >= queue.maxMessages) {
			if (this.isNonBlocking) return -EAGAIN;
			return hasTimedOut ? -ETIMEDOUT : task.blockOn(queue.senders);
		}
		const isFirst = queue.messages.length === 0 && queue.receivers.isEmpty;
		queue.insert(message);
		queue.receivers.wake();
		queue.pollers.wake(POLLIN | POLLRDNORM);
		const { notification } = queue;
		if (isFirst && notification !== null) {
			queue.notification = null;
			const { group, signal, isSilent } = notification;
			if (!isSilent && signal > 0 && !group.isDead) task.kernel.signals.sendToGroup(group, signal);
		}
		return 0;
	}

	/** mq_receive(3): the message, or -EMSGSIZE (`length` is too short for some), -EAGAIN, -ETIMEDOUT, BLOCKED. */
	receive(task: Task, length: number, hasTimedOut: boolean): PriorityMessage | number {
		const queue = this.inode;
		if (length < queue.messageBytes) return -EMSGSIZE;
		if (queue.messages.length === 0) {
			if (this.isNonBlocking) return -EAGAIN;
			return hasTimedOut ? -ETIMEDOUT : task.blockOn(queue.receivers);
		}
		const message = queue.shift();
		queue.senders.wake();
		queue.pollers.wake(POLLOUT | POLLWRNORM);
		return message;
	}

	override get isPollable(): boolean {
		return true;
	}
	override poll(): number {
		const { messages, maxMessages } = this.inode;
		return (messages.length > 0 ? POLLIN | POLLRDNORM : 0) | (messages.length < maxMessages ? POLLOUT | POLLWRNORM : 0);
	}

	/** What is in it, as text. */
	override read(_task: Task, vector: IoVector, position: number): number {
		const { bytes, notification } = this.inode;
		const pid = notification?.group.insideId ?? 0;
		const kind = notification?.isSilent ? 1 : 0;
		const pad = (value: number, width: number): string => String(value).padEnd(width);
		const text = Buffer.from(
			`QSIZE:${pad(bytes, 10)} NOTIFY:${pad(kind, 5)} SIGNO:${pad(notification?.isSilent === false ? notification.signal : 0, 5)} NOTIFY_PID:${pad(pid, 6)}\n`,
		);
		const start = position === AT_OFFSET ? this.offset : position;
		if (start >= text.length) return 0;
		const copied = vector.copyOut(text, start, Math.min(text.length - start, vector.remaining));
		if (copied < 0) return -EFAULT;
		if (position === AT_OFFSET) this.offset = start + copied;
		return copied;
	}

	override get isSeekable(): boolean {
		return true;
	}
	override seek(offset: number, whence: number): number {
		if (whence !== SEEK_SET || offset < 0) return -EINVAL;
		this.offset = offset;
		return offset;
	}
	override openForMapping(): number {
		return -ENODEV;
	}
}
