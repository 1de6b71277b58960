import { EFAULT } from '../abi/errno.js';
import { bounds } from '../bounds.js';
import type { IoVector } from '../trap/guest-memory.js';
import { ByteRing } from './byte-ring.js';
import type { PassedDescriptors } from './passed-descriptors.js';
import { isSameSender, type SocketCredentials } from './socket-credentials.js';
import type { SocketMessage } from './socket-message.js';

/** Charged per record beside its bytes, so that empty messages are bounded, too. */
const RECORD_BYTES = 256;
/** What each one gets when all together are at their bound. */
const MIN_BYTES = 4096;

/** Bytes charged to all queues of the pod. */
let queuedBytes = 0;

/** May a message of `length` bytes be queued at all? Short ones may always: one each is what queues get when there is no memory. */
export function hasQueueMemory(length: number): boolean {
	return length <= MIN_BYTES || queuedBytes < bounds.socketQueueBytes;
}

/** Where a message came from: the sender's name (null: it has none) and its credentials (null: nobody asked for them). */
export interface Sender {
	readonly address: Uint8Array | null;
	readonly credentials: SocketCredentials | null;
}

/**
 * What a socket has received and nobody has read yet (Linux: sk_receive_queue), as records of bytes: one per message, or in a stream one per stretch
 * that came with descriptors, or without.
 */
export class SocketQueue {
	private readonly ring = new ByteRing();
	/** Bytes left of each record, and what came with it. */
	private readonly lengths: number[] = [];
	private readonly rights: (PassedDescriptors | null)[] = [];
	private readonly senders: Sender[] = [];

	/** @param capacity What it may be charged with, in bytes: the sender's SO_SNDBUF. */
	constructor(public capacity: number) {}

	get isEmpty(): boolean {
		return this.lengths.length === 0;
	}
	/** Bytes in it. */
	get size(): number {
		return this.ring.size;
	}
	/** Records in it. */
	get count(): number {
		return this.lengths.length;
	}
	/** Bytes of the first record. */
	get firstLength(): number {
		return this.lengths[0] ?? 0;
	}
	private get charged(): number {
		return this.ring.size + this.lengths.length * RECORD_BYTES;
	}
	/** Free enough that writers are told (net/unix/af_unix.c, unix_writable). */
	get isWritable(): boolean {
		return this.charged * 4 <= this.capacity;
	}
	/** Bytes of a stream that may be added. */
	get space(): number {
		const limit = queuedBytes < bounds.socketQueueBytes ? this.capacity : Math.min(this.capacity, MIN_BYTES);
		return Math.max(0, limit - this.charged);
	}
	/** May a message of `length` bytes be added? One may always, however long. */
	hasRoom(length: number): boolean {
		return this.isEmpty || length + RECORD_BYTES <= this.space;
	}

	/** Appends bytes of a stream: how many, or -EFAULT if none came. `message.rights` are taken. */
	putStream(vector: IoVector, length: number, message: SocketMessage, sender: Sender): number {
		const bytes = this.ring.put(vector, length, false);
		if (bytes <= 0) return bytes;
		const last = this.lengths.length - 1;
		const isMore =
			message.rights === null &&
			last >= 0 &&
			this.rights[last] === null &&
			isSameSender(this.senders[last]!.credentials, sender.credentials);
		if (isMore) {
			this.lengths[last]! += bytes;
			queuedBytes += bytes;
		} else this.push(bytes, message, sender);
		return bytes;
	}

	/** Appends a message, whole: its length, or -EFAULT. `message.rights` are taken. */
	putMessage(vector: IoVector, length: number, message: SocketMessage, sender: Sender): number {
		if (length > 0 && this.ring.put(vector, length, true) < length) return -EFAULT;
		this.push(length, message, sender);
		return length;
	}

	private push(length: number, message: SocketMessage, sender: Sender): void {
		queuedBytes += length + RECORD_BYTES;
		this.lengths.push(length);
		this.senders.push(sender);
		this.rights.push(message.rights);
		message.rights = null;
	}

	/**
	 * Copies bytes of a stream out, as many as there are and are wanted, but none from behind a stretch that descriptors came with. Descriptors go to
	 * `message.rights` with the first byte of theirs. Returns bytes, or -EFAULT if none could be copied. With `isPeek` everything stays.
	 */
	takeStream(vector: IoVector, message: SocketMessage, isPeek: boolean): number {
		let done = 0;
		const sender = this.senders[0]!;
		message.credentials = sender.credentials;
		for (let index = 0; index < this.lengths.length; index++) {
			if (!isSameSender(this.senders[index]!.credentials, sender.credentials)) break;
			const wanted = Math.min(this.lengths[index]!, vector.remaining);
			const bytes = wanted === 0 ? 0 : this.ring.peek(vector, wanted, isPeek ? done : 0);
			if (bytes < 0) return done > 0 ? done : bytes;
			done += bytes;
			const rights = this.rights[index]!;
			if (rights !== null) {
				message.rights = isPeek ? rights.copy() : rights;
				if (!isPeek) this.rights[index] = null;
			}
			if (!isPeek) {
				if (bytes > 0) this.ring.drop(bytes);
				queuedBytes -= Math.max(0, bytes);
				this.lengths[index]! -= bytes;
				if (this.lengths[index] === 0) {
					this.shift();
					index--;
				}
			}
			if (rights !== null || bytes < wanted || vector.remaining === 0) break;
		}
		return done;
	}

	/**
	 * Copies the first message out, as much as is wanted of it; the rest is lost. Returns the bytes copied, or -EFAULT: it is gone then, as on Linux.
	 */
	takeMessage(vector: IoVector, message: SocketMessage, isPeek: boolean): number {
		const length = this.firstLength;
		const wanted = Math.min(length, vector.remaining);
		const bytes = wanted === 0 ? 0 : this.ring.peek(vector, wanted);
		const rights = this.rights[0] ?? null;
		const sender = this.senders[0]!;
		message.address = sender.address;
		message.credentials = sender.credentials;
		if (isPeek) {
			if (bytes === wanted) message.rights = rights?.copy() ?? null;
		} else {
			if (length > 0) this.ring.drop(length);
			queuedBytes -= length;
			this.shift();
			if (bytes === wanted) message.rights = rights;
			else rights?.dispose();
		}
		return bytes === wanted ? bytes : -EFAULT;
	}

	private shift(): void {
		this.lengths.shift();
		this.rights.shift();
		this.senders.shift();
		queuedBytes -= RECORD_BYTES;
	}

	/** Nobody will read it. */
	clear(): void {
		queuedBytes -= this.charged;
		this.ring.clear();
		this.lengths.length = this.senders.length = 0;
		for (const rights of this.rights.splice(0)) rights?.dispose();
	}
}
