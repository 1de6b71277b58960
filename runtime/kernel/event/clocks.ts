import { native } from '../../native.js';
import { scratchView } from '../trap/guest-memory.js';

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;

export const NS_PER_SECOND = 1e9;
/** Bytes of a struct timespec. */
export const TIMESPEC_BYTES = 16;

const now = new Float64Array(2);

/** A time or a span as struct timespec has it. Seconds apart, as a double can't hold nanoseconds since 1970. */
export interface Timespec {
	seconds: number;
	nanoseconds: number;
}

/** Decodes the struct timespec that lies in the scratch buffer at `at`: false if it isn't a valid one (negative; nanoseconds not below a second). */
export function decodeTimespec(at: number, out: Timespec): boolean {
	out.seconds = scratchView.getInt32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
	out.nanoseconds = scratchView.getInt32(at + 12, true) * 0x1_0000_0000 + scratchView.getUint32(at + 8, true);
	return out.seconds >= 0 && out.nanoseconds >= 0 && out.nanoseconds < NS_PER_SECOND;
}

/** Encodes `ns` as a struct timespec into the scratch buffer at `at`. */
export function encodeTimespec(at: number, ns: number): void {
	const seconds = Math.floor(ns / NS_PER_SECOND);
	scratchView.setUint32(at, seconds % 0x1_0000_0000, true);
	scratchView.setUint32(at + 4, Math.floor(seconds / 0x1_0000_0000), true);
	scratchView.setUint32(at + 8, Math.floor(ns - seconds * NS_PER_SECOND), true);
	scratchView.setUint32(at + 12, 0, true);
}

export function spanNs(span: Timespec): number {
	return span.seconds * NS_PER_SECOND + span.nanoseconds;
}

/** Nanoseconds from now until `time` on the clock `clock`; negative when it is over. */
export function nsUntil(clock: number, time: Timespec): number {
	native.clockGetTime(clock, now);
	return (time.seconds - now[0]!) * NS_PER_SECOND + (time.nanoseconds - now[1]!);
}

/** Seconds since 1970. */
export function realSeconds(): number {
	native.clockGetTime(CLOCK_REALTIME, now);
	return now[0]!;
}
