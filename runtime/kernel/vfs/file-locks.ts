import { EAGAIN, EDEADLK, ENOLCK } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.js';
import { bounds } from '../bounds.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { Inode } from './inode.js';

/** How many owners a circle of waiters may have for it to be found (fs/locks.c, MAX_DEADLK_ITERATIONS). */
const MAX_DEADLOCK_STEPS = 10;

/** A lock on bytes [start, end) of a file; fcntl(2). */
export interface RecordLock {
	/** The thread group; the description for an open file description lock. */
	readonly owner: object;
	/** F_RDLCK or F_WRLCK. */
	readonly type: number;
	readonly start: number;
	/** Infinity: to the end of the file, however long it gets. */
	readonly end: number;
	/** The process that asked for it (sandbox process's view). */
	readonly pid: number;
	/** An open file description lock: F_GETLK and /proc/locks show -1 for its process. */
	readonly isOfd: boolean;
}

/** A flock(2) lock. */
export interface WholeLock {
	/** F_RDLCK (shared) or F_WRLCK (exclusive). */
	readonly type: number;
	/** The process that asked for it (sandbox process's view). */
	readonly pid: number;
}

/** Files with locks, in order of their first one: what /proc/locks lists. One sandbox process serves one pod. */
const lockedFiles = new Set<FileLocks>();

/** Record locks of all files. */
let recordCount = 0;

/** Every file with locks. */
export function allFileLocks(): Iterable<FileLocks> {
	return lockedFiles;
}

/** Who waits for a POSIX lock, by owner. */
const waitsByOwner = new Map<object, LockWait[]>();

/** A call that waits for a POSIX record lock, for as long as it does: what deadlocks are found by. `Trap.state` holds it. */
export class LockWait {
	/** Whose lock is in the way. */
	blocker: object;

	constructor(
		private readonly owner: object,
		blocker: object,
	) {
		this.blocker = blocker;
		const waits = waitsByOwner.get(owner);
		if (waits === undefined) waitsByOwner.set(owner, [this]);
		else waits.push(this);
	}

	/** The call is over, or runs on without waiting. */
	dispose(): void {
		const waits = waitsByOwner.get(this.owner);
		const at = waits?.indexOf(this) ?? -1;
		if (waits === undefined || at < 0) return;
		waits.splice(at, 1);
		if (waits.length === 0) waitsByOwner.delete(this.owner);
	}
}

/** Would `owner` wait for itself if it waited for `blocker`? -EDEADLK if so, else 0. As in Linux a circle of more than ten isn't found. */
export function checkDeadlock(owner: object, blocker: object): number {
	let at: object | undefined = blocker;
	for (let step = 0; step < MAX_DEADLOCK_STEPS; step++) {
		at = waitsByOwner.get(at)?.[0]?.blocker;
		if (at === undefined) return 0;
		if (at === owner) return -EDEADLK;
	}
	return 0;
}

/**
 * Advisory locks of one inode: POSIX record locks (owner: the thread group), open file description locks and flock(2) locks (owner: the description).
 */
export class FileLocks {
	private records: RecordLock[] = [];
	private readonly whole = new Map<object, WholeLock>();
	readonly waiters = new WaitQueue();

	constructor(
		/** The file; it holds its locks. */
		readonly inode: Inode,
	) {}

	get isEmpty(): boolean {
		return this.records.length === 0 && this.whole.size === 0;
	}
	get recordLocks(): readonly RecordLock[] {
		return this.records;
	}
	get wholeLocks(): Iterable<WholeLock> {
		return this.whole.values();
	}

	/** The flock(2) lock of a description, or undefined. */
	wholeLockOf(owner: object): WholeLock | undefined {
		return this.whole.get(owner);
	}

	/** The first lock that stands in the way of `wanted`, or null. F_UNLCK: the first of the owner's own there. */
	conflict(wanted: RecordLock): RecordLock | null {
		for (const lock of this.records) {
			if (lock.end <= wanted.start || lock.start >= wanted.end) continue;
			const isOwn = lock.owner === wanted.owner;
			if (wanted.type === F_UNLCK ? isOwn : !isOwn && (lock.type === F_WRLCK || wanted.type === F_WRLCK)) return lock;
		}
		return null;
	}

