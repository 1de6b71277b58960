import { SIGRTMIN } from '../abi/signal-numbers.js';
import { bounds } from '../bounds.js';

/** What a signal says of its origin (siginfo_t), as far as signalfd(2) shows it. Ids are the container's. */
export interface SignalInfo {
	readonly signal: number;
	/** SI_*, CLD_*. */
	readonly code: number;
	readonly pid: number;
	readonly uid: number;
	/** Of a child: its exit status or signal, and its CPU time in clock ticks. */
	readonly status: number;
	readonly userTicks: number;
	readonly systemTicks: number;
	/** Of SI_TIMER: which timer, and how often it has expired beyond the one that the signal is for. */
	readonly timerId: number;
	readonly overrun: number;
	/** The value of sigqueue(3) or of a timer, as two words. */
	readonly valueLow: number;
	readonly valueHigh: number;
}

/** The bit of `signal` in the word of a set that has it. */
export function signalBit(signal: number): number {
	return 1 << ((signal - 1) & 31);
}

/** Is `signal` in the set of these two words (1–32, 33–64)? */
export function isInSet(low: number, high: number, signal: number): boolean {
	return ((signal <= 32 ? low : high) & signalBit(signal)) !== 0;
}

/**
 * Signals that the guest kernel keeps for a signalfd instead of giving them to the host, which would not let go of them (facts/traps.md 9). Pending for one
 * process, or one thread of it (Linux: struct sigpending).
 */
export class KeptSignals {
	private readonly infos: SignalInfo[] = [];
	/** Signals 1–32 and 33–64 that are there. */
	low = 0;
	high = 0;

	get isEmpty(): boolean {
		return this.infos.length === 0;
	}

	/** Puts one behind the others; of a standard signal the first is enough. False: a real-time signal for which there is no room. */
	add(info: SignalInfo): boolean {
		const { signal } = info;
		if (isInSet(this.low, this.high, signal)) {
			if (signal < SIGRTMIN) return true;
			if (this.infos.length >= bounds.keptSignals) return false;
		}
		this.infos.push(info);
		this.mark(signal);
		return true;
	}

	/** Takes the first of the lowest number out of those in the set, or null. */
	take(low: number, high: number): SignalInfo | null {
		if ((this.low & low) === 0 && (this.high & high) === 0) return null;
		let best = -1;
		for (const [at, { signal }] of this.infos.entries())
			if (isInSet(low, high, signal) && (best < 0 || signal < this.infos[best]!.signal)) best = at;
		const [info] = this.infos.splice(best, 1);
		this.low = this.high = 0;
		for (const { signal } of this.infos) this.mark(signal);
		return info ?? null;
	}

	private mark(signal: number): void {
		if (signal <= 32) this.low |= signalBit(signal);
		else this.high |= signalBit(signal);
	}
}
