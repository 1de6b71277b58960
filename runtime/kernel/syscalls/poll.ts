import { EBADF, EFAULT, EINVAL } from '../abi/errno.js';
import { O_PATH } from '../abi/fcntl.js';
import {
	POLLERR,
	POLLHUP,
	POLLIN,
	POLLNVAL,
	POLLOUT,
	POLLPRI,
	POLLRDBAND,
	POLLRDNORM,
	POLLWRBAND,
	POLLWRNORM,
} from '../abi/poll-constants.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import { eventFilter, PollSet, pollDescription } from '../event/poll-set.js';
import { takeSignalMask } from '../event/signal-mask-reader.js';
import { readTimeout, setTimeoutOf, timeoutOfMs, writeTimeLeft } from '../event/timeout-argument.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyOut, copyOutBytes, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

// --- poll ---------------------------------------------------------------------------------------------------------

const POLLFD_BYTES = 8;
const REVENTS = 6;

/** poll(2). */
export function sysPoll(task: Task, trap: Trap): number {
	return poll(task, trap, timeoutOfMs(trap.int(2)));
}

/** ppoll(2): Linux's, which stores the time left. */
export function sysPpoll(task: Task, trap: Trap): number {
	const timeoutNs = trap.state instanceof PollSet ? trap.state.timeoutNs : readTimeout(task, trap.size(2));
	if (timeoutNs < 0) return timeoutNs;
	const error = takeSignalMask(task, trap.size(3), trap.size(4));
	if (error < 0) return error;
	const result = poll(task, trap, timeoutNs);
	if (result !== BLOCKED) writeTimeLeft(task, trap.size(2), timeoutNs);
	return result;
}

function poll(task: Task, trap: Trap, timeoutNs: number): number {
	const address = trap.size(0);
	const count = trap.uint(1);
	return trap.state instanceof PollSet
		? pollAgain(task, trap, trap.state, address, count)
		: pollFirst(task, trap, address, count, timeoutNs);
}

/** The array of a poll that doesn't fit the scratch buffer; grown as needed. */
let largeArray = Buffer.alloc(0);

/** Copies the guest's array in: where it is now, or -errno. */
function readArray(task: Task, address: number, bytes: number): Buffer | number {
	if (bytes <= scratch.length) return copyIn(task.tid, address, bytes) || scratch;
	if (largeArray.length < bytes) largeArray = Buffer.alloc(bytes);
	return copyInBytes(task.tid, address, largeArray, 0, bytes) || largeArray;
}

function pollFirst(task: Task, trap: Trap, address: number, count: number, timeoutNs: number): number {
	if (count > task.group.limits.soft[RLIMIT_NOFILE]!) return -EINVAL;
	const bytes = count * POLLFD_BYTES;
	const array = count === 0 ? scratch : readArray(task, address, bytes);
	if (typeof array === 'number') return array;
	let ready = 0;
	for (let at = 0; at < bytes; at += POLLFD_BYTES) {
		const fd = array.readInt32LE(at);
		const revents = fd < 0 ? 0 : pollDescription(task.file(fd), eventFilter(array.readUInt16LE(at + 4)));
		array.writeUInt16LE(revents, at + REVENTS);
		if (revents !== 0) ready++;
	}
	// A mask may let a pending signal through: that is found as the call blocks, if only for a moment.
	const mustBlock = ready === 0 && (timeoutNs > 0 || (trap.signalMask !== null && task.group.signalsSent > 0));
	if (!mustBlock) return writeArray(task, address, array, bytes, ready);
	const set = new PollSet();
	set.timeoutNs = timeoutNs;
	for (let at = 0; at < bytes; at += POLLFD_BYTES) {
		const fd = array.readInt32LE(at);
		set.add(fd < 0 ? null : task.file(fd), eventFilter(array.readUInt16LE(at + 4)));
	}
	trap.state = set;
	setTimeoutOf(task, timeoutNs);
	set.wait(task);
	return BLOCKED;
}

function pollAgain(task: Task, trap: Trap, set: PollSet, address: number, count: number): number {
	let ready = 0;
	for (let i = 0; i < count; i++) if (set.poll(i) !== 0) ready++;
	if (ready === 0 && !trap.hasTimedOut) {
		set.wait(task);
		return BLOCKED;
	}
	// Only `revents` are the call's to change: what another thread has done to the rest of the array meanwhile stays.
	const bytes = count * POLLFD_BYTES;
	const array = count === 0 ? scratch : readArray(task, address, bytes);
	if (typeof array === 'number') return array;
	for (let i = 0; i < count; i++) array.writeUInt16LE(set.poll(i), i * POLLFD_BYTES + REVENTS);
	return writeArray(task, address, array, bytes, ready);
}

/** Stores the `revents`: from the first to the last. */
function writeArray(task: Task, address: number, array: Buffer, bytes: number, ready: number): number {
	if (bytes === 0) return ready;
	const length = bytes - REVENTS;
	const error = array === scratch ? copyOut(task.tid, address + REVENTS, length, REVENTS) : copyOutBytes(task.tid, address, array, bytes);
	return error < 0 ? error : ready;
}

// --- select -------------------------------------------------------------------------------------------------------

const SELECT_IN = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR | POLLNVAL;
const SELECT_OUT = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR | POLLNVAL;
const SELECT_EXCEPTION = POLLPRI | POLLNVAL;
const SELECT_EVENTS = [SELECT_IN, SELECT_OUT, SELECT_EXCEPTION] as const;

/** A select(2): what it waits for, by descriptor. */
class SelectSet extends PollSet {
	/** Descriptors, ascending, and which of the three sets each is in (bit 0 to 2). */
	readonly fds: number[] = [];
	readonly sets: number[] = [];
	/** Length of each set, in bytes. */
	setBytes = 0;

