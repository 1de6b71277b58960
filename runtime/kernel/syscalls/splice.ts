import { native } from '../../native.js';
import { EAGAIN, EBADF, EINVAL, EISDIR, EPIPE, ESPIPE, EXDEV } from '../abi/errno.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll-constants.js';
import { SIGPIPE } from '../abi/signal-numbers.js';
import { dropSetIdBits, limitFileSize } from '../fs/write-checks.js';
import { type Pipe, PipeDescription } from '../ipc/pipe.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, ioVector, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { AT_OFFSET, type FileDescription } from '../vfs/file-description.js';
import { sharedStat } from '../vfs/stat.js';

// Bytes from one description to another: splice(2), tee(2), vmsplice(2), sendfile(2), copy_file_range(2). They go through one buffer of the guest kernel.

const BUFFER_BYTES = 128 * 1024;
/** Bytes that one run of a call moves: more would keep other tasks waiting. All these calls may return a short count. */
const MAX_BYTES_PER_RUN = 4 << 20;
const buffer = Buffer.alloc(BUFFER_BYTES);

const SPLICE_F_NONBLOCK = 2;
/** SPLICE_F_MOVE, NONBLOCK, MORE, GIFT. */
const SPLICE_F_ALL = 0xf;

/** The pipe of a description, or null. */
function pipeOf(description: FileDescription): Pipe | null {
	return description instanceof PipeDescription ? description.pipe : null;
}

/** Reads a file offset argument; `description`'s own without one. Errors: EFAULT, EINVAL. */
function readOffset(task: Task, address: number, description: FileDescription): number {
	if (address === 0) return description.offset;
	const error = copyIn(task.tid, address, 8);
	if (error < 0) return error;
	const offset = scratchView.getInt32(4, true) * 0x1_0000_0000 + scratchView.getUint32(0, true);
	return offset < 0 || offset > Number.MAX_SAFE_INTEGER ? -EINVAL : offset;
}

/** Puts an advanced offset back where it came from. Errors: EFAULT. */
function writeOffset(task: Task, address: number, description: FileDescription, offset: number): number {
	if (address === 0) {
		description.offset = offset;
		return 0;
	}
	scratchView.setUint32(0, offset % 0x1_0000_0000, true);
	scratchView.setInt32(4, Math.floor(offset / 0x1_0000_0000), true);
	return copyOut(task.tid, address, 8);
}

/** Waits for bytes to read: 0 when there are some, 1 at the end of the pipe, -EAGAIN, or BLOCKED. */
function waitForBytes(task: Task, pipe: Pipe, isNonBlocking: boolean): number {
	if (pipe.ring.size > 0) return 0;
	if (pipe.writers === 0) return 1;
	return isNonBlocking ? -EAGAIN : task.blockOn(pipe.readWaiters, POLLIN | POLLRDNORM | POLLHUP, true);
}

/** Waits for space to write to: 0 when there is some, -EPIPE (and SIGPIPE), -EAGAIN, or BLOCKED. */
function waitForSpace(task: Task, pipe: Pipe, isNonBlocking: boolean): number {
	if (pipe.readers === 0) {
		task.kernel.signals.sendToThread(task, SIGPIPE);
		return -EPIPE;
	}
	if (pipe.space > 0) return 0;
	return isNonBlocking ? -EAGAIN : task.blockOn(pipe.writeWaiters, POLLOUT | POLLWRNORM | POLLERR, true);
}

/** splice(2). */
export function sysSplice(task: Task, trap: Trap): number {
	const length = trap.size(4);
	const flags = trap.uint(5);
	if (length === 0) return 0;
	if ((flags & ~SPLICE_F_ALL) !== 0) return -EINVAL;
	const from = task.file(trap.int(0));
	const to = task.file(trap.int(2));
	if (from === null || to === null || !from.isReadable || !to.isWritable) return -EBADF;
	const fromPipe = pipeOf(from);
	const toPipe = pipeOf(to);
	if ((fromPipe !== null && trap.size(1) !== 0) || (toPipe !== null && trap.size(3) !== 0)) return -ESPIPE;
	const isNonBlocking = (flags & SPLICE_F_NONBLOCK) !== 0;
	// A file's position and the count don't make a negative one.
	if (trap.long(4) < 0 && (fromPipe === null || toPipe === null)) return -EINVAL;
	if (fromPipe !== null && toPipe !== null)
		return pipeToPipe(task, fromPipe, toPipe, length, isNonBlocking || from.isNonBlocking || to.isNonBlocking, false);
	if (fromPipe !== null) return pipeToFile(task, trap, fromPipe, to, length, isNonBlocking || from.isNonBlocking);
	if (toPipe !== null) return fileToPipe(task, trap, from, toPipe, length, isNonBlocking || to.isNonBlocking);
	return -EINVAL;
}

