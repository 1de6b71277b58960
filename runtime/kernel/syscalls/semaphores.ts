import { native } from '../../native.js';
import { E2BIG, EACCES, EAGAIN, EFBIG, EIDRM, EINVAL, ENOSPC, EPERM, ERANGE } from '../abi/errno.js';
import {
	GETALL,
	GETNCNT,
	GETPID,
	GETVAL,
	GETZCNT,
	IPC_64,
	IPC_INFO,
	IPC_RMID,
	IPC_SET,
	IPC_STAT,
	SEM_INFO,
	SEM_STAT,
	SEM_STAT_ANY,
	SEM_UNDO,
	SETALL,
	SETVAL,
} from '../abi/sysv.js';
import { bounds } from '../bounds.js';
import { realSeconds } from '../event/clocks.js';
import { FOREVER, readTimeout } from '../event/timeout-argument.js';
import { type IpcNamespace, SEMMSL, SEMOPM } from '../ipc/sysv/ipc-namespace.js';
import { IPC_PERM_BYTES } from '../ipc/sysv/ipc-object.js';
import { type Adjustments, type BlockedOperations, SEMVMX, type SemaphoreOperation, SemaphoreSet } from '../ipc/sysv/semaphore-set.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

const READ = 0o444;
const WRITE = 0o222;
const SEMBUF_BYTES = 6;

/** A call that waits for a set: what it asked for when it came. */
class SemaphoreWait implements BlockedOperations {
	constructor(
		readonly set: SemaphoreSet,
		readonly operations: readonly SemaphoreOperation[],
		public blocking: SemaphoreOperation,
	) {
		set.blocked.add(this);
	}

	dispose(): void {
		this.set.blocked.delete(this);
	}
}

function ipcOf(task: Task): IpcNamespace {
	return task.group.container.ipc;
}

/** semget(2). */
export function sysSemget(task: Task, trap: Trap): number {
	const count = trap.int(1);
	if (count < 0 || count > SEMMSL) return -EINVAL;
	const ipc = ipcOf(task);
	const { credentials } = task;
	const flags = trap.int(2);
	return ipc.semaphores.get(
		trap.int(0),
		flags,
		credentials,
		(found) => (count > found.size ? -EINVAL : 0),
		() => {
			if (count === 0) return -EINVAL;
			if (ipc.semaphoreCount + count > bounds.semaphores) return -ENOSPC;
			ipc.semaphoreCount += count;
			return new SemaphoreSet(trap.int(0), count, flags, credentials);
		},
	);
}

/** semop(2). */
export function sysSemop(task: Task, trap: Trap): number {
	return operate(task, trap, FOREVER);
}

/** semtimedop(2). */
export function sysSemtimedop(task: Task, trap: Trap): number {
	// The deadline was fixed by the first run.
	const timeoutNs = trap.isFirstRun ? readTimeout(task, trap.size(3)) : FOREVER;
	return timeoutNs < 0 ? timeoutNs : operate(task, trap, timeoutNs);
}

function operate(task: Task, trap: Trap, timeoutNs: number): number {
	const waiting = trap.state;
	if (waiting instanceof SemaphoreWait) {
		if (waiting.set.isRemoved) return -EIDRM;
		if (trap.hasTimedOut) return -EAGAIN;
		return apply(task, waiting.set, waiting.operations, FOREVER);
	}
	const count = trap.size(2);
	if (count < 1 || trap.int(0) < 0) return -EINVAL;
	if (count > SEMOPM) return -E2BIG;
	const error = copyIn(task.tid, trap.size(1), count * SEMBUF_BYTES);
	if (error < 0) return error;
	const operations: SemaphoreOperation[] = [];
	for (let at = 0; at < count * SEMBUF_BYTES; at += SEMBUF_BYTES) {
		operations.push({
			number: scratchView.getUint16(at, true),
			change: scratchView.getInt16(at + 2, true),
			flags: scratchView.getUint16(at + 4, true),
		});
	}
	const set = ipcOf(task).semaphores.find(trap.int(0));
	if (typeof set === 'number') return set;
	if (operations.some(({ number }) => number >= set.size)) return -EFBIG;
	const isChanging = operations.some(({ change }) => change !== 0);
	return set.allows(task.credentials, isChanging ? WRITE : READ) ? apply(task, set, operations, timeoutNs) : -EACCES;
}

function apply(task: Task, set: SemaphoreSet, operations: readonly SemaphoreOperation[], timeoutNs: number): number {
	const { group, trap } = task;
	let adjustments: Adjustments | null = null;
	if (operations.some(({ flags }) => (flags & SEM_UNDO) !== 0)) {
		const made = adjustmentsOf(task, set);
		if (typeof made === 'number') return made;
		adjustments = made;
	}
	const result = set.apply(operations, adjustments, group.insideId);
	if (result !== BLOCKED) return result;
	if (timeoutNs === 0) return -EAGAIN;
	if (trap.state instanceof SemaphoreWait) trap.state.blocking = set.blocking!;
	else trap.state = new SemaphoreWait(set, operations, set.blocking!);
	if (timeoutNs !== FOREVER) task.setDeadline(native.monotonicNs() + timeoutNs);
	return task.blockOn(set.waiters);
}

