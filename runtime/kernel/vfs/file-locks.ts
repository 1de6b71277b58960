import { EAGAIN, ENOLCK } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.js';
import { WaitQueue } from '../event/wait-queue.js';

/** Record locks that one file may carry. */
const MAX_LOCKS_PER_FILE = 4096;

/** A lock on bytes [start, end) of a file; fcntl(2). */
export interface RecordLock {
	readonly owner: object;
	/** F_RDLCK or F_WRLCK. */
	readonly type: number;
	readonly start: number;
	/** Infinity: to the end of the file, however long it gets. */
	readonly end: number;
	/** Pid to report (sandbox process's view); -1 for open file description locks. */
	readonly pid: number;
}

/**
 * Advisory locks of one inode: POSIX record locks (owner: the thread group), open file description locks and flock(2) locks (owner: the description).
 */
export class FileLocks {
	private records: RecordLock[] = [];
	private readonly whole = new Map<object, number>();
	readonly waiters = new WaitQueue();

	get isEmpty(): boolean {
		return this.records.length === 0 && this.whole.size === 0;
	}

	/** The first lock that stands in the way of `wanted`, or null. */
	conflict(wanted: RecordLock): RecordLock | null {
		for (const lock of this.records) {
			if (lock.owner === wanted.owner || lock.end <= wanted.start || lock.start >= wanted.end) continue;
			if (lock.type === F_WRLCK || wanted.type === F_WRLCK) return lock;
		}
		return null;
	}

	/** Sets or clears (F_UNLCK) a lock; the owner's locks on the same bytes give way. -EAGAIN on a conflict, -ENOLCK when there are too many. */
	setRecord(wanted: RecordLock): number {
		if (wanted.type !== F_UNLCK && this.conflict(wanted) !== null) return -EAGAIN;
		const next: RecordLock[] = [];
		let merged = wanted;
		for (const lock of this.records) {
			if (lock.owner !== wanted.owner || lock.end < wanted.start || lock.start > wanted.end) {
				next.push(lock);
				continue;
			}
			if (lock.type === wanted.type) {
				// Touching or overlapping ones become one.
				merged = { ...merged, start: Math.min(merged.start, lock.start), end: Math.max(merged.end, lock.end) };
				continue;
			}
			if (lock.start < wanted.start) next.push({ ...lock, end: Math.min(lock.end, wanted.start) });
			if (lock.end > wanted.end) next.push({ ...lock, start: Math.max(lock.start, wanted.end) });
		}
		if (wanted.type !== F_UNLCK) next.push(merged);
		if (next.length > MAX_LOCKS_PER_FILE) return -ENOLCK;
		this.records = next;
		if (wanted.type !== F_WRLCK) this.waiters.wake();
		return 0;
	}

	/** Drops all record locks of an owner. */
	release(owner: object): void {
		const { length } = this.records;
		this.records = this.records.filter((lock) => lock.owner !== owner);
		if (this.records.length !== length) this.waiters.wake();
	}

	/** flock(2): F_RDLCK (shared), F_WRLCK (exclusive) or F_UNLCK. -EAGAIN on a conflict. */
	setWhole(owner: object, type: number): number {
		if (type === F_UNLCK) {
			if (this.whole.delete(owner)) this.waiters.wake();
			return 0;
		}
		for (const [other, held] of this.whole) if (other !== owner && (held === F_WRLCK || type === F_WRLCK)) return -EAGAIN;
		const before = this.whole.get(owner);
		this.whole.set(owner, type);
		if (before === F_WRLCK && type === F_RDLCK) this.waiters.wake();
		return 0;
	}
}