/** tee(2). */
export function sysTee(task: Task, trap: Trap): number {
	const flags = trap.uint(3);
	if ((flags & ~SPLICE_F_ALL) !== 0) return -EINVAL;
	const length = trap.size(2);
	if (length === 0) return 0;
	const from = task.file(trap.int(0));
	const to = task.file(trap.int(1));
	if (from === null || to === null || !from.isReadable || !to.isWritable) return -EBADF;
	const fromPipe = pipeOf(from);
	const toPipe = pipeOf(to);
	if (fromPipe === null || toPipe === null) return -EINVAL;
	const isNonBlocking = (flags & SPLICE_F_NONBLOCK) !== 0 || from.isNonBlocking || to.isNonBlocking;
	return pipeToPipe(task, fromPipe, toPipe, length, isNonBlocking, true);
}

/** From one pipe to another; `isCopy` leaves the bytes where they are as well. */
function pipeToPipe(task: Task, from: Pipe, to: Pipe, length: number, isNonBlocking: boolean, isCopy: boolean): number {
	if (from === to) return -EINVAL;
	const filled = waitForBytes(task, from, isNonBlocking);
	if (filled !== 0) return filled === 1 ? 0 : filled;
	const open = waitForSpace(task, to, isNonBlocking);
	if (open !== 0) return open;
	const bytes = Math.min(length, from.ring.size, to.space, BUFFER_BYTES);
	const copied = peek(from, bytes);
	ioVector.kernel(buffer, 0, copied);
	to.put(ioVector, copied, false);
	if (!isCopy) from.drop(copied);
	return copied;
}

/** Bytes of the pipe into the buffer, left in the pipe. */
function peek(pipe: Pipe, length: number): number {
	ioVector.kernel(buffer, 0, length);
	return pipe.ring.peek(ioVector, length);
}

function pipeToFile(task: Task, trap: Trap, pipe: Pipe, to: FileDescription, length: number, isNonBlocking: boolean): number {
	const address = trap.size(3);
	if (address !== 0 && !to.isSeekable) return -EINVAL;
	if (to.isAppend) return -EINVAL;
	const filled = waitForBytes(task, pipe, isNonBlocking);
	if (filled !== 0) return filled === 1 ? 0 : filled;
	const start = readOffset(task, address, to);
	if (start < 0) return start;
	const bytes = peek(pipe, Math.min(length, pipe.ring.size, BUFFER_BYTES));
	ioVector.kernel(buffer, 0, bytes);
	let written = to.write(task, ioVector, address === 0 ? AT_OFFSET : start);
	// What the target has taken is gone from the pipe: a short count, not a wait that would lose track of it.
	if (written === BLOCKED && trap.progress > 0) written = trap.progress;
	if (written <= 0) return written;
	pipe.drop(written);
	return (address === 0 ? 0 : writeOffset(task, address, to, start + written)) || written;
}

function fileToPipe(task: Task, trap: Trap, from: FileDescription, pipe: Pipe, length: number, isNonBlocking: boolean): number {
	const address = trap.size(1);
	if (address !== 0 && !from.isSeekable) return -EINVAL;
	if (from.inode.isDirectory) return -EINVAL;
	const open = waitForSpace(task, pipe, isNonBlocking);
	if (open !== 0) return open;
	const start = readOffset(task, address, from);
	if (start < 0) return start;
	ioVector.kernel(buffer, 0, Math.min(length, pipe.space, BUFFER_BYTES));
	const bytes = from.read(task, ioVector, address === 0 ? AT_OFFSET : start);
	if (bytes <= 0) return bytes;
	ioVector.kernel(buffer, 0, bytes);
	pipe.put(ioVector, bytes, false);
	return (address === 0 ? 0 : writeOffset(task, address, from, start + bytes)) || bytes;
}

/** vmsplice(2): pages aren't given away, so that SPLICE_F_GIFT is a copy like any other. */
export function sysVmsplice(task: Task, trap: Trap): number {
	const flags = trap.uint(3);
	if ((flags & ~SPLICE_F_ALL) !== 0) return -EINVAL;
	const description = task.file(trap.int(0));
	if (description === null) return -EBADF;
	const pipe = pipeOf(description);
	if (pipe === null) return -EBADF;
	const error = ioVector.vector(task.tid, trap.size(1), trap.int(2));
	if (error < 0) return error;
	if (ioVector.length === 0) return 0;
	const isNonBlocking = (flags & SPLICE_F_NONBLOCK) !== 0;
	if (description.isWritable) {
		const open = waitForSpace(task, pipe, isNonBlocking);
		return open !== 0 ? open : pipe.put(ioVector, Math.min(ioVector.length, pipe.space), false);
	}
	const filled = waitForBytes(task, pipe, isNonBlocking);
	return filled !== 0 ? (filled === 1 ? 0 : filled) : pipe.take(ioVector);
}

