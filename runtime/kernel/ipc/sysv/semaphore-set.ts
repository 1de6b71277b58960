import { EAGAIN, EFBIG, ENOSPC, ERANGE } from '../../abi/errno.js';
import { IPC_NOWAIT, SEM_UNDO } from '../../abi/sysv.js';
import { realSeconds } from '../../event/clocks.js';
import { WaitQueue } from '../../event/wait-queue.js';
import { BLOCKED } from '../../task/blocked.js';
import type { Credentials } from '../../task/credentials.js';
import { IPC_PERM_BYTES, IpcObject, put64 } from './ipc-object.js';

/** The largest value, and the largest adjustment (semop(2), SEMVMX and SEMAEM). */
export const SEMVMX = 32767;
const SEMID_BYTES = 104;

/** One operation of semop(2). */
export interface SemaphoreOperation {
	readonly number: number;
	readonly change: number;
	readonly flags: number;
}

/** What a process has to give back of one set when it ends (SEM_UNDO). */
export type Adjustments = Int16Array;

/** An operation list that blocks: for GETNCNT and GETZCNT. */
export interface BlockedOperations {
	/** Which operation it was that couldn't be done. */
	blocking: SemaphoreOperation;
}

/** A set of semaphores, semget(2). */
export class SemaphoreSet extends IpcObject {
	readonly values: Uint16Array;
	/** Who changed each last, as the namespace numbers processes. */
	readonly pids: Int32Array;
	/** Last semop(2), seconds since 1970; 0 before. */
	otimeSec = 0;
	readonly waiters = new WaitQueue();
	readonly blocked = new Set<BlockedOperations>();
	/** Adjustments of all processes that have some here. */
	readonly adjustments = new Set<Adjustments>();
	/** The operation that `apply` found to block. */
	blocking: SemaphoreOperation | null = null;

	constructor(key: number, count: number, flags: number, credentials: Credentials) {
		super(key, flags, credentials);
		this.values = new Uint16Array(count);
		this.pids = new Int32Array(count);
	}

	get size(): number {
		return this.values.length;
	}

	/**
	 * Does all operations or none. `adjustments` are the caller's, null if none asks for SEM_UNDO. BLOCKED: `blocking` says which can't be done.
	 * Errors: EAGAIN (IPC_NOWAIT), ERANGE, EFBIG.
	 */
	apply(operations: readonly SemaphoreOperation[], adjustments: Adjustments | null, pid: number): number {
		const { values } = this;
		let done = 0;
		let result = 0;
		for (; done < operations.length; done++) {
			const operation = operations[done]!;
			const { number, change, flags } = operation;
			if (number >= values.length) {
				result = -EFBIG;
				break;
			}
			const value = values[number]! + change;
			if ((change === 0 && value !== 0) || value < 0) {
				this.blocking = operation;
				result = (flags & IPC_NOWAIT) !== 0 ? -EAGAIN : BLOCKED;
				break;
			}
			if (value > SEMVMX) {
				result = -ERANGE;
				break;
			}
			if ((flags & SEM_UNDO) !== 0) {
				const adjustment = adjustments![number]! - change;
				if (adjustment < -SEMVMX - 1 || adjustment > SEMVMX) {
					result = -ERANGE;
					break;
				}
				adjustments![number] = adjustment;
			}
			values[number] = value;
		}
		if (result !== 0) {
			while (--done >= 0) {
				const { number, change, flags } = operations[done]!;
				values[number] = values[number]! - change;
				if ((flags & SEM_UNDO) !== 0) adjustments![number] = adjustments![number]! + change;
			}
			return result;
		}
		let isChanged = false;
		for (const { number, change } of operations) {
			this.pids[number] = pid;
			isChanged ||= change !== 0;
		}
		this.otimeSec = realSeconds();
		if (isChanged) this.waiters.wake();
		return 0;
	}

	/** SETVAL, SETALL: nobody has anything to give back of it any more. */
	setValue(number: number, value: number, pid: number): void {
		this.values[number] = value;
		this.pids[number] = pid;
		for (const adjustments of this.adjustments) adjustments[number] = 0;
	}

	/** A process ends: what it has to give back is given back, as far as values go. */
	undo(adjustments: Adjustments, pid: number): void {
		this.adjustments.delete(adjustments);
		if (this.isRemoved) return;
		for (const [number, adjustment] of adjustments.entries()) {
			if (adjustment === 0) continue;
			this.values[number] = Math.min(Math.max(this.values[number]! + adjustment, 0), SEMVMX);
			this.pids[number] = pid;
		}
		this.otimeSec = realSeconds();
		this.waiters.wake();
	}

	/** How many wait for `number` to grow, or for it to be zero. */
	countBlocked(number: number, isForZero: boolean): number {
		let count = 0;
		for (const { blocking } of this.blocked) if (blocking.number === number && (blocking.change === 0) === isForZero) count++;
		return count;
	}

	override encode(): number {
		this.encodePermissions(SEMID_BYTES);
		put64(IPC_PERM_BYTES, this.otimeSec);
		put64(IPC_PERM_BYTES + 16, this.ctimeSec);
		put64(IPC_PERM_BYTES + 32, this.size);
		return SEMID_BYTES;
	}
}

/** Semaphores with adjustments of one namespace at most, over all processes. */
const MAX_ADJUSTMENTS = 1 << 20;

/** What the processes of a namespace have to give back, counted. */
export class UndoAccount {
	private used = 0;

	/** Adjustments for a set, all zero. Errors: ENOSPC. */
	make(set: SemaphoreSet): Adjustments | number {
		if (this.used + set.size > MAX_ADJUSTMENTS) return -ENOSPC;
		this.used += set.size;
		const adjustments = new Int16Array(set.size);
		set.adjustments.add(adjustments);
		return adjustments;
	}

	release(adjustments: Adjustments): void {
		this.used -= adjustments.length;
	}
}
