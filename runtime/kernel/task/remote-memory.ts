import { native } from '../../native.js';
import { EFAULT, ESRCH } from '../abi/errno.js';
import { type Mapping, mappingAt, memoryMap } from './memory-map.js';
import type { ThreadGroup } from './thread-group.js';
import { isStill } from './trace-access.js';

/**
 * The memory of a process that is not in a call: of it and of no other, whoever may have its number when it has ended. Owns a descriptor: `close` it.
 */
export class RemoteMemory {
	private fd = -1;
	private mappings: readonly Mapping[] | null = null;

	constructor(private readonly group: ThreadGroup) {}

	/** Reads first, then makes sure whose memory it was. Bytes, fewer than `length` where memory ends, or -errno: EFAULT, ESRCH. */
	read(address: number, bytes: Uint8Array, length: number): number {
		const got = native.readMemory(this.group.pid, address, bytes, 0, length);
		return isStill(this.group) ? got : -ESRCH;
	}

	/** How much of a range the process may write, from its beginning on; -ESRCH. */
	writable(address: number, length: number): number {
		const mappings = this.mappings ?? this.open();
		if (this.fd < 0) return -ESRCH;
		let at = address;
		while (at < address + length) {
			const mapping = mappingAt(mappings, at);
			if (mapping === null || !mapping.isWritable) break;
			at = mapping.end;
		}
		return Math.min(at - address, length);
	}

	/** Writes what is `writable`: bytes, or -errno: EFAULT, ESRCH. */
	write(address: number, bytes: Uint8Array, length: number): number {
		const allowed = this.writable(address, length);
		if (allowed <= 0) return allowed < 0 ? allowed : -EFAULT;
		const put = native.pwrite(this.fd, bytes, 0, allowed, address);
		return put < 0 ? -EFAULT : put;
	}

	close(): void {
		if (this.fd >= 0) native.close(this.fd);
		this.fd = -1;
	}

	/** A descriptor stands for the memory of one process for good. The host would let it change what is mapped read-only: that is looked up here. */
	private open(): readonly Mapping[] {
		const { pid } = this.group;
		this.fd = native.openProcFile(`${pid}/mem`, true);
		this.mappings = memoryMap(pid, pid);
		if (!isStill(this.group)) this.close();
		return this.mappings;
	}
}
