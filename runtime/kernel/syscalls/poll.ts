import { native } from '../../native.js';
import { EBADF, EFAULT, EINVAL } from '../abi/errno.js';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../abi/poll-constants.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import { copyInSignalMask, copyInTimeout, setDeadlineMs } from '../event/poll-wait.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyOut, copyOutBytes, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

// --- poll ----------------------------------------------------------------------------------------------------------

const POLLFD_BYTES = 8;

/** The guest's pollfd array, fetched once. */
class PollSet {
	constructor(
		readonly fds: Int32Array,
		readonly events: Int16Array,
	) {}
}

/** poll(2). */
export function sysPoll(task: Task, trap: Trap): number {
	if (trap.isFirstRun) setDeadlineMs(task, trap.int(2));
	return poll(task, trap, trap.int(2) === 0);
}

/** ppoll(2). The time left is written back, as Linux does. */
export function sysPpoll(task: Task, trap: Trap): number {
	let isPolling = false;
	if (trap.isFirstRun) {
		const timeoutNs = copyInTimeout(task, trap.size(2));
		if (timeoutNs < -1) return timeoutNs;
		isPolling = timeoutNs === 0;
		if (timeoutNs > 0) task.setDeadline(native.monotonicNs() + timeoutNs);
		const error = copyInSignalMask(task, trap.size(3), trap.size(4));
		if (error < 0) return error;
	}
	const result = poll(task, trap, isPolling);
	if (result !== BLOCKED && trap.deadlineNs >= 0) copyOutRemaining(task, trap, trap.size(2), 1);
	return result;
}

function copyOutRemaining(task: Task, trap: Trap, address: number, unitNs: number): void {
	const left = Math.max(0, trap.deadlineNs - native.monotonicNs());
	const seconds = Math.floor(left / 1e9);
	scratchView.setUint32(0, seconds % 0x1_0000_0000, true);
	scratchView.setUint32(4, Math.floor(seconds / 0x1_0000_0000), true);
	scratchView.setUint32(8, Math.floor((left - seconds * 1e9) / unitNs), true);
	scratchView.setUint32(12, 0, true);
	// A timeout in read-only memory is no error.
	copyOut(task.tid, address, 16);
}

function poll(task: Task, trap: Trap, isPolling: boolean): number {
	const count = trap.uint(1);
	if (trap.state === null) {
		if (count > task.group.limits.soft[RLIMIT_NOFILE]!) return -EINVAL;
		const bytes = Buffer.allocUnsafe(count * POLLFD_BYTES);
		const error = copyInBytes(task.tid, trap.size(0), bytes, 0, bytes.length);
		if (error < 0) return error;
		const set = new PollSet(new Int32Array(count), new Int16Array(count));
		for (let i = 0; i < count; i++) {
			set.fds[i] = bytes.readInt32LE(i * POLLFD_BYTES);
			set.events[i] = bytes.readInt16LE(i * POLLFD_BYTES + 4);
		}
		trap.state = set;
	}
	const { fds, events } = trap.state as PollSet;
	const answer = count * POLLFD_BYTES <= scratch.length ? scratch : Buffer.allocUnsafe(count * POLLFD_BYTES);
	let ready = 0;
	for (let i = 0; i < count; i++) {
		let revents = 0;
		const fd = fds[i]!;
		if (fd >= 0) {
			const description = task.file(fd);
			revents = description === null ? POLLNVAL : description.poll() & (events[i]! | POLLERR | POLLHUP);
			if (revents !== 0) ready++;
		}
		const at = i * POLLFD_BYTES;
		answer.writeInt32LE(fd, at);
		answer.writeInt16LE(events[i]!, at + 4);
		answer.writeInt16LE(revents, at + 6);
	}
	if (ready === 0 && !isPolling && !trap.hasTimedOut) {
		for (let i = 0; i < count; i++) {
			const description = fds[i]! >= 0 ? task.file(fds[i]!) : null;
			if (description !== null) task.waitOn(description.waiters, (events[i]! & 0xffff) | POLLERR | POLLHUP);
		}
		return BLOCKED;
	}
	const error = copyOutBytes(task.tid, trap.size(0), answer, count * POLLFD_BYTES);
	return error < 0 ? error : ready;
}

