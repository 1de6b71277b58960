import { native } from '../../native.js';
import { E2BIG, EFAULT, EINVAL, ENAMETOOLONG } from '../abi/errno.js';
import { IOV_MAX, MAX_RW_COUNT, PATH_MAX, TASK_SIZE } from '../abi/limits.js';

/**
 * Guest memory, reached by process_vm_readv/writev alone. Everything is copied once, then looked at: the guest's other threads
 * may change it at any moment. The scratch buffers are shared by all calls, as one thread serves them all: what `copyIn` returns is valid until
 * the next copy into the same scratch.
 */

const SCRATCH_BYTES = 256 * 1024;
/** General scratch: structures in and out. Handlers encode an answer here and copy it out. */
export const scratch = Buffer.alloc(SCRATCH_BYTES);
export const scratchView = new DataView(scratch.buffer, scratch.byteOffset, SCRATCH_BYTES);
const pathScratch = Buffer.alloc(PATH_MAX + 1);

function isRange(address: number, length: number): boolean {
	return address + length <= TASK_SIZE && address >= 0;
}

/** Copies exactly `length` bytes into `scratch` at `offset`. Errors: EFAULT. */
export function copyIn(tid: number, address: number, length: number, offset = 0): number {
	if (!isRange(address, length)) return -EFAULT;
	return native.readMemory(tid, address, scratch, offset, length) === length ? 0 : -EFAULT;
}

/** Copies exactly `length` bytes of `scratch` at `offset` out. Errors: EFAULT. */
export function copyOut(tid: number, address: number, length: number, offset = 0): number {
	if (!isRange(address, length)) return -EFAULT;
	return native.writeMemory(tid, address, scratch, offset, length) === length ? 0 : -EFAULT;
}

/** Copies bytes of any buffer out. Errors: EFAULT. */
export function copyOutBytes(tid: number, address: number, bytes: Uint8Array, length = bytes.length): number {
	if (!isRange(address, length)) return -EFAULT;
	return native.writeMemory(tid, address, bytes, 0, length) === length ? 0 : -EFAULT;
}

/** Copies bytes in into any buffer. Errors: EFAULT. */
export function copyInBytes(tid: number, address: number, bytes: Uint8Array, offset: number, length: number): number {
	if (!isRange(address, length)) return -EFAULT;
	return native.readMemory(tid, address, bytes, offset, length) === length ? 0 : -EFAULT;
}

/** Stores one 32-bit value. Errors: EFAULT. */
export function copyOutInt(tid: number, address: number, value: number): number {
	scratchView.setInt32(SCRATCH_BYTES - 8, value, true);
	return copyOut(tid, address, 4, SCRATCH_BYTES - 8);
}

/**
 * A path argument as a byte string: each character is one byte (latin1), so that names that aren't UTF-8 survive.
 * Errors (negative numbers): EFAULT, ENAMETOOLONG for PATH_MAX bytes and more with the NUL.
 */
export function copyInPath(tid: number, address: number): string | number {
	return copyInString(tid, address, PATH_MAX, -ENAMETOOLONG);
}

/** A NUL-terminated byte string of at most `limit` bytes with its NUL; `tooLong` (a negative errno) if it is longer. */
export function copyInString(tid: number, address: number, limit: number, tooLong = -E2BIG): string | number {
	if (!isRange(address, 1)) return -EFAULT;
	const buffer = limit <= PATH_MAX ? pathScratch.subarray(0, limit) : Buffer.alloc(limit);
	const length = native.readString(tid, address, buffer);
	if (length < 0) return length === -ENAMETOOLONG ? tooLong : -EFAULT;
	return buffer.latin1Slice(0, length);
}

/**
 * Where a read or a write moves its bytes: the guest's iovec array, copied in once. One instance serves all calls.
 * Positions advance as bytes move; `moved` counts them.
 */
export class IoVector {
	private tid = 0;
	private count = 0;
	private index = 0;
	private within = 0;
	private readonly addresses = new Float64Array(IOV_MAX);
	private readonly lengths = new Float64Array(IOV_MAX);
	/** Set for a transfer within the kernel; see `kernel`. */
	private kernelBytes: Uint8Array | null = null;
	private kernelOffset = 0;
	/** Bytes asked for in all, clamped to MAX_RW_COUNT. */
	length = 0;
	/** Bytes moved so far. */
	moved = 0;

	/** Sets up a single buffer; read(2), write(2). EFAULT when it isn't a user's range at all; an unmapped page shows at the first copy. */
	single(tid: number, address: number, length: number): number {
		if (!isRange(address, length)) return -EFAULT;
		this.set(tid, address, length);
		return 0;
	}

	private set(tid: number, address: number, length: number): void {
		this.tid = tid;
		this.kernelBytes = null;
		this.count = 1;
		this.index = this.within = this.moved = 0;
		this.addresses[0] = address;
		this.length = this.lengths[0] = Math.min(length, MAX_RW_COUNT);
	}