/** What the process has to give back of the set; made when first asked for. */
function adjustmentsOf(task: Task, set: SemaphoreSet): Adjustments | number {
	const { group } = task;
	group.semaphoreUndo ??= new Map();
	const known = group.semaphoreUndo.get(set);
	if (known !== undefined) return known;
	const made = ipcOf(task).undo.make(set);
	if (typeof made !== 'number') group.semaphoreUndo.set(set, made);
	return made;
}

/** semctl(2). */
export function sysSemctl(task: Task, trap: Trap): number {
	const id = trap.int(0);
	const command = trap.int(2) & ~IPC_64;
	if (id < 0) return -EINVAL;
	const ipc = ipcOf(task);
	const { credentials } = task;
	switch (command) {
		case IPC_INFO:
		case SEM_INFO:
			return info(task, ipc, trap.size(3), command === SEM_INFO);
		case IPC_STAT:
		case SEM_STAT:
		case SEM_STAT_ANY: {
			const set = command === IPC_STAT ? ipc.semaphores.find(id) : ipc.semaphores.at(id);
			if (typeof set === 'number') return set;
			if (command !== SEM_STAT_ANY && !set.allows(credentials, READ)) return -EACCES;
			const error = copyOut(task.tid, trap.size(3), set.encode());
			return error < 0 ? error : command === IPC_STAT ? 0 : set.id;
		}
		case IPC_SET: {
			const error = copyIn(task.tid, trap.size(3), IPC_PERM_BYTES);
			if (error < 0) return error;
			const set = ipc.semaphores.find(id);
			if (typeof set === 'number') return set;
			if (!set.isOwnedBy(credentials)) return -EPERM;
			set.set();
			return 0;
		}
		case IPC_RMID: {
			const set = ipc.semaphores.find(id);
			if (typeof set === 'number') return set;
			if (!set.isOwnedBy(credentials)) return -EPERM;
			ipc.semaphores.remove(set);
			ipc.semaphoreCount -= set.size;
			set.waiters.wake();
			return 0;
		}
		case SETVAL:
			return setValue(task, ipc, id, trap.int(1), trap.int(3));
		case GETVAL:
		case GETPID:
		case GETNCNT:
		case GETZCNT:
		case GETALL:
		case SETALL:
			return values(task, ipc, trap, command);
		default:
			return -EINVAL;
	}
}

function setValue(task: Task, ipc: IpcNamespace, id: number, number: number, value: number): number {
	if (value < 0 || value > SEMVMX) return -ERANGE;
	const set = ipc.semaphores.find(id);
	if (typeof set === 'number') return set;
	if (number < 0 || number >= set.size) return -EINVAL;
	if (!set.allows(task.credentials, WRITE)) return -EACCES;
	set.setValue(number, value, task.group.insideId);
	set.ctimeSec = realSeconds();
	set.waiters.wake();
	return 0;
}

function values(task: Task, ipc: IpcNamespace, trap: Trap, command: number): number {
	const set = ipc.semaphores.find(trap.int(0));
	if (typeof set === 'number') return set;
	if (!set.allows(task.credentials, command === SETALL ? WRITE : READ)) return -EACCES;
	if (command === GETALL) {
		for (const [at, value] of set.values.entries()) scratchView.setUint16(at * 2, value, true);
		return copyOut(task.tid, trap.size(3), set.size * 2);
	}
	if (command === SETALL) {
		const error = copyIn(task.tid, trap.size(3), set.size * 2);
		if (error < 0) return error;
		for (let at = 0; at < set.size; at++) if (scratchView.getUint16(at * 2, true) > SEMVMX) return -ERANGE;
		const pid = task.group.insideId;
		for (let at = 0; at < set.size; at++) set.setValue(at, scratchView.getUint16(at * 2, true), pid);
		set.ctimeSec = realSeconds();
		set.waiters.wake();
		return 0;
	}
	const number = trap.int(1);
	if (number < 0 || number >= set.size) return -EINVAL;
	if (command === GETVAL) return set.values[number]!;
	if (command === GETPID) return set.pids[number]!;
	return set.countBlocked(number, command === GETZCNT);
}

/** struct seminfo. */
function info(task: Task, ipc: IpcNamespace, address: number, isUse: boolean): number {
	const used = isUse ? [ipc.semaphores.size, SEMVMX, ipc.semaphoreCount] : [20, SEMVMX, SEMVMX];
	const fields = [bounds.semaphores, bounds.semaphoreSets, bounds.semaphores, bounds.semaphores, SEMMSL, SEMOPM, SEMOPM, ...used];
	for (const [at, field] of fields.entries()) scratchView.setInt32(at * 4, field, true);
	const error = copyOut(task.tid, address, fields.length * 4);
	return error < 0 ? error : Math.max(0, ipc.semaphores.highest);
}