	/** Sets or clears (F_UNLCK) a lock; the owner's locks on the same bytes give way. -EAGAIN on a conflict, -ENOLCK when there are too many. */
	setRecord(wanted: RecordLock): number {
		if (wanted.type !== F_UNLCK && this.conflict(wanted) !== null) return -EAGAIN;
		// An owner's locks stand together, by their start: the order in which Linux finds and lists them.
		const next: RecordLock[] = [];
		const own: RecordLock[] = [];
		let place = -1;
		let merged = wanted;
		for (const lock of this.records) {
			if (lock.owner !== wanted.owner) {
				next.push(lock);
				continue;
			}
			if (place < 0) place = next.length;
			if (lock.end < wanted.start || lock.start > wanted.end) {
				own.push(lock);
				continue;
			}
			if (lock.type === wanted.type) {
				// Touching or overlapping ones become one.
				merged = { ...merged, start: Math.min(merged.start, lock.start), end: Math.max(merged.end, lock.end) };
				continue;
			}
			if (lock.start < wanted.start) own.push({ ...lock, end: Math.min(lock.end, wanted.start) });
			if (lock.end > wanted.end) own.push({ ...lock, start: Math.max(lock.start, wanted.end) });
		}
		if (wanted.type !== F_UNLCK) own.push(merged);
		const more = next.length + own.length - this.records.length;
		if (more > 0 && (next.length + own.length > bounds.locksPerFile || recordCount + more > bounds.locks)) return -ENOLCK;
		recordCount += more;
		own.sort((one, other) => one.start - other.start);
		next.splice(place < 0 ? next.length : place, 0, ...own);
		this.records = next;
		this.count();
		if (wanted.type !== F_WRLCK) this.waiters.wake();
		return 0;
	}

	/** Drops all record locks of an owner. */
	release(owner: object): void {
		const { length } = this.records;
		if (length === 0) return;
		this.records = this.records.filter((lock) => lock.owner !== owner);
		if (this.records.length === length) return;
		recordCount -= length - this.records.length;
		this.count();
		this.waiters.wake();
	}

	/**
	 * flock(2): F_RDLCK (shared), F_WRLCK (exclusive) or F_UNLCK. -EAGAIN on a conflict. A change of kind first gives up what was held, so that it is lost
	 * when the new one can't be had.
	 */
	setWhole(owner: object, type: number, pid: number): number {
		const before = this.whole.get(owner);
		if (before?.type === type) return 0;
		if (before !== undefined) {
			this.whole.delete(owner);
			this.count();
			this.waiters.wake();
		}
		if (type === F_UNLCK) return 0;
		for (const held of this.whole.values()) if (held.type === F_WRLCK || type === F_WRLCK) return -EAGAIN;
		this.whole.set(owner, { type, pid });
		this.count();
		return 0;
	}

	/** Keeps `lockedFiles` right. */
	private count(): void {
		if (this.isEmpty) lockedFiles.delete(this);
		else lockedFiles.add(this);
	}
}

/** "READ" or "WRITE", as /proc/locks names the kinds. */
const kindName = (type: number) => (type === F_RDLCK ? 'READ ' : 'WRITE ');

/** A record lock as /proc/locks and /proc/PID/fdinfo show it, behind its number; proc_locks(5). `pid`: the reader's view, `file`: "major:minor:inode". */
export function recordLockText(lock: RecordLock, pid: number, file: string): string {
	const end = lock.end === Number.POSITIVE_INFINITY ? 'EOF' : lock.end - 1;
	return `${lock.isOfd ? 'OFDLCK' : 'POSIX '} ADVISORY  ${kindName(lock.type)}${lock.isOfd ? -1 : pid} ${file} ${lock.start} ${end}\n`;
}

/** As `recordLockText`, of a flock(2) lock. */
export function wholeLockText(lock: WholeLock, pid: number, file: string): string {
	return `FLOCK  ADVISORY  ${kindName(lock.type)}${pid} ${file} 0 EOF\n`;
}
