import { isopod } from '../../../proto/generated/sandbox.js';
import { Timer } from '../../kernel/event/timers.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { TraceFilter, TraceSink } from '../../kernel/trap/tracer.js';
import { native } from '../../native.js';
import { encodeFrame } from '../frames.js';

const { Response } = isopod.sandbox;

/** Lines that wait to be sent, at most: of those that come then the newest are lost, and counted. */
const MAX_LINES = 8192;
/** Lines that are sent at once without waiting for more. */
const FULL_FRAME = 64;
const MAX_FRAME_LINES = 1024;
/** How long a line waits for others, and how long a reader that is slow is left alone. */
const DELAY_NS = 10e6;
/** How long a reader has for the last lines. */
const FINISH_MS = 2000;
const FINISH_STEP_MS = 5;
const EAGAIN = 11;

/** Sends the lines of a trace to a front end that may be slow: the loop never waits for it. */
export class TraceStream implements TraceSink {
	readonly filter: TraceFilter;
	private lines: string[] = [];
	private lost = 0;
	/** What the socket has not taken of a frame. */
	private rest: Buffer | null = null;
	private readonly timer = new Timer(() => this.flush());

	constructor(
		private readonly kernel: Kernel,
		/** Non-blocking; its connection's. */
		private readonly fd: number,
		/** Of the request. */
		private readonly id: number,
		{ containerId, calls, paths, pids }: isopod.sandbox.ITrace,
	) {
		this.filter = {
			containerId: containerId ?? '',
			calls: new Set(calls ?? []),
			// As the guest kernel has them: a character for each byte.
			paths: (paths ?? []).map((path) => Buffer.from(path, 'utf8').latin1Slice()),
			pids: new Set(pids ?? []),
		};
		kernel.dispatcher.trace(this);
	}

	line(text: string): void {
		if (this.lines.length >= MAX_LINES) this.lost++;
		else this.lines.push(text);
		if (!this.timer.isArmed) this.kernel.timers.arm(this.timer, native.monotonicNs() + DELAY_NS);
		else if (this.rest === null && this.lines.length === FULL_FRAME) this.flush();
	}

	/** Sends what the socket takes. */
	private flush(): void {
		for (;;) {
			if (this.rest === null) {
				if (this.lines.length === 0 && this.lost === 0) return;
				const lines = this.lines.splice(0, MAX_FRAME_LINES);
				// The lost ones came after all that wait here.
				const lost = this.lines.length === 0 ? this.lost : 0;
				this.lost -= lost;
				this.rest = encodeFrame(Response.encode(Response.create({ id: this.id, lines, lost })).finish());
			}
			const sent = native.sendMessage(this.fd, this.rest, 0, this.rest.length, NO_DESCRIPTORS);
			// A connection that is broken is closed by who reads it.
			if (sent < 0 && sent !== -EAGAIN) {
				this.rest = null;
				this.end();
				return;
			}
			if (sent === this.rest.length) {
				this.rest = null;
				continue;
			}
			if (sent > 0) this.rest = this.rest.subarray(sent);
			if (!this.timer.isArmed) this.kernel.timers.arm(this.timer, native.monotonicNs() + DELAY_NS);
			return;
		}
	}

	/** The connection is closed, or the sandbox process is about to end. */
	end(): void {
		this.kernel.dispatcher.endTrace(this);
		if (this.timer.isArmed) this.kernel.timers.disarm(this.timer);
	}

	/** Sends the last lines: the guests have ended, so that a reader who is behind may be waited for, within bounds. */
	finish(): void {
		for (let waitedMs = 0; waitedMs < FINISH_MS; waitedMs += FINISH_STEP_MS) {
			this.flush();
			if (this.rest === null) break;
			Atomics.wait(sleeper, 0, 0, FINISH_STEP_MS);
		}
		this.end();
	}
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));
const NO_DESCRIPTORS = new Int32Array(0);
