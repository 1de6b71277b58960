import { native } from '../../../native.js';

/** Linux stamps files with the tick's time, not the nanosecond's. */
const CLOCK_REALTIME_COARSE = 5;

/** Seconds and nanoseconds of the last `readClock`. */
export const clock = new Float64Array(2);

/** Current time for timestamps, into `clock`. */
export function readClock(): void {
	native.clockGetTime(CLOCK_REALTIME_COARSE, clock);
}
