import { native } from '../../native.js';
import { SI_TIMER } from '../abi/signal-numbers.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { spanNs, type Timespec } from './clocks.js';
import type { TimerClock } from './timer-clock.js';
import { Timer } from './timers.js';

/** Most that timer_getoverrun(2) tells (DELAYTIMER_MAX). */
const DELAYTIMER_MAX = 0x7fff_ffff;
/** A container's timers together send a signal, or look whether one was taken, no more often than this, ns. */
const PACE_NS = 100_000;
const LONGEST_LOOK_NS = 100_000_000;

export const SIGEV_SIGNAL = 0;
export const SIGEV_NONE = 1;
export const SIGEV_THREAD = 2;
export const SIGEV_THREAD_ID = 4;

/** How an expiry is told (struct sigevent). */
export interface TimerEvent {
	/** SIGEV_*. */
	readonly notify: number;
	readonly signal: number;
	/** The thread that gets it, as the sandbox process sees it; -1: the process. */
	readonly tid: number;
	readonly valueLow: number;
	readonly valueHigh: number;
}

/**
 * A timer of timer_create(2) (Linux: struct k_itimer). One signal at most waits: as long as it does, expiries are counted and not told. The host alone knows
 * when it was taken, so who asks for the overrun, or the next look, finds out.
 */
export class PosixTimer {
	/** ns; 0: once. */
	intervalNs = 0;
	/** The first expiry that nobody was told of, on the clock's scale; meaningless while not set. */
	private expiresNs = 0;
	private isSet = false;
	/** Its signal was sent, and hasn't been seen taken. */
	private isTold = false;
	private lookNs = 0;
	/** Expiries beyond the last one told. */
	private overrun = 0;
	private readonly timer = new Timer(() => this.look());

	constructor(
		private readonly group: ThreadGroup,
		readonly id: number,
		readonly clockId: number,
		private readonly clock: TimerClock,
		readonly event: TimerEvent,
	) {}

	/** Sets it to expire in `value`, or at that time of its clock; zero disarms it. */
	set(value: Timespec, intervalNs: number, isAbsolute: boolean): void {
		this.disarm();
		this.overrun = 0;
		this.isTold = false;
		this.intervalNs = 0;
		if (value.seconds === 0 && value.nanoseconds === 0) return;
		this.isSet = true;
		this.intervalNs = intervalNs;
		this.expiresNs = isAbsolute ? this.clock.at(value) : this.clock.nowNs() + spanNs(value);
		this.arm();
	}

	/** What is left until it expires, ns; 0 when it isn't armed. */
	remainingNs(): number {
		if (!this.isSet) return 0;
		const nowNs = this.clock.nowNs();
		if (nowNs === Number.POSITIVE_INFINITY) return 0;
		const leftNs = this.expiresNs - nowNs;
		if (leftNs > 0) return leftNs;
		if (this.intervalNs > 0 && (this.event.notify === SIGEV_NONE || this.isTold)) return this.intervalNs - (-leftNs % this.intervalNs);
		return this.event.notify === SIGEV_NONE ? 0 : 1;
	}

	/** Expiries beyond the one that the last signal was for. */
	getOverrun(): number {
		// It was taken since: what has expired until now belongs to it, as on Linux to the moment at which it was taken.
		if (this.isTold && this.isSet && !this.isPending()) {
			this.isTold = false;
			const missed = this.forward();
			this.overrun += missed;
			if (missed > 0) this.arm();
		}
		return Math.min(this.overrun, DELAYTIMER_MAX);
	}

	disarm(): void {
		this.isSet = false;
		this.group.container.kernel.timers.disarm(this.timer);
	}

	private isPending(): boolean {
		return this.group.container.kernel.signals.isPending(this.group, this.event.tid, this.event.signal);
	}

	/** Passes over the expiries that are over: how many. */
	private forward(): number {
		const overNs = this.clock.nowNs() - this.expiresNs;
		if (overNs < 0 || this.intervalNs === 0 || overNs === Number.POSITIVE_INFINITY) return 0;
		const count = Math.floor(overNs / this.intervalNs) + 1;
		this.expiresNs += count * this.intervalNs;
		return count;
	}

	private arm(): void {
		// Nobody is to be told: whoever asks finds out.
		if (this.event.notify === SIGEV_NONE) return;
		this.lookNs = 0;
		this.group.container.kernel.timers.arm(this.timer, this.clock.reachesNs(this.expiresNs));
	}

	/** The shortest time to its next look. */
	private get paceNs(): number {
		return PACE_NS * this.group.container.posixTimerCount;
	}

	private look(): void {
		const { group, clock, event } = this;
		const { kernel } = group.container;
		const nowNs = clock.nowNs();
		if (nowNs === Number.POSITIVE_INFINITY) return;
		if (nowNs < this.expiresNs) {
			kernel.timers.arm(this.timer, Math.max(clock.reachesNs(this.expiresNs), native.monotonicNs() + this.paceNs));
			return;
		}
		if (this.isTold && this.isPending()) {
			this.lookNs = Math.min(Math.max(2 * this.lookNs, this.intervalNs, this.paceNs), Math.max(LONGEST_LOOK_NS, this.paceNs));
			kernel.timers.arm(this.timer, native.monotonicNs() + this.lookNs);
			return;
		}
		this.lookNs = 0;
		if (this.intervalNs === 0) {
			this.isSet = false;
			this.overrun = 0;
		} else {
			this.overrun = this.forward() - 1;
			this.isTold = true;
			kernel.timers.arm(this.timer, Math.max(clock.reachesNs(this.expiresNs), native.monotonicNs() + this.paceNs));
		}
		this.tell(event);
	}

	private tell({ signal, tid, valueLow, valueHigh }: TimerEvent): void {
		const { group } = this;
		if (group.isImmuneTo(signal)) return;
		const { signals } = group.container.kernel;
		const overrun = Math.min(this.overrun, DELAYTIMER_MAX);
		const info = {
			signal,
			code: SI_TIMER,
			pid: 0,
			uid: 0,
			status: 0,
			userTicks: 0,
			systemTicks: 0,
			timerId: this.id,
			overrun,
			valueLow,
			valueHigh,
		};
		if (tid < 0) signals.sendToGroup(group, signal, null, info);
		else signals.sendToThreadId(group, tid, signal, null, info);
	}
}
