/** A one-shot timer on the monotonic clock. Owned by whoever arms it. */
export class Timer {
	/** Monotonic ns at which it fires; meaningless while not armed. */
	expiresNs = 0;
	/** Its place in the heap, -1 while not armed. */
	index = -1;

	constructor(readonly fire: (nowNs: number) => void) {}

	get isArmed(): boolean {
		return this.index >= 0;
	}
}

/** All armed timers of a sandbox: a binary heap by expiry. */
export class Timers {
	private readonly heap: Timer[] = [];

	get size(): number {
		return this.heap.length;
	}

	/** Arms a timer, or moves one that is armed. */
	arm(timer: Timer, expiresNs: number): void {
		this.disarm(timer);
		timer.expiresNs = expiresNs;
		timer.index = this.heap.length;
		this.heap.push(timer);
		this.siftUp(timer.index);
	}

	disarm(timer: Timer): void {
		const index = timer.index;
		if (index < 0) return;
		timer.index = -1;
		const last = this.heap.pop()!;
		if (last === timer) return;
		this.heap[index] = last;
		last.index = index;
		this.siftUp(index);
		this.siftDown(last.index);
	}

	/** When the first timer fires, or -1 without any. */
	nextNs(): number {
		return this.heap.length === 0 ? -1 : this.heap[0]!.expiresNs;
	}

	/** Fires what is due at `nowNs`, earliest first. A timer that re-arms itself in the past waits for the next call. */
	run(nowNs: number): void {
		for (let budget = this.heap.length; budget > 0; budget--) {
			const timer = this.heap[0];
			if (timer === undefined || timer.expiresNs > nowNs) return;
			this.disarm(timer);
			timer.fire(nowNs);
		}
	}

	private siftUp(from: number): void {
		const heap = this.heap;
		let index = from;
		const timer = heap[index]!;
		while (index > 0) {
			const parent = (index - 1) >> 1;
			if (heap[parent]!.expiresNs <= timer.expiresNs) break;
			heap[index] = heap[parent]!;
			heap[index]!.index = index;
			index = parent;
		}
		heap[index] = timer;
		timer.index = index;
	}

	private siftDown(from: number): void {
		const heap = this.heap;
		let index = from;
		const timer = heap[index]!;
		for (;;) {
			let child = 2 * index + 1;
			if (child >= heap.length) break;
			if (child + 1 < heap.length && heap[child + 1]!.expiresNs < heap[child]!.expiresNs) child++;
			if (heap[child]!.expiresNs >= timer.expiresNs) break;
			heap[index] = heap[child]!;
			heap[index]!.index = index;
			index = child;
		}
		heap[index] = timer;
		timer.index = index;
	}
}
