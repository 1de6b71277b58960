import { E2BIG, ENOMSG } from '../../abi/errno.js';
import { MSG_COPY, MSG_EXCEPT, MSG_NOERROR } from '../../abi/sysv.js';
import { realSeconds } from '../../event/clocks.js';
import { WaitQueue } from '../../event/wait-queue.js';
import type { Credentials } from '../../task/credentials.js';
import { scratchView } from '../../trap/guest-memory.js';
import { IPC_PERM_BYTES, IpcObject, put64 } from './ipc-object.js';

/** /proc/sys/kernel/msgmax and msgmnb: bytes of a message, and of a new queue. */
export const MSGMAX = 8192;
export const MSGMNB = 16384;
const MSQID_BYTES = 120;

/** A message of msgsnd(2). */
export interface Message {
	readonly type: number;
	readonly bytes: Uint8Array;
}

/** A message queue, msgget(2). */
export class MessageQueue extends IpcObject {
	private readonly messages: Message[] = [];
	/** Bytes in the queue, and how many there may be. */
	bytes = 0;
	maxBytes = MSGMNB;
	stimeSec = 0;
	rtimeSec = 0;
	/** Who sent and received last. */
	sendPid = 0;
	receivePid = 0;
	readonly senders = new WaitQueue();
	readonly receivers = new WaitQueue();

	constructor(key: number, flags: number, credentials: Credentials) {
		super(key, flags, credentials);
	}

	get count(): number {
		return this.messages.length;
	}

	/** Is there room for one of `length` bytes? */
	hasRoom(length: number): boolean {
		return this.bytes + length <= this.maxBytes && this.messages.length + 1 <= this.maxBytes;
	}

	send(message: Message, pid: number): void {
		this.messages.push(message);
		this.bytes += message.bytes.length;
		this.sendPid = pid;
		this.stimeSec = realSeconds();
		this.receivers.wake();
	}

	/**
	 * The place of the message that msgrcv(2) with this type and these flags takes. Errors: ENOMSG, E2BIG (more than `length` bytes without MSG_NOERROR).
	 */
	choose(type: number, flags: number, length: number): number {
		const at = this.search(type, flags);
		if (at < 0) return -ENOMSG;
		return this.messages[at]!.bytes.length > length && (flags & MSG_NOERROR) === 0 ? -E2BIG : at;
	}

	private search(type: number, flags: number): number {
		const { messages } = this;
		if ((flags & MSG_COPY) !== 0) return type >= 0 && type < messages.length ? type : -1;
		if (type === 0) return messages.length > 0 ? 0 : -1;
		if (type > 0) return messages.findIndex((message) => (message.type === type) === ((flags & MSG_EXCEPT) === 0));
		let best = -1;
		for (const [at, message] of messages.entries())
			if (message.type <= -type && (best < 0 || message.type < messages[best]!.type)) best = at;
		return best;
	}

	peek(at: number): Message {
		return this.messages[at]!;
	}

	/** Takes the message at a place that `choose` gave. */
	take(at: number, pid: number): void {
		const [message] = this.messages.splice(at, 1);
		this.bytes -= message!.bytes.length;
		this.receivePid = pid;
		this.rtimeSec = realSeconds();
		this.senders.wake();
	}

	override encode(): number {
		this.encodePermissions(MSQID_BYTES);
		put64(IPC_PERM_BYTES, this.stimeSec);
		put64(IPC_PERM_BYTES + 8, this.rtimeSec);
		put64(IPC_PERM_BYTES + 16, this.ctimeSec);
		put64(IPC_PERM_BYTES + 24, this.bytes);
		put64(IPC_PERM_BYTES + 32, this.count);
		put64(IPC_PERM_BYTES + 40, this.maxBytes);
		scratchView.setInt32(IPC_PERM_BYTES + 48, this.sendPid, true);
		scratchView.setInt32(IPC_PERM_BYTES + 52, this.receivePid, true);
		return MSQID_BYTES;
	}
}
