import { EAGAIN, EFAULT, EINVAL } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { EFD_SEMAPHORE, POLLIN, POLLOUT } from '../abi/poll-constants.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { sharedAnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';

const COUNTER_BYTES = 8;
const WORD = 0x1_0000_0000;
const WORD_MAX = 0xffff_ffff;
let nextId = 0;
const bytes = new Uint8Array(COUNTER_BYTES);
const view = new DataView(bytes.buffer);

/** A counter to wait for, eventfd(2). It is at most 2^64 - 2. */
export class EventFd extends FileDescription {
	private low: number;
	private high = 0;
	private readonly isSemaphore: boolean;
	/** Tells one from another in fdinfo. */
	private readonly id = nextId++;

	constructor(initial: number, eventFlags: number, statusFlags: number) {
		super(null, sharedAnonymousInode, O_RDWR | statusFlags);
		this.low = initial;
		this.isSemaphore = (eventFlags & EFD_SEMAPHORE) !== 0;
	}

	override get anonymousText(): string {
		return 'anon_inode:[eventfd]';
	}

	override get infoText(): string {
		const count = (BigInt(this.high) * BigInt(WORD) + BigInt(this.low)).toString(16).padStart(16, ' ');
		return `eventfd-count: ${count}\neventfd-id: ${this.id}\neventfd-semaphore: ${this.isSemaphore ? 1 : 0}\n`;
	}

	override read(task: Task, vector: IoVector): number {
		if (vector.length < COUNTER_BYTES) return -EINVAL;
		if (this.low === 0 && this.high === 0) return this.isNonBlocking ? -EAGAIN : task.blockOn(this.waiters, POLLIN);
		view.setUint32(0, this.isSemaphore ? 1 : this.low, true);
		view.setUint32(4, this.isSemaphore ? 0 : this.high, true);
		if (vector.copyOut(bytes, 0, COUNTER_BYTES) !== COUNTER_BYTES) return -EFAULT;
		if (!this.isSemaphore) {
			this.low = this.high = 0;
		} else if (this.low > 0) {
			this.low--;
		} else {
			this.low = WORD_MAX;
			this.high--;
		}
		this.waiters.wake(POLLOUT);
		return COUNTER_BYTES;
	}

	override write(task: Task, vector: IoVector): number {
		if (vector.length !== COUNTER_BYTES) return -EINVAL;
		if (vector.copyIn(bytes, 0, COUNTER_BYTES) !== COUNTER_BYTES) return -EFAULT;
		const addedLow = view.getUint32(0, true);
		const addedHigh = view.getUint32(4, true);
		if (addedLow === WORD_MAX && addedHigh === WORD_MAX) return -EINVAL;
		const sumLow = this.low + addedLow;
		const low = sumLow >>> 0;
		const high = this.high + addedHigh + (sumLow >= WORD ? 1 : 0);
		if (high > WORD_MAX || (high === WORD_MAX && low === WORD_MAX)) {
			return this.isNonBlocking ? -EAGAIN : task.blockOn(this.waiters, POLLOUT);
		}
		this.low = low;
		this.high = high;
		this.waiters.wake(POLLIN);
		return COUNTER_BYTES;
	}

	/** Adds one, unless it is full: for the guest kernel's own news (Linux: eventfd_signal). */
	signal(): void {
		if (this.high === WORD_MAX && this.low >= WORD_MAX - 1) return;
		this.low++;
		if (this.low === WORD) {
			this.low = 0;
			this.high++;
		}
		this.waiters.wake(POLLIN);
	}

	override poll(): number {
		let events = 0;
		if (this.low !== 0 || this.high !== 0) events |= POLLIN;
		// Room for at least one more.
		if (this.high !== WORD_MAX || this.low < WORD_MAX - 1) events |= POLLOUT;
		return events;
	}

	/** Positions mean nothing, but asking for one is no error (noop_llseek). */
	override seek(): number {
		return 0;
	}
}
