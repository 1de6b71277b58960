import { EAGAIN, EBADF, EFAULT, EINPROGRESS, EINVAL } from '../abi/errno.js';
import { O_NONBLOCK, O_PATH } from '../abi/fcntl.js';
import { POLLERR, POLLHUP } from '../abi/poll-constants.js';
import { bounds } from '../bounds.js';
import { AioContext, AioRequest } from '../event/aio-context.js';
import { takeSignalMask } from '../event/signal-mask-reader.js';
import { readTimeout, setTimeoutOf } from '../event/timeout-argument.js';
import { EventFd } from '../ipc/eventfd.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, copyOutInt, ioVector, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { FileDescription } from '../vfs/file-description.js';

const IOCB_CMD_PREAD = 0;
const IOCB_CMD_PWRITE = 1;
const IOCB_CMD_FSYNC = 2;
const IOCB_CMD_FDSYNC = 3;
const IOCB_CMD_POLL = 5;
const IOCB_CMD_PREADV = 7;
const IOCB_CMD_PWRITEV = 8;
const IOCB_FLAG_RESFD = 1;
const IOCB_BYTES = 64;
const EVENT_BYTES = 32;
/** struct __aio_sigset. */
const SIGSET_ARGUMENT_BYTES = 16;
/** Events copied out at once. */
const EVENTS_PER_COPY = 1024;

/** A process's contexts by id. */
function contextOf(task: Task, id: number): AioContext | null {
	return task.group.aio?.get(id) ?? null;
}

function get64(at: number): number {
	return scratchView.getInt32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
}

