import { EAGAIN } from '../abi/errno.js';
import { RLIMIT_SIGPENDING } from '../abi/resource.js';
import { bounds } from '../bounds.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { PosixTimer, type TimerEvent } from './posix-timer.js';
import type { TimerClock } from './timer-clock.js';

const INT_MAX = 0x7fff_ffff;

/** The POSIX timers of a process, timer_create(2). */
export class PosixTimers {
	private readonly timers = new Map<number, PosixTimer>();
	private nextId = 0;

	constructor(private readonly group: ThreadGroup) {}

	/** A new timer; `event` gets its id. Errors: EAGAIN, at RLIMIT_SIGPENDING timers of the container or at the bound. */
	create(clockId: number, clock: TimerClock, event: (id: number) => TimerEvent): PosixTimer | number {
		const { container, limits } = this.group;
		if (container.posixTimerCount >= Math.min(bounds.posixTimers, limits.soft[RLIMIT_SIGPENDING]!)) return -EAGAIN;
		while (this.timers.has(this.nextId)) this.nextId = (this.nextId + 1) & INT_MAX;
		const timer = new PosixTimer(this.group, this.nextId, clockId, clock, event(this.nextId));
		this.nextId = (this.nextId + 1) & INT_MAX;
		this.timers.set(timer.id, timer);
		container.posixTimerCount++;
		return timer;
	}

	get(id: number): PosixTimer | null {
		return this.timers.get(id) ?? null;
	}

	all(): Iterable<PosixTimer> {
		return this.timers.values();
	}

	delete(timer: PosixTimer): void {
		timer.disarm();
		if (this.timers.delete(timer.id)) this.group.container.posixTimerCount--;
	}

	/** The program is gone. */
	deleteAll(): void {
		for (const timer of [...this.timers.values()]) this.delete(timer);
	}
}