	override dispose(): void {
		super.dispose();
		this.fds.length = this.sets.length = 0;
	}
}

/** select(2): Linux's, which stores the time left. */
export function sysSelect(task: Task, trap: Trap): number {
	const timeoutNs = trap.state instanceof SelectSet ? trap.state.timeoutNs : readTimeout(task, trap.size(4), true);
	if (timeoutNs < 0) return timeoutNs;
	const result = select(task, trap, timeoutNs);
	if (result !== BLOCKED) writeTimeLeft(task, trap.size(4), timeoutNs, true);
	return result;
}

/** pselect6(2): its last argument points to the mask's address and size. */
export function sysPselect6(task: Task, trap: Trap): number {
	const timeoutNs = trap.state instanceof SelectSet ? trap.state.timeoutNs : readTimeout(task, trap.size(4));
	if (timeoutNs < 0) return timeoutNs;
	if (trap.isFirstRun && trap.size(5) !== 0) {
		if (copyIn(task.tid, trap.size(5), 16) < 0) return -EFAULT;
		const address = scratchView.getUint32(4, true) * 0x1_0000_0000 + scratchView.getUint32(0, true);
		const sizeBytes = scratchView.getUint32(12, true) * 0x1_0000_0000 + scratchView.getUint32(8, true);
		const error = takeSignalMask(task, address, sizeBytes);
		if (error < 0) return error;
	}
	const result = select(task, trap, timeoutNs);
	if (result !== BLOCKED) writeTimeLeft(task, trap.size(4), timeoutNs);
	return result;
}

/** Bits per word of an fd_set. */
const WORD_BITS = 64;
const WORD_BYTES = 8;
/** Three sets have to fit the scratch buffer. */
const MAX_SELECTED = Math.floor(scratch.length / (SELECT_EVENTS.length * WORD_BYTES)) * WORD_BITS;

/** For calls that don't block, one after the other. */
let spareSet: SelectSet | null = null;

function select(task: Task, trap: Trap, timeoutNs: number): number {
	if (trap.int(0) < 0) return -EINVAL;
	if (trap.state instanceof SelectSet) return finishSelect(task, trap, trap.state, trap.hasTimedOut);
	const set = spareSet ?? new SelectSet();
	spareSet = null;
	set.timeoutNs = timeoutNs;
	// Descriptors that the table has no room for aren't looked at (fs/select.c, core_sys_select).
	const room = Math.max(WORD_BITS, Math.ceil(task.files.size / WORD_BITS) * WORD_BITS);
	const count = Math.min(trap.int(0), room, MAX_SELECTED);
	set.setBytes = Math.ceil(count / WORD_BITS) * WORD_BYTES;
	const mustBlock = timeoutNs > 0 || (trap.signalMask !== null && task.group.signalsSent > 0);
	const result = readSets(task, trap, set, count) || finishSelect(task, trap, set, !mustBlock);
	if (result === BLOCKED) {
		trap.state = set;
		setTimeoutOf(task, timeoutNs);
	} else {
		set.dispose();
		spareSet = set;
	}
	return result;
}

/** Copies the three sets in and finds their descriptions. Errors: EFAULT, EBADF. */
function readSets(task: Task, trap: Trap, set: SelectSet, count: number): number {
	const { setBytes } = set;
	for (let i = 0; i < SELECT_EVENTS.length; i++) {
		const address = trap.size(1 + i);
		if (address === 0 || setBytes === 0) scratch.fill(0, i * setBytes, (i + 1) * setBytes);
		else if (copyIn(task.tid, address, setBytes, i * setBytes) < 0) return -EFAULT;
	}
	for (let byte = 0; byte * 8 < count; byte++) {
		const inBits = scratch[byte]!;
		const outBits = scratch[setBytes + byte]!;
		const exceptionBits = scratch[2 * setBytes + byte]!;
		if ((inBits | outBits | exceptionBits) === 0) continue;
		for (let bit = 0; bit < 8 && byte * 8 + bit < count; bit++) {
			const sets = ((inBits >> bit) & 1) | (((outBits >> bit) & 1) << 1) | (((exceptionBits >> bit) & 1) << 2);
			if (sets === 0) continue;
			const fd = byte * 8 + bit;
			const description = task.file(fd);
			if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
			let events = POLLERR | POLLHUP;
			for (let i = 0; i < SELECT_EVENTS.length; i++) if ((sets & (1 << i)) !== 0) events |= SELECT_EVENTS[i]!;
			set.add(description, events);
			set.fds.push(fd);
			set.sets.push(sets);
		}
	}
	return 0;
}

/** Looks at every descriptor: stores the three sets and counts their bits, or waits. */
function finishSelect(task: Task, trap: Trap, set: SelectSet, isLast: boolean): number {
	const { setBytes } = set;
	scratch.fill(0, 0, SELECT_EVENTS.length * setBytes);
	let ready = 0;
	for (let entry = 0; entry < set.fds.length; entry++) {
		const events = set.poll(entry);
		if (events === 0) continue;
		const fd = set.fds[entry]!;
		for (let i = 0; i < SELECT_EVENTS.length; i++) {
			if ((set.sets[entry]! & (1 << i)) === 0 || (events & SELECT_EVENTS[i]!) === 0) continue;
			scratch[i * setBytes + (fd >> 3)]! |= 1 << (fd & 7);
			ready++;
		}
	}
	if (ready === 0 && !isLast) {
		set.wait(task);
		return BLOCKED;
	}
	for (let i = 0; i < SELECT_EVENTS.length; i++) {
		const address = trap.size(1 + i);
		if (address !== 0 && setBytes > 0 && copyOut(task.tid, address, setBytes, i * setBytes) < 0) return -EFAULT;
	}
	return ready;
}