function put64(at: number, value: number): void {
	scratchView.setUint32(at, value >= 0 ? value % 0x1_0000_0000 : value, true);
	scratchView.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/**
 * io_setup(2). The id is the address of the caller's variable, or one close by: libaio looks for the kernel's ring there, so that it must be an address that can
 * be read.
 */
export function sysIoSetup(task: Task, trap: Trap): number {
	const maxEvents = trap.uint(0);
	const address = trap.size(1);
	const error = copyIn(task.tid, address, 8);
	if (error < 0) return error;
	if (get64(0) !== 0 || maxEvents === 0 || maxEvents > 0x1000_0000) return -EINVAL;
	task.group.aio ??= new Map();
	const contexts = task.group.aio;
	let total = maxEvents;
	for (const context of contexts.values()) total += context.maxEvents;
	if (total > bounds.aioEvents || contexts.size >= bounds.aioContexts) return -EAGAIN;
	let id = address;
	while (contexts.has(id)) id++;
	put64(0, id);
	const fault = copyOut(task.tid, address, 8);
	if (fault < 0) return fault;
	contexts.set(id, new AioContext(maxEvents));
	return 0;
}

/** io_destroy(2). */
export function sysIoDestroy(task: Task, trap: Trap): number {
	const context = contextOf(task, trap.size(0));
	if (context === null) return -EINVAL;
	task.group.aio!.delete(trap.size(0));
	context.destroy();
	return 0;
}

/** io_submit(2). */
export function sysIoSubmit(task: Task, trap: Trap): number {
	const context = contextOf(task, trap.size(0));
	const count = trap.long(1);
	if (context === null || count < 0) return -EINVAL;
	const many = Math.min(count, context.maxEvents);
	for (let i = 0; i < many; i++) {
		const error = copyIn(task.tid, trap.size(2) + i * 8, 8) || submit(task, trap, context, get64(0));
		if (error < 0) return i > 0 ? i : error;
	}
	return many;
}

/** One request; its iocb lies at `address`. */
function submit(task: Task, trap: Trap, context: AioContext, address: number): number {
	const error = copyIn(task.tid, address, IOCB_BYTES);
	if (error < 0) return error;
	const dataLow = scratchView.getUint32(0, true);
	const dataHigh = scratchView.getUint32(4, true);
	const rwFlags = scratchView.getInt32(12, true);
	const opcode = scratchView.getUint16(16, true);
	const fd = scratchView.getInt32(20, true);
	const buffer = get64(24);
	const bytes = get64(32);
	const offset = get64(40);
	const reserved = get64(48);
	const flags = scratchView.getUint32(56, true);
	const resfd = scratchView.getInt32(60, true);
	if (reserved !== 0 || bytes < 0 || buffer < 0) return -EINVAL;
	if (context.isFull) return -EAGAIN;
	const description = task.file(fd);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	let eventfd: EventFd | null = null;
	if ((flags & IOCB_FLAG_RESFD) !== 0) {
		const found = task.file(resfd);
		if (found === null) return -EBADF;
		if (!(found instanceof EventFd)) return -EINVAL;
		eventfd = found;
	}
	// aio_key, which io_cancel looks at.
	const fault = copyOutInt(task.tid, address + 8, 0);
	if (fault < 0) return fault;
	if (opcode === IOCB_CMD_POLL) {
		if (buffer > 0xffff || offset !== 0 || bytes !== 0 || rwFlags !== 0) return -EINVAL;
		const request = new AioRequest(context, description, eventfd, address, dataLow, dataHigh, buffer | POLLERR | POLLHUP);
		context.submitted(request);
		request.poll();
		return 0;
	}
	const refused = checkTransfer(task, opcode, description, buffer, bytes, offset);
	if (refused < 0) return refused;
	const request = new AioRequest(context, description, eventfd, address, dataLow, dataHigh, 0);
	context.submitted(request);
	request.complete(transfer(task, trap, opcode, description, offset));
	return 0;
}

/** What io_submit itself refuses; `ioVector` is set up for a transfer. */
function checkTransfer(task: Task, opcode: number, description: FileDescription, buffer: number, bytes: number, offset: number): number {
	switch (opcode) {
		case IOCB_CMD_FSYNC:
		case IOCB_CMD_FDSYNC:
			return buffer !== 0 || offset !== 0 || bytes !== 0 || !description.inode.isRegular ? -EINVAL : 0;
		case IOCB_CMD_PREAD:
		case IOCB_CMD_PREADV:
			if (!description.isReadable) return -EBADF;
			break;
		case IOCB_CMD_PWRITE:
		case IOCB_CMD_PWRITEV:
			if (!description.isWritable) return -EBADF;
			break;
		default:
			return -EINVAL;
	}
	if (description.inode.isDirectory || (description.isSeekable && offset < 0)) return -EINVAL;
	const isVector = opcode === IOCB_CMD_PREADV || opcode === IOCB_CMD_PWRITEV;
	return isVector ? ioVector.vector(task.tid, buffer, bytes) : ioVector.single(task.tid, buffer, bytes);
}

/** Does it: bytes, or -errno. What would wait is -EAGAIN, as of a description that doesn't. */
function transfer(task: Task, trap: Trap, opcode: number, description: FileDescription, offset: number): number {
	if (opcode === IOCB_CMD_FSYNC || opcode === IOCB_CMD_FDSYNC) return description.sync(opcode === IOCB_CMD_FDSYNC);
	const isWrite = opcode === IOCB_CMD_PWRITE || opcode === IOCB_CMD_PWRITEV;
	const before = description.flags;
	description.flags |= O_NONBLOCK;
	trap.progress = 0;
	let result = isWrite ? description.write(task, ioVector, offset) : description.read(task, ioVector, offset);
	description.flags = before;
	if (result === BLOCKED) {
		task.unblock();
		result = trap.progress > 0 ? trap.progress : -EAGAIN;
	}
	trap.progress = 0;
	return result;
}

/** io_getevents(2): as many events as are there, at least `min_nr`, or those that came in time. */
export function sysIoGetevents(task: Task, trap: Trap): number {
	const context = contextOf(task, trap.size(0));
	const minimum = trap.long(1);
	const maximum = trap.long(2);
	const timeoutNs = trap.isFirstRun ? readTimeout(task, trap.size(4)) : 1;
	if (timeoutNs < 0) return timeoutNs;
	if (context === null || minimum < 0 || maximum < 0 || minimum > maximum) return -EINVAL;
	if (context.doneCount < minimum && timeoutNs !== 0 && !trap.hasTimedOut) {
		if (trap.isFirstRun) setTimeoutOf(task, timeoutNs);
		return task.blockOn(context.waiters);
	}
	return deliver(task, context, trap.size(3), Math.min(maximum, context.doneCount, EVENTS_PER_COPY));
}

/** io_pgetevents(2): waits under a signal mask, which a structure of address and size names. */
export function sysIoPgetevents(task: Task, trap: Trap): number {
	if (trap.isFirstRun && trap.size(5) !== 0) {
		const error = copyIn(task.tid, trap.size(5), SIGSET_ARGUMENT_BYTES);
		if (error < 0) return error;
		const failed = takeSignalMask(task, get64(0), get64(8));
		if (failed < 0) return failed;
	}
	return sysIoGetevents(task, trap);
}

/** Copies `count` events out and forgets them. */
function deliver(task: Task, context: AioContext, address: number, count: number): number {
	for (let i = 0; i < count; i++) {
		const request = context.event(i);
		const at = i * EVENT_BYTES;
		scratchView.setUint32(at, request.dataLow, true);
		scratchView.setUint32(at + 4, request.dataHigh, true);
		put64(at + 8, request.address);
		put64(at + 16, request.result);
		put64(at + 24, 0);
	}
	if (count === 0) return 0;
	if (copyOut(task.tid, address, count * EVENT_BYTES) < 0) return -EFAULT;
	context.take(count);
	return count;
}

/** io_cancel(2): only polls are ever under way; the event of a cancelled one comes like any other. */
export function sysIoCancel(task: Task, trap: Trap): number {
	const error = copyIn(task.tid, trap.size(1) + 8, 4);
	if (error < 0) return error;
	const context = contextOf(task, trap.size(0));
	if (scratchView.getUint32(0, true) !== 0 || context === null) return -EINVAL;
	const request = context.find(trap.size(1));
	if (request === null) return -EINVAL;
	request.complete(0);
	return -EINPROGRESS;
}
