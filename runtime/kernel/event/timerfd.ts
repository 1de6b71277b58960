import { native } from '../../native.js';
import { EAGAIN, EFAULT, EINVAL } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { POLLIN } from '../abi/poll-constants.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { sharedAnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';
import { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, NS_PER_SECOND, nsUntil, spanNs, type Timespec } from './clocks.js';
import { Timer, type Timers } from './timers.js';

const COUNT_BYTES = 8;
const bytes = new Uint8Array(COUNT_BYTES);
const view = new DataView(bytes.buffer);

/**
 * A timer that is read, timerfd_create(2). As on Linux it stands still once it has expired: who reads it or asks for its time is told all periods that are
 * over, and it goes on. So a short interval costs nothing while nobody looks.
 */
export class TimerFd extends FileDescription {
	/** Expirations that nobody has read. */
	private ticks = 0;
	/** It has fired and was not armed again. */
	private hasExpired = false;
	/** When it fires or fired, monotonic ns; meaningless before the first arming. */
	private expiresNs = 0;
	/** 0: once. */
	intervalNs = 0;
	/** TFD_TIMER_* of the last arming, for fdinfo. */
	private settimeFlags = 0;
	private readonly timer = new Timer(() => {
		this.hasExpired = true;
		this.ticks++;
		this.waiters.wake(POLLIN);
	});

	constructor(
		private readonly timers: Timers,
		readonly clock: number,
		statusFlags: number,
	) {
		super(null, sharedAnonymousInode, O_RDWR | statusFlags);
	}

	override get anonymousText(): string {
		return 'anon_inode:[timerfd]';
	}

	protected override close(): void {
		this.timers.disarm(this.timer);
	}

	/** Arms it for `value` (a span, or a time of its clock with `isAbsolute`), or disarms it where that is zero. What nobody has read is forgotten. */
	set(value: Timespec, intervalNs: number, isAbsolute: boolean, settimeFlags: number): void {
		this.timers.disarm(this.timer);
		this.settimeFlags = settimeFlags;
		this.ticks = 0;
		this.hasExpired = false;
		this.intervalNs = intervalNs;
		if (value.seconds === 0 && value.nanoseconds === 0) return;
		this.arm(native.monotonicNs() + (isAbsolute ? nsUntil(this.hostClock, value) : spanNs(value)));
	}

	/** What is left until it fires, ns; 0 when it isn't armed. Periods that are over are counted. */
	remainingNs(): number {
		this.forward();
		return this.timer.isArmed ? Math.max(1, this.expiresNs - native.monotonicNs()) : 0;
	}

	/** Alarm clocks show the same time. Nothing here suspends: the time since boot is the host's. */
	private get hostClock(): number {
		if (this.clock === CLOCK_REALTIME_ALARM) return CLOCK_REALTIME;
		return this.clock > CLOCK_REALTIME_ALARM ? this.clock - 2 : this.clock;
	}

	private arm(expiresNs: number): void {
		this.expiresNs = expiresNs;
		// One that is over fires at once, as on Linux: who polls next finds it expired.
		if (expiresNs <= native.monotonicNs()) this.timer.fire(expiresNs);
		else this.timers.arm(this.timer, expiresNs);
	}

	/** Counts the periods since it expired, and arms it for the next one. */
	private forward(): void {
		if (!this.hasExpired || this.intervalNs === 0) return;
		this.hasExpired = false;
		const periods = Math.floor(Math.max(0, native.monotonicNs() - this.expiresNs) / this.intervalNs) + 1;
		this.ticks += periods - 1;
		this.expiresNs += periods * this.intervalNs;
		this.timers.arm(this.timer, this.expiresNs);
	}

	override read(task: Task, vector: IoVector): number {
		if (vector.length < COUNT_BYTES) return -EINVAL;
		if (this.ticks === 0) return this.isNonBlocking ? -EAGAIN : task.blockOn(this.waiters, POLLIN);
		this.forward();
		view.setUint32(0, this.ticks % 0x1_0000_0000, true);
		view.setUint32(4, Math.floor(this.ticks / 0x1_0000_0000), true);
		this.ticks = 0;
		return vector.copyOut(bytes, 0, COUNT_BYTES) === COUNT_BYTES ? COUNT_BYTES : -EFAULT;
	}

	override poll(): number {
		return this.ticks > 0 ? POLLIN : 0;
	}

	/** As for eventfds (noop_llseek). */
	override seek(): number {
		return 0;
	}

	override get infoText(): string {
		// Looking changes nothing here: an expired timer shows nothing left, not its next period.
		const leftNs = this.timer.isArmed ? Math.max(0, this.expiresNs - native.monotonicNs()) : 0;
		return (
			`clockid: ${this.clock}\nticks: ${this.ticks}\nsettime flags: 0${this.settimeFlags.toString(8)}\n` +
			`it_value: ${pairText(leftNs)}\nit_interval: ${pairText(this.intervalNs)}\n`
		);
	}
}

function pairText(ns: number): string {
	const seconds = Math.floor(ns / NS_PER_SECOND);
	return `(${seconds}, ${Math.floor(ns - seconds * NS_PER_SECOND)})`;
}

/** Is it a clock that a timer may be made on? */
export function isTimerClock(clock: number): boolean {
	return clock === CLOCK_REALTIME || clock === CLOCK_MONOTONIC || (clock >= 7 && clock <= 9);
}
