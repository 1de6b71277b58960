import { native } from '../../native.js';
import { EFAULT, EINVAL } from '../abi/errno.js';
import { IOV_MAX, TASK_SIZE } from '../abi/limits.js';
import { BLOCKED } from '../task/blocked.js';
import { RemoteMemory } from '../task/remote-memory.js';
import type { Task } from '../task/task.js';
import { traceable } from '../task/trace-access.js';
import { copyIn, ioVector, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

const IOVEC_BYTES = 16;
/** What one run moves. */
const SLICE_BYTES = 16 << 20;
const chunk = Buffer.alloc(256 << 10);
/** The other process's ranges: address and length each. */
const ranges = new Float64Array(2 * IOV_MAX);

/** process_vm_readv(2). */
export function sysProcessVmReadv(task: Task, trap: Trap): number {
	return move(task, trap, read);
}

/** process_vm_writev(2). */
export function sysProcessVmWritev(task: Task, trap: Trap): number {
	return move(task, trap, write);
}

/** Moves between the caller's vector and `address`: bytes, fewer than `length` at memory that isn't there, or -errno. */
type Mover = (memory: RemoteMemory, address: number, length: number) => number;

function read(memory: RemoteMemory, address: number, length: number): number {
	const got = memory.read(address, chunk, length);
	return got <= 0 ? got : ioVector.copyOut(chunk, 0, got);
}

function write(memory: RemoteMemory, address: number, length: number): number {
	const allowed = memory.writable(address, length);
	if (allowed <= 0) return allowed;
	const got = ioVector.copyIn(chunk, 0, allowed);
	return got <= 0 ? got : memory.write(address, chunk, got);
}

function move(task: Task, trap: Trap, mover: Mover): number {
	const count = trap.size(4);
	if (trap.size(5) !== 0 || trap.size(2) > IOV_MAX) return -EINVAL;
	const error = ioVector.vector(task.tid, trap.size(1), trap.int(2));
	if (error < 0) return error;
	if (ioVector.length === 0) return 0;
	const wanted = readRanges(task, trap.size(3), count);
	if (wanted <= 0) return wanted;
	const group = traceable(task, trap.int(0));
	if (typeof group === 'number') return group;
	trap.deadlineNs = -1;
	trap.hasTimedOut = false;
	ioVector.skip(trap.progress);
	const limit = Math.min(ioVector.length, ioVector.moved + SLICE_BYTES);
	const memory = new RemoteMemory(group);
	const result = moveRanges(memory, mover, count, limit);
	memory.close();
	if (result < limit || result === ioVector.length || result === wanted) return result;
	// So long that others come first.
	trap.progress = result;
	task.setDeadline(native.monotonicNs());
	return BLOCKED;
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

/** Goes on behind the bytes that were moved before, until `limit` are: bytes in all, or -errno. */
function moveRanges(memory: RemoteMemory, mover: Mover, count: number, limit: number): number {
	let skipped = ioVector.moved;
	for (let i = 0; i < count && ioVector.moved < limit; i++) {
		const end = ranges[2 * i]! + ranges[2 * i + 1]!;
		const start = Math.min(end, ranges[2 * i]! + skipped);
		skipped -= start - ranges[2 * i]!;
		for (let address = start; address < end && ioVector.moved < limit; ) {
			const length = Math.min(end - address, chunk.length, limit - ioVector.moved);
			const isInside = address + length <= TASK_SIZE;
			const moved = isInside ? mover(memory, address, length) : -EFAULT;
			if (moved < length) {
				if (ioVector.moved > 0) return ioVector.moved;
				return moved < 0 ? moved : -EFAULT;
			}
			address += moved;
		}
	}
	return ioVector.moved;
}