/** sendfile(2): from what has a position to anything. A blocked target holds the call, whose offset is always that of what was sent. */
export function sysSendfile(task: Task, trap: Trap): number {
	const from = task.file(trap.int(1));
	const address = trap.size(2);
	if (from === null || !from.isReadable) return -EBADF;
	if (address !== 0 && !from.isSeekable) return -ESPIPE;
	const to = task.file(trap.int(0));
	if (to === null || !to.isWritable) return -EBADF;
	if (!from.isSeekable || from.inode.isDirectory || to.isAppend) return -EINVAL;
	if (trap.long(3) < 0) return -EINVAL;
	const length = Math.min(trap.size(3), MAX_BYTES_PER_RUN);
	let sent = trap.progress;
	while (sent < length) {
		const start = readOffset(task, address, from);
		if (start < 0) return sent > 0 ? sent : start;
		ioVector.kernel(buffer, 0, Math.min(length - sent, BUFFER_BYTES));
		const bytes = from.read(task, ioVector, start);
		if (bytes <= 0) return sent > 0 ? sent : bytes;
		ioVector.kernel(buffer, 0, bytes);
		// To the target each piece is a write of its own.
		trap.progress = 0;
		const result = to.write(task, ioVector, AT_OFFSET);
		const written = result === BLOCKED ? trap.progress : Math.max(result, 0);
		sent += written;
		trap.progress = sent;
		if (written > 0) {
			const fault = writeOffset(task, address, from, start + written);
			if (fault < 0) return fault;
		}
		if (result === BLOCKED) return BLOCKED;
		if (result < 0) return sent > 0 ? sent : result;
		if (written < bytes) break;
	}
	return sent;
}

/** copy_file_range(2): between regular files; by the host where it has both. */
export function sysCopyFileRange(task: Task, trap: Trap): number {
	const from = task.file(trap.int(0));
	const to = task.file(trap.int(2));
	if (from === null || to === null) return -EBADF;
	if (trap.uint(5) !== 0) return -EINVAL;
	const fromOffset = readOffset(task, trap.size(1), from);
	if (fromOffset < 0) return fromOffset;
	const toOffset = readOffset(task, trap.size(3), to);
	if (toOffset < 0) return toOffset;
	if (from.inode.isDirectory || to.inode.isDirectory) return -EISDIR;
	if (!from.inode.isRegular || !to.inode.isRegular) return -EINVAL;
	if (!from.isReadable || !to.isWritable || to.isAppend) return -EBADF;
	if (trap.long(4) < 0) return -EINVAL;
	const failed = from.stat(sharedStat);
	if (failed < 0) return failed;
	// What lies behind the end isn't copied, and doesn't overlap.
	const wanted = Math.min(trap.size(4), MAX_BYTES_PER_RUN, Math.max(0, sharedStat.sizeBytes - fromOffset));
	if (wanted === 0) return 0;
	if (from.inode === to.inode && fromOffset < toOffset + wanted && toOffset < fromOffset + wanted) return -EINVAL;
	const length = limitFileSize(task, toOffset, wanted);
	if (length <= 0) return length;
	const bytes =
		from.hostFd >= 0 && to.hostFd >= 0
			? copyOnHost(task, from, fromOffset, to, toOffset, length)
			: copyHere(task, from, fromOffset, to, toOffset, length);
	if (bytes <= 0) return bytes;
	return writeOffset(task, trap.size(1), from, fromOffset + bytes) || writeOffset(task, trap.size(3), to, toOffset + bytes) || bytes;
}

function copyOnHost(task: Task, from: FileDescription, fromOffset: number, to: FileDescription, toOffset: number, length: number): number {
	dropSetIdBits(to.inode, task);
	return native.copyFileRange(from.hostFd, fromOffset, to.hostFd, toOffset, length);
}

/** Within a file system that is the guest kernel's own. */
function copyHere(task: Task, from: FileDescription, fromOffset: number, to: FileDescription, toOffset: number, length: number): number {
	if (from.inode.fs !== to.inode.fs) return -EXDEV;
	let copied = 0;
	while (copied < length) {
		ioVector.kernel(buffer, 0, Math.min(length - copied, BUFFER_BYTES));
		const bytes = from.read(task, ioVector, fromOffset + copied);
		if (bytes <= 0) return copied > 0 ? copied : bytes;
		ioVector.kernel(buffer, 0, bytes);
		const written = to.write(task, ioVector, toOffset + copied);
		if (written < 0) return copied > 0 ? copied : written;
		copied += written;
		if (written < bytes) break;
	}
	return copied;
}
