import { native } from '../../../native.js';
import type { ProcFileSystem } from './proc-file-system.js';
import type { ProcessorTimes } from './stat.js';

/** Clock ticks per second, sysconf(_SC_CLK_TCK). */
export const TICKS_PER_SECOND = 100;
const NS_PER_TICK = 1e9 / TICKS_PER_SECOND;
const CLOCK_REALTIME = 0;
const CLOCK_BOOTTIME = 7;

const clock = new Float64Array(2);

function nowNs(which: number): number {
	native.clockGetTime(which, clock);
	return clock[0]! * 1e9 + clock[1]!;
}

/** Ns since the sandbox's start, which is the guest's boot. */
export function uptimeNs(fs: ProcFileSystem): number {
	return native.monotonicNs() - fs.container.kernel.startNs;
}

/** The guest's boot as seconds of the wall clock. */
export function bootTimeSec(fs: ProcFileSystem): number {
	return Math.floor((nowNs(CLOCK_REALTIME) - uptimeNs(fs)) / 1e9);
}

/** A start time that the host counts in ticks from its own boot, counted from the sandbox's start. */
export function startTicks(fs: ProcFileSystem, hostTicks: number): number {
	const sandboxStartTicks = Math.floor((nowNs(CLOCK_BOOTTIME) - uptimeNs(fs)) / NS_PER_TICK);
	return Math.max(0, hostTicks - sandboxStartTicks);
}

/** /proc/uptime, proc_uptime(5): seconds since the sandbox's start, and idle time of all processors. */
export function uptimeText(fs: ProcFileSystem, times: ProcessorTimes): string {
	return `${(uptimeNs(fs) / 1e9).toFixed(2)} ${(times.sample().idle / TICKS_PER_SECOND).toFixed(2)}\n`;
}
