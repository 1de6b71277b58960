import { native } from '../../native.js';
import { EFAULT, EINVAL, ESRCH } from '../abi/errno.js';
import { IOV_MAX, TASK_SIZE } from '../abi/limits.js';
import { type Mapping, mappingAt, memoryMap } from '../task/memory-map.js';
import type { Task } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { isStill, traceable } from '../task/trace-access.js';
import { copyIn, ioVector, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

const IOVEC_BYTES = 16;
const chunk = Buffer.alloc(256 << 10);
/** The other process's ranges: address and length each. */
const ranges = new Float64Array(2 * IOV_MAX);

/** process_vm_readv(2). */
export function sysProcessVmReadv(task: Task, trap: Trap): number {
	return move(task, trap, (group) => new Reader(group));
}

/** process_vm_writev(2). */
export function sysProcessVmWritev(task: Task, trap: Trap): number {
	return move(task, trap, (group) => new Writer(group));
}

/** One direction. Never to or from any other process than `group`, whoever may have its number when it has ended. */
interface Mover {
	/** Moves between the caller's vector and `address`: bytes, fewer than `length` at memory that isn't there, or -errno. */
	move(address: number, length: number): number;
	close(): void;
}

function move(task: Task, trap: Trap, moverOf: (group: ThreadGroup) => Mover): number {
	const count = trap.size(4);
	if (trap.size(5) !== 0 || trap.size(2) > IOV_MAX) return -EINVAL;
	const error = ioVector.vector(task.tid, trap.size(1), trap.int(2));
	if (error < 0) return error;
	if (ioVector.length === 0) return 0;
	const wanted = readRanges(task, trap.size(3), count);
	if (wanted <= 0) return wanted;
	const group = traceable(task, trap.int(0));
	if (typeof group === 'number') return group;
	const mover = moverOf(group);
	const result = moveRanges(mover, count);
	mover.close();
	return result;
}

/** Copies the other side's ranges in: bytes in all, or -errno. */
function readRanges(task: Task, address: number, count: number): number {
	if (count > IOV_MAX) return -EINVAL;
	const error = copyIn(task.tid, address, count * IOVEC_BYTES);
	if (error < 0) return error;
	let total = 0;
	for (let i = 0; i < count; i++) {
		const at = i * IOVEC_BYTES;
		if (scratchView.getInt32(at + 12, true) < 0) return -EINVAL;
		ranges[2 * i] = scratchView.getUint32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
		ranges[2 * i + 1] = scratchView.getUint32(at + 12, true) * 0x1_0000_0000 + scratchView.getUint32(at + 8, true);
		total += ranges[2 * i + 1]!;
	}
	return total;
}

function moveRanges(mover: Mover, count: number): number {
	for (let i = 0; i < count && ioVector.remaining > 0; i++) {
		const end = ranges[2 * i]! + ranges[2 * i + 1]!;
		for (let address = ranges[2 * i]!; address < end && ioVector.remaining > 0; ) {
			const length = Math.min(end - address, chunk.length, ioVector.remaining);
			const isInside = address + length <= TASK_SIZE;
			const moved = isInside ? mover.move(address, length) : -EFAULT;
			if (moved < length) {
				if (ioVector.moved > 0) return ioVector.moved;
				return moved < 0 ? moved : -EFAULT;
			}
			address += moved;
		}
	}
	return ioVector.moved;
}

/** Reads first, then makes sure whose memory it was. */
class Reader implements Mover {
	constructor(private readonly group: ThreadGroup) {}

	move(address: number, length: number): number {
		const got = native.readMemory(this.group.pid, address, chunk, 0, length);
		if (!isStill(this.group)) return -ESRCH;
		return got <= 0 ? got : ioVector.copyOut(chunk, 0, got);
	}

	close(): void {}
}

/** Writes through a descriptor, which stands for the memory of one process for good. The host would let it change what is mapped read-only: looked up here. */
class Writer implements Mover {
	private readonly fd: number;
	private readonly mappings: readonly Mapping[];

	constructor(group: ThreadGroup) {
		this.fd = native.openProcFile(`${group.pid}/mem`, true);
		this.mappings = memoryMap(group.pid, group.pid);
		if (!isStill(group)) this.mappings = [];
	}

	move(address: number, length: number): number {
		if (this.fd < 0) return -ESRCH;
		const allowed = this.writable(address, length);
		if (allowed === 0) return -EFAULT;
		const got = ioVector.copyIn(chunk, 0, allowed);
		if (got <= 0) return got;
		const put = native.pwrite(this.fd, chunk, 0, got, address);
		return put < 0 ? -EFAULT : put;
	}

	close(): void {
		if (this.fd >= 0) native.close(this.fd);
	}

	/** How much of a range may be written, from its beginning on. */
	private writable(address: number, length: number): number {
		let at = address;
		while (at < address + length) {
			const mapping = mappingAt(this.mappings, at);
			if (mapping === null || !mapping.isWritable) break;
			at = mapping.end;
		}
		return Math.min(at - address, length);
	}
}
