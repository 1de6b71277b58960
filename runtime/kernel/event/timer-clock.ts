import { availableParallelism } from 'node:os';
import { native } from '../../native.js';
import type { ThreadGroup } from '../task/thread-group.js';
import type { Timespec } from './clocks.js';
import {
	CLOCK_BOOTTIME,
	CLOCK_BOOTTIME_ALARM,
	CLOCK_MONOTONIC,
	CLOCK_REALTIME,
	CLOCK_REALTIME_ALARM,
	NS_PER_SECOND,
	nsUntil,
	spanNs,
} from './clocks.js';

/** What a POSIX timer counts. Its times are ns of a scale of its own. */
export interface TimerClock {
	/** The present, ns. Infinity when what it counts is gone: nothing expires any more. */
	nowNs(): number;
	/** A time that the guest names, on the scale of `nowNs`. */
	at(time: Timespec): number;
	/** The earliest monotonic time at which the clock can show `timeNs`. */
	reachesNs(timeNs: number): number;
}

/** A clock of the wall. */
class WallClock implements TimerClock {
	constructor(private readonly clock: number) {}

	nowNs(): number {
		return native.monotonicNs();
	}
	at(time: Timespec): number {
		return native.monotonicNs() + nsUntil(this.clock, time);
	}
	reachesNs(timeNs: number): number {
		return timeNs;
	}
}

/** CPU timers are looked at no more often (Linux: its tick). */
const TICK_NS = 4_000_000;
/** CLOCK_PROCESS_CPUTIME_ID of another process is made of its id (CPUCLOCK_SCHED). */
const CPUCLOCK_SCHED = 2;
const seconds = new Float64Array(2);
const statistics = Buffer.alloc(128);

/** The CPU time of a process, or (`tid` not negative) of one thread of it. */
class CpuClock implements TimerClock {
	constructor(
		private readonly group: ThreadGroup,
		private readonly tid: number,
	) {}

	nowNs(): number {
		const { group, tid } = this;
		if (group.isDead) return Number.POSITIVE_INFINITY;
		if (tid < 0) {
			if (native.clockGetTime((~group.pid << 3) | CPUCLOCK_SCHED, seconds) < 0) return Number.POSITIVE_INFINITY;
			return seconds[0]! * NS_PER_SECOND + seconds[1]!;
		}
		const length = native.readProcFile(`${group.pid}/task/${tid}/schedstat`, statistics);
		return length <= 0 ? Number.POSITIVE_INFINITY : Number.parseInt(statistics.latin1Slice(0, length), 10);
	}
	at(time: Timespec): number {
		return spanNs(time);
	}
	reachesNs(timeNs: number): number {
		const leftNs = (timeNs - this.nowNs()) / (this.tid < 0 ? availableParallelism() : 1);
		return native.monotonicNs() + Math.max(leftNs, TICK_NS);
	}
}

/** A clock of the host's that shows what `clock` does; alarm clocks show the time of those that don't wake a suspended system. */
export function wallClock(clock: number): TimerClock {
	if (clock === CLOCK_REALTIME_ALARM) return new WallClock(CLOCK_REALTIME);
	return new WallClock(clock === CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock === CLOCK_MONOTONIC ? CLOCK_MONOTONIC : clock);
}

export function cpuClock(group: ThreadGroup, tid: number): TimerClock {
	return new CpuClock(group, tid);
}