// --- select --------------------------------------------------------------------------------------------------------

/** What select(2) means by readable, writable, exceptional (fs/select.c). */
const SELECT_EVENTS = [POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR, POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR, POLLPRI];

/** The guest's three fd_sets, fetched once; absent ones are null. */
class SelectSet {
	constructor(
		readonly count: number,
		readonly sets: readonly (Buffer | null)[],
	) {}
}

/** select(2): microseconds. */
export function sysSelect(task: Task, trap: Trap): number {
	return select(task, trap, 1000);
}

/** pselect6(2): the last argument points to a sigset and its size. */
export function sysPselect6(task: Task, trap: Trap): number {
	if (trap.isFirstRun && trap.size(5) !== 0) {
		const error = copyIn(task.tid, trap.size(5), 16);
		if (error < 0) return error;
		const address = scratchView.getUint32(4, true) * 0x1_0000_0000 + scratchView.getUint32(0, true);
		const size = scratchView.getUint32(12, true) * 0x1_0000_0000 + scratchView.getUint32(8, true);
		const failed = copyInSignalMask(task, address, size);
		if (failed < 0) return failed;
	}
	return select(task, trap, 1);
}

function select(task: Task, trap: Trap, unitNs: number): number {
	let isPolling = false;
	if (trap.isFirstRun) {
		const timeoutNs = copyInTimeout(task, trap.size(4), unitNs);
		if (timeoutNs < -1) return timeoutNs;
		isPolling = timeoutNs === 0;
		if (timeoutNs > 0) task.setDeadline(native.monotonicNs() + timeoutNs);
		const count = trap.int(0);
		if (count < 0) return -EINVAL;
		const sets = copyInSets(task, trap, Math.min(count, Math.max(64, task.files.size)));
		if (typeof sets === 'number') return sets;
		trap.state = sets;
	}
	const result = pollSets(task, trap, isPolling);
	if (result !== BLOCKED && trap.deadlineNs >= 0) copyOutRemaining(task, trap, trap.size(4), unitNs);
	return result;
}

function copyInSets(task: Task, trap: Trap, count: number): SelectSet | number {
	const bytes = ((count + 63) >> 6) << 3;
	const sets: (Buffer | null)[] = [];
	for (let i = 0; i < 3; i++) {
		const address = trap.size(1 + i);
		if (address === 0) {
			sets.push(null);
			continue;
		}
		const set = Buffer.alloc(bytes);
		if (copyInBytes(task.tid, address, set, 0, bytes) < 0) return -EFAULT;
		sets.push(set);
	}
	return new SelectSet(count, sets);
}

function pollSets(task: Task, trap: Trap, isPolling: boolean): number {
	const { count, sets } = trap.state as SelectSet;
	const results = sets.map((set) => (set === null ? null : Buffer.alloc(set.length)));
	let ready = 0;
	for (let fd = 0; fd < count; fd++) {
		const at = fd >> 3;
		const bit = 1 << (fd & 7);
		if (!sets.some((set) => set !== null && (set[at]! & bit) !== 0)) continue;
		const description = task.file(fd);
		if (description === null) return -EBADF;
		const events = description.poll();
		for (let i = 0; i < 3; i++) {
			if (sets[i] === null || (sets[i]![at]! & bit) === 0 || (events & SELECT_EVENTS[i]!) === 0) continue;
			results[i]![at]! |= bit;
			ready++;
		}
	}
	if (ready === 0 && !isPolling && !trap.hasTimedOut) {
		for (let fd = 0; fd < count; fd++) {
			let events = 0;
			for (let i = 0; i < 3; i++) if (sets[i] !== null && (sets[i]![fd >> 3]! & (1 << (fd & 7))) !== 0) events |= SELECT_EVENTS[i]!;
			if (events !== 0) task.waitOn(task.file(fd)!.waiters, events);
		}
		return BLOCKED;
	}
	for (let i = 0; i < 3; i++) {
		if (results[i] !== null && copyOutBytes(task.tid, trap.size(1 + i), results[i]!) < 0) return -EFAULT;
	}
	return ready;
}
