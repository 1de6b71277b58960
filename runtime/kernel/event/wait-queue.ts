/** Someone who waits: a blocked task, an epoll instance, a nested poller. */
export interface Waiter {
	/** Called when the queue is woken with `events` that meet what the entry asked for. Must not run guest-visible work: it only schedules. */
	wake(entry: WaitEntry, events: number): void;
}

/**
 * One place in one queue. Owned by its waiter; it is in at most one queue at a time and leaves it by `remove`.
 */
export class WaitEntry {
	queue: WaitQueue | null = null;
	previous: WaitEntry | null = null;
	next: WaitEntry | null = null;
	/** POLL* bits that wake it; 0xffffffff for any. */
	events = 0;
	/** Wake-one (Linux's WQ_FLAG_EXCLUSIVE): a wake-up stops after the first exclusive entry that took it. */
	isExclusive = false;

	constructor(readonly waiter: Waiter) {}

	remove(): void {
		this.queue?.remove(this);
	}
}

/** Any event wakes. */
export const WAKE_ANY = 0xffffffff;

/**
 * The waiters of one object, in order of arrival. Linux: wait_queue_head_t.
 */
export class WaitQueue {
	private head: WaitEntry | null = null;
	private tail: WaitEntry | null = null;

	get isEmpty(): boolean {
		return this.head === null;
	}

	add(entry: WaitEntry, events = WAKE_ANY): void {
		if (entry.queue !== null) entry.queue.remove(entry);
		entry.queue = this;
		entry.events = events;
		entry.previous = this.tail;
		entry.next = null;
		if (this.tail === null) this.head = entry;
		else this.tail.next = entry;
		this.tail = entry;
	}

	remove(entry: WaitEntry): void {
		if (entry.queue !== this) return;
		if (entry.previous === null) this.head = entry.next;
		else entry.previous.next = entry.next;
		if (entry.next === null) this.tail = entry.previous;
		else entry.next.previous = entry.previous;
		entry.queue = entry.previous = entry.next = null;
	}

	/**
	 * Wakes everyone who asked for one of `events` (POLL* bits). A waiter may leave the queue, or its owner's other queues, while it is woken.
	 */
	wake(events = WAKE_ANY): void {
		let entry = this.head;
		const last = this.tail;
		while (entry !== null) {
			const next: WaitEntry | null = entry === last ? null : entry.next;
			if ((entry.events & events) !== 0) {
				const isExclusive = entry.isExclusive;
				entry.waiter.wake(entry, events);
				if (isExclusive) return;
			}
			entry = next;
		}
	}
}
