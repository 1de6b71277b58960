import { PAGE_SIZE } from '../abi/limits.js';
import type { IoVector } from '../trap/guest-memory.js';

/** A drained buffer of more bytes than this is given back. */
const KEPT_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

/**
 * Bytes in flight, first in, first out: a circular buffer that starts with nothing and grows by powers of two as it fills. How much may be in it is
 * its owner's business.
 */
export class ByteRing {
	private bytes: Uint8Array = NOTHING;
	private head = 0;
	/** Bytes in it. */
	size = 0;

	/**
	 * Appends `length` bytes of the vector. Returns how many could be copied, or -EFAULT if none could. Copied bytes are in the ring only if `isWhole`
	 * is false or all of them came.
	 */
	put(vector: IoVector, length: number, isWhole: boolean): number {
		if (this.size + length > this.bytes.length) this.grow(this.size + length);
		const mask = this.bytes.length - 1;
		const tail = (this.head + this.size) & mask;
		const first = Math.min(length, this.bytes.length - tail);
		let copied = vector.copyIn(this.bytes, tail, first);
		if (copied === first && first < length) {
			const more = vector.copyIn(this.bytes, 0, length - first);
			if (more > 0) copied += more;
		}
		if (copied === length || (copied > 0 && !isWhole)) this.size += copied;
		return copied;
	}

	/** Copies `length` bytes from `skip` on out, and leaves them. Returns how many could be copied, or -EFAULT if none could. */
	peek(vector: IoVector, length: number, skip = 0): number {
		const mask = this.bytes.length - 1;
		const from = (this.head + skip) & mask;
		const first = Math.min(length, this.bytes.length - from);
		const copied = vector.copyOut(this.bytes, from, first);
		if (copied < first || first === length) return copied;
		const more = vector.copyOut(this.bytes, 0, length - first);
		return more > 0 ? copied + more : copied;
	}

	/** Copies `length` bytes out; those that arrived are gone from the ring. */
	take(vector: IoVector, length: number): number {
		const copied = this.peek(vector, length);
		if (copied > 0) this.drop(copied);
		return copied;
	}

	/** Forgets the first `length` bytes. */
	drop(length: number): void {
		this.size -= length;
		if (this.size > 0) {
			this.head = (this.head + length) & (this.bytes.length - 1);
			return;
		}
		// Empty: the next bytes lie in one piece, and in the same few pages as the last ones.
		this.head = 0;
		if (this.bytes.length > KEPT_BYTES) this.bytes = NOTHING;
	}

	/** Forgets everything and gives the memory back. */
	clear(): void {
		this.bytes = NOTHING;
		this.head = this.size = 0;
	}

	private grow(needed: number): void {
		let capacity = Math.max(PAGE_SIZE, this.bytes.length);
		while (capacity < needed) capacity *= 2;
		const grown = new Uint8Array(capacity);
		const first = Math.min(this.size, this.bytes.length - this.head);
		grown.set(this.bytes.subarray(this.head, this.head + first));
		grown.set(this.bytes.subarray(0, this.size - first), first);
		this.bytes = grown;
		this.head = 0;
	}
}
