/** Someone who waits: a blocked task, an epoll instance, a nested poller. */
export interface Waiter {
	/**
	 * Called when the queue is woken with `events` that meet what the entry asked for. Must not run guest-visible work: it only schedules.
	 * False: it has no use for this wake-up, so that an exclusive one goes on to the next in the queue.
	 */
	wake(entry: WaitEntry, events: number): boolean;
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
	/** Wake-one (Linux's WQ_FLAG_EXCLUSIVE): a wake-up stops after the first exclusive entry that took it. Changed only while in no queue. */
	isExclusive = false;

	constructor(readonly waiter: Waiter) {}

	remove(): void {
		this.queue?.remove(this);
	}
}

/** Any event wakes. */
export const WAKE_ANY = 0xffffffff;

/**
 * The waiters of one object, in order of arrival, exclusive ones behind all others. Linux: wait_queue_head_t.
 */
export class WaitQueue {
	private head: WaitEntry | null = null;
	private tail: WaitEntry | null = null;
	private firstExclusive: WaitEntry | null = null;

	get isEmpty(): boolean {
		return this.head === null;
	}

	/** How many wait, counted now. */
	get length(): number {
		let length = 0;
		for (let entry = this.head; entry !== null; entry = entry.next) length++;
		return length;
	}

	add(entry: WaitEntry, events = WAKE_ANY): void {
		if (entry.queue !== null) entry.queue.remove(entry);
		entry.queue = this;
		entry.events = events;
		// Those who only look (poll) stand before those who take: a wake-up must not end before it has reached them.
		const next = entry.isExclusive ? null : this.firstExclusive;
		const previous = next === null ? this.tail : next.previous;
		if (entry.isExclusive) this.firstExclusive ??= entry;
		entry.previous = previous;
		entry.next = next;
		if (previous === null) this.head = entry;
		else previous.next = entry;
		if (next === null) this.tail = entry;
		else next.previous = entry;
	}

	remove(entry: WaitEntry): void {
		if (entry.queue !== this) return;
		if (this.firstExclusive === entry) this.firstExclusive = entry.next;
		if (entry.previous === null) this.head = entry.next;
		else entry.previous.next = entry.next;
		if (entry.next === null) this.tail = entry.previous;
		else entry.next.previous = entry.previous;
		entry.queue = entry.previous = entry.next = null;
	}

	/**
	 * Wakes those who asked for one of `events` (POLL* bits), of the exclusive ones the first that takes it. A waiter may leave the queue while it
	 * is woken.
	 */
	wake(events = WAKE_ANY): void {
		this.run(events, false);
	}

	/** Wakes the exclusive ones, too, all of them: an end that everyone must see. */
	wakeAll(events = WAKE_ANY): void {
		this.run(events, true);
	}

	private run(events: number, isAll: boolean): void {
		let entry = this.head;
		const last = this.tail;
		while (entry !== null) {
			const next: WaitEntry | null = entry === last ? null : entry.next;
			if ((entry.events & events) !== 0) {
				const isExclusive = entry.isExclusive;
				const isTaken = entry.waiter.wake(entry, events);
				if (isExclusive && isTaken && !isAll) return;
			}
			entry = next;
		}
	}
}
