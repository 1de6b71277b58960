import type { SignalMaskArgument } from '../event/signal-mask-argument.js';

/** Words per trap argument: low, high. */
const WORDS = 2;

/**
 * One system call of a guest thread on its way to the guest kernel. Each task owns one and reuses it: a thread has at most one call at a time.
 * The registers were copied by the host's kernel and can't change any more; what they point to can.
 */
export class Trap {
	/** Which listener it came by; the answer goes back the same way. */
	listener = 0;
	idLow = 0;
	idHigh = 0;
	/** The system call's number in the guest's architecture. */
	number = 0;
	/** Six arguments as pairs of 32-bit words, low first. */
	readonly words = new Int32Array(6 * WORDS);

	/** Bytes (or items) moved by earlier runs of this same call: what a partly done blocking write has to its credit. */
	progress = 0;
	/** Monotonic ns when this call's own timeout ends; -1 if it has none, or none yet. Set once, by the first run. */
	deadlineNs = -1;
	/** The deadline passed while the call was blocked: this run must end. */
	hasTimedOut = false;
	/** First run of this call (as opposed to a run after a wake-up). */
	isFirstRun = true;
	/** Anything else a handler must remember from its first run to its next: bound to this call, dropped at its end (`dispose` is called if it has one). */
	state: object | null = null;
	/** The signal mask that this call waits under (ppoll and its like); set by the handler's first run. */
	signalMask: SignalMaskArgument | null = null;

	/** Drops `state` at the call's end. */
	dispose(): void {
		const state = this.state as { dispose?(): void } | null;
		this.state = null;
		state?.dispose?.();
	}

	/** Argument `index` as a C `int`. */
	int(index: number): number {
		return this.words[index * WORDS]!;
	}

	/** Argument `index` as a C `unsigned int`. */
	uint(index: number): number {
		return this.words[index * WORDS]! >>> 0;
	}

	/** Argument `index` as an address or `size_t`. Exact below 2^53; above, only known to be huge, which no address or length is. */
	size(index: number): number {
		return (this.words[index * WORDS + 1]! >>> 0) * 0x1_0000_0000 + (this.words[index * WORDS]! >>> 0);
	}

	/** Argument `index` as a C `long`. Exact between -2^53 and 2^53. */
	long(index: number): number {
		return this.words[index * WORDS + 1]! * 0x1_0000_0000 + (this.words[index * WORDS]! >>> 0);
	}
}
