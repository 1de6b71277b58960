import type { EventFd } from '../ipc/eventfd.js';
import type { FileDescription } from '../vfs/file-description.js';
import { WaitEntry, type Waiter, WaitQueue } from './wait-queue.js';

/** Eventfds to be told, while one is being told: a chain of them is no recursion. */
const toSignal: EventFd[] = [];
let isSignalling = false;

function signal(eventfd: EventFd): void {
	toSignal.push(eventfd);
	if (isSignalling) return;
	isSignalling = true;
	for (let next = toSignal.pop(); next !== undefined; next = toSignal.pop()) next.signal();
	isSignalling = false;
}

/** A request of io_submit(2), from there to io_getevents(2). Holds its description and its eventfd. */
export class AioRequest implements Waiter {
	/** Event bits or bytes, or -errno. */
	result = 0;
	private readonly entry = new WaitEntry(this);

	constructor(
		private readonly context: AioContext,
		private readonly description: FileDescription,
		private readonly eventfd: EventFd | null,
		/** Address of the iocb, and its aio_data as two words: what the event says. */
		readonly address: number,
		readonly dataLow: number,
		readonly dataHigh: number,
		/** POLL* bits that an IOCB_CMD_POLL waits for. */
		private readonly events: number,
	) {
		description.acquire();
		eventfd?.acquire();
	}

	/** IOCB_CMD_POLL: is done when one of the events holds. */
	poll(): void {
		const ready = this.description.poll() & this.events;
		if (ready !== 0) this.complete(ready);
		else this.description.waiters.add(this.entry);
	}

	wake(_entry: WaitEntry, _events: number): boolean {
		const ready = this.description.poll() & this.events;
		if (ready === 0) return false;
		this.complete(ready);
		return true;
	}

	complete(result: number): void {
		this.entry.remove();
		this.result = result;
		this.context.completed(this);
		if (this.eventfd !== null) signal(this.eventfd);
	}

	/** The event was taken, or the context is gone. Not called while a queue wakes it, as it may close what the queue belongs to. */
	release(): void {
		this.entry.remove();
		this.description.release();
		this.eventfd?.release();
	}
}

/** A context of asynchronous input and output, io_setup(2). Requests on files are done as they are submitted; polls wait. Owned by its thread group. */
export class AioContext {
	/** Submitted, not done. */
	private readonly waiting = new Set<AioRequest>();
	/** Done, in order, not taken. */
	private readonly done: AioRequest[] = [];
	readonly waiters = new WaitQueue();
	isDestroyed = false;

	constructor(
		/** Requests under way and events not taken, at most. */
		readonly maxEvents: number,
	) {}

	get isFull(): boolean {
		return this.waiting.size + this.done.length >= this.maxEvents;
	}
	get doneCount(): number {
		return this.done.length;
	}

	submitted(request: AioRequest): void {
		this.waiting.add(request);
	}

	completed(request: AioRequest): void {
		this.waiting.delete(request);
		this.done.push(request);
		this.waiters.wake();
	}

	/** The request under way whose iocb lies at an address, or null. */
	find(address: number): AioRequest | null {
		for (const request of this.waiting) if (request.address === address) return request;
		return null;
	}

	/** The event at `index` of those not taken. */
	event(index: number): AioRequest {
		return this.done[index]!;
	}

	/** The first `count` events were taken. */
	take(count: number): void {
		for (const request of this.done.splice(0, count)) request.release();
	}

	destroy(): void {
		this.isDestroyed = true;
		for (const request of this.waiting) request.release();
		this.waiting.clear();
		this.take(this.done.length);
		this.waiters.wakeAll();
	}
}
