import type { IoVector } from '../trap/guest-memory.js';

const FIRST_BYTES = 256;
const NOTHING = new Uint8Array(0);

/** Bytes between a terminal and its other side, first in, first out, `limit` at most. Its memory grows as it fills and goes when it is empty. */
export class ByteQueue {
	private bytes = NOTHING;
	private head = 0;
	size = 0;

	constructor(readonly limit: number) {}

	get space(): number {
		return this.limit - this.size;
	}

	/** Appends one byte, for which there is space. */
	push(byte: number): void {
		if (this.size === this.bytes.length) this.grow();
		this.bytes[(this.head + this.size++) & (this.bytes.length - 1)] = byte;
	}

	/** Takes the first byte of those that are there. */
	shift(): number {
		const byte = this.bytes[this.head]!;
		this.drop(1);
		return byte;
	}

	/** Copies up to `length` bytes to a reader, who then has them alone. Bytes, or -EFAULT. */
	take(vector: IoVector, length: number): number {
		let done = 0;
		while (done < length && this.size > 0) {
			const chunk = this.chunk(length - done);
			const copied = vector.copyOut(this.bytes, this.head, chunk);
			if (copied < 0) return done > 0 ? done : copied;
			this.drop(copied);
			done += copied;
			if (copied < chunk) break;
		}
		return done;
	}

	/** The first bytes, as many as lie in one piece: valid until the queue changes. */
	peek(): Uint8Array {
		return this.bytes.subarray(this.head, this.head + this.chunk(this.size));
	}

	drop(length: number): void {
		this.size -= length;
		this.head = this.size === 0 ? 0 : (this.head + length) & (this.bytes.length - 1);
		if (this.size === 0 && this.bytes.length > 4096) this.bytes = NOTHING;
	}

	/** Forgets what is behind the first `length` bytes. */
	truncate(length: number): void {
		this.size = Math.min(this.size, length);
	}

	clear(): void {
		this.bytes = NOTHING;
		this.head = this.size = 0;
	}

	private chunk(length: number): number {
		return Math.min(length, this.size, this.bytes.length - this.head);
	}

	private grow(): void {
		const grown = new Uint8Array(Math.max(FIRST_BYTES, this.bytes.length * 2));
		const first = this.bytes.length - this.head;
		grown.set(this.bytes.subarray(this.head));
		grown.set(this.bytes.subarray(0, this.head), first);
		this.bytes = grown;
		this.head = 0;
	}
}
