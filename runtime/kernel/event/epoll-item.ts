import { EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP, POLLERR, POLLHUP } from '../abi/poll-constants.js';
import type { CloseListener, FileDescription } from '../vfs/file-description.js';
import type { Epoll } from './epoll.js';
import { WaitEntry, type Waiter } from './wait-queue.js';

/** Flags of an epoll_event that aren't events (fs/eventpoll.c, EP_PRIVATE_BITS). */
const PRIVATE_BITS = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

/**
 * One registration (Linux: struct epitem): a description under the number it had. Owned by its epoll instance; stands on the description's wait
 * queue and goes when the description is closed. Holds no reference to it.
 */
export class EpollItem implements Waiter, CloseListener {
	private readonly entry = new WaitEntry(this);
	/** Another description that was registered under the same number. */
	nextSameFd: EpollItem | null = null;
	/** Place in the ready list. */
	isReady = false;
	nextReady: EpollItem | null = null;
	previousReady: EpollItem | null = null;

	constructor(
		readonly epoll: Epoll,
		readonly fd: number,
		readonly description: FileDescription,
		/** EPOLL* events and flags; after a one-shot was delivered, flags alone. */
		public events: number,
		/** The guest's data, as two words. */
		public dataLow: number,
		public dataHigh: number,
	) {
		this.entry.isExclusive = (events & EPOLLEXCLUSIVE) !== 0;
		this.events = events | POLLERR | POLLHUP;
		description.waiters.add(this.entry, this.events & ~PRIVATE_BITS);
		description.addCloseListener(this);
	}

	get isExclusive(): boolean {
		return this.entry.isExclusive;
	}
	get isEdgeTriggered(): boolean {
		return (this.events & EPOLLET) !== 0;
	}
	get isOneShot(): boolean {
		return (this.events & EPOLLONESHOT) !== 0;
	}

	modify(events: number, dataLow: number, dataHigh: number): void {
		this.events = events | POLLERR | POLLHUP;
		this.dataLow = dataLow;
		this.dataHigh = dataHigh;
		this.entry.events = this.events & ~PRIVATE_BITS;
	}

	/** A one-shot was delivered: nothing more until it is modified. */
	disable(): void {
		this.events &= PRIVATE_BITS;
	}

	/** Which of its events hold now. */
	poll(): number {
		const events = this.events & ~PRIVATE_BITS;
		return events === 0 ? 0 : this.description.poll() & events;
	}

	wake(): boolean {
		if ((this.events & ~PRIVATE_BITS) === 0) return false;
		return this.epoll.markReady(this) || !this.isExclusive;
	}

	closed(): void {
		this.epoll.remove(this);
	}

	/** Leaves the description; the epoll instance's. */
	detach(): void {
		this.entry.remove();
		this.description.removeCloseListener(this);
	}
}