	/** Copies an iovec array in; readv(2). Errors: EINVAL (count, a negative length), EFAULT. */
	vector(tid: number, address: number, count: number): number {
		if (count > IOV_MAX || count < 0) return -EINVAL;
		const error = copyIn(tid, address, count * 16);
		if (error < 0) return error;
		this.tid = tid;
		this.kernelBytes = null;
		this.count = count;
		this.index = this.within = this.moved = 0;
		let total = 0;
		let isInside = true;
		for (let i = 0; i < count; i++) {
			const lengthHigh = scratchView.getInt32(i * 16 + 12, true);
			if (lengthHigh < 0) return -EINVAL;
			const length = lengthHigh * 0x1_0000_0000 + scratchView.getUint32(i * 16 + 8, true);
			this.addresses[i] = scratchView.getUint32(i * 16 + 4, true) * 0x1_0000_0000 + scratchView.getUint32(i * 16, true);
			// Linux clamps a single element before it looks where it ends.
			isInside &&= isRange(this.addresses[i]!, count === 1 ? Math.min(length, MAX_RW_COUNT) : length);
			this.lengths[i] = Math.min(length, MAX_RW_COUNT - total);
			total += this.lengths[i]!;
		}
		if (!isInside) return -EFAULT;
		this.length = total;
		return 0;
	}

	/** Kernel memory in the place of the guest's: what sendfile(2) and splice(2) move. */
	kernel(bytes: Uint8Array, offset: number, length: number): void {
		this.set(0, 0, length);
		this.kernelBytes = bytes;
		this.kernelOffset = offset;
	}

	/** Bytes still to move. */
	get remaining(): number {
		return this.length - this.moved;
	}

	/** Skips bytes that an earlier run of the same call has moved. */
	skip(bytes: number): void {
		let left = bytes;
		while (left > 0 && this.index < this.count) left -= this.step(Math.min(left, this.chunk()));
	}

	/** Bytes to the guest. Returns bytes copied, or -EFAULT if none could be. */
	copyOut(bytes: Uint8Array, offset: number, length: number): number {
		if (this.kernelBytes !== null) {
			this.kernelBytes.set(bytes.subarray(offset, offset + length), this.kernelOffset + this.moved);
			return this.step(length);
		}
		return this.move(length, (address, done, chunk) => native.writeMemory(this.tid, address, bytes, offset + done, chunk));
	}

	/** Bytes from the guest. Returns bytes copied, or -EFAULT if none could be. */
	copyIn(bytes: Uint8Array, offset: number, length: number): number {
		if (this.kernelBytes !== null) {
			const from = this.kernelOffset + this.moved;
			bytes.set(this.kernelBytes.subarray(from, from + length), offset);
			return this.step(length);
		}
		return this.move(length, (address, done, chunk) => native.readMemory(this.tid, address, bytes, offset + done, chunk));
	}

	/** From a host descriptor straight to the guest. `position` -1 uses the descriptor's own offset. Bytes (0 at the end of the file), or -errno. */
	fromHost(fd: number, position: number): number {
		if (this.kernelBytes !== null) {
			const bytes = native.pread(fd, this.kernelBytes, this.kernelOffset + this.moved, this.remaining, position);
			return bytes > 0 ? this.step(bytes) : bytes;
		}
		return this.move(this.remaining, (address, done, chunk) =>
			native.hostToGuest(fd, position < 0 ? -1 : position + done, this.tid, address, chunk),
		);
	}

	/** From the guest straight to a host descriptor. Bytes, or -errno. */
	toHost(fd: number, position: number, isAppend: boolean, limit = this.remaining): number {
		if (this.kernelBytes !== null) {
			const bytes = native.pwrite(fd, this.kernelBytes, this.kernelOffset + this.moved, limit, position);
			return bytes > 0 ? this.step(bytes) : bytes;
		}
		return this.move(limit, (address, done, chunk) =>
			native.guestToHost(fd, position < 0 ? -1 : position + done, this.tid, address, chunk, isAppend),
		);
	}

	private chunk(): number {
		return this.lengths[this.index]! - this.within;
	}

	/** Advances by `bytes` within the current buffer; empty buffers are passed over. */
	private step(bytes: number): number {
		this.within += bytes;
		this.moved += bytes;
		while (this.index < this.count && this.within >= this.lengths[this.index]!) {
			this.index++;
			this.within = 0;
		}
		return bytes;
	}

	private move(length: number, transfer: (address: number, done: number, chunk: number) => number): number {
		let done = 0;
		this.step(0);
		while (done < length && this.index < this.count) {
			const address = this.addresses[this.index]! + this.within;
			const chunk = Math.min(length - done, this.chunk());
			if (!isRange(address, chunk)) return done > 0 ? done : -EFAULT;
			const result = transfer(address, done, chunk);
			if (result < 0) return done > 0 ? done : result;
			done += this.step(result);
			if (result < chunk) break;
		}
		return done;
	}
}

/** The one vector: a handler sets it up, an object's method uses it up, nobody keeps it. */
export const ioVector = new IoVector();
