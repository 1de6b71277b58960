import { native } from '../../native.js';

/** As native.d.ts has them: EventKind.Ended, and a record's words. */
const ENDED = 3;
const RECORD_WORDS = 20;

const BATCH_RECORDS = 64;
const NS_PER_MS = 1e6;

/** The monitor's event loop: descriptors and deadlines, on the addon's epoll set, because descriptors come with messages, which Node's own can't receive. */
export class HostLoop {
	private readonly batch = new Int32Array(BATCH_RECORDS * RECORD_WORDS);
	private readonly watched = new Map<number, (events: number) => void>();
	private readonly timers = new Map<number, { readonly atNs: number; readonly action: () => void }>();
	private nextKey = 1;

	constructor() {
		native.setBatch(this.batch);
	}

	/** Watches a non-blocking descriptor, edge-triggered: its key, or -errno (-EPERM: a regular file, which is always ready). */
	watch(fd: number, events: number, onReady: (events: number) => void): number {
		const key = this.nextKey++;
		const error = native.watch(fd, key, events);
		if (error < 0) return error;
		this.watched.set(key, onReady);
		return key;
	}

	unwatch(fd: number, key: number): void {
		native.unwatch(fd);
		this.watched.delete(key);
	}

	/** Calls `action` once when a process has ended. */
	watchEnd(pid: number, action: () => void): void {
		const key = this.nextKey++;
		this.watched.set(key, action);
		if (native.watchEnd(pid, key, false) < 0) {
			this.watched.delete(key);
			this.after(0, action);
		}
	}

	/** A timer's key, for `cancel`. */
	after(ms: number, action: () => void): number {
		const key = this.nextKey++;
		this.timers.set(key, { atNs: native.monotonicNs() + ms * NS_PER_MS, action });
		return key;
	}

	cancel(key: number): void {
		this.timers.delete(key);
	}

	/** Runs until the process exits: promises go on between two turns. */
	run(): void {
		const turn = (): void => {
			this.once();
			setImmediate(turn);
		};
		turn();
	}

	private once(): void {
		const now = native.monotonicNs();
		let timeoutNs = -1;
		for (const [key, { atNs, action }] of this.timers) {
			if (atNs <= now) {
				this.timers.delete(key);
				action();
				timeoutNs = 0;
			} else if (timeoutNs !== 0) {
				timeoutNs = timeoutNs < 0 ? atNs - now : Math.min(timeoutNs, atNs - now);
			}
		}
		const count = native.wait(timeoutNs);
		for (let i = 0; i < count; i++) {
			const at = i * RECORD_WORDS;
			const key = this.batch[at + 1]!;
			const onReady = this.watched.get(key);
			if (this.batch[at] === ENDED) this.watched.delete(key);
			onReady?.(this.batch[at + 2]!);
		}
	}
}
