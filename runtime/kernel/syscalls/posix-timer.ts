import { CAP_WAKE_ALARM } from '../abi/capability-numbers.js';
import { EINVAL, EOPNOTSUPP, EPERM } from '../abi/errno.js';
import { SIGALRM, SIGRTMAX } from '../abi/signal-numbers.js';
import {
	CLOCK_BOOTTIME_ALARM,
	CLOCK_REALTIME_ALARM,
	decodeTimespec,
	encodeTimespec,
	spanNs,
	TIMESPEC_BYTES,
	type Timespec,
} from '../event/clocks.js';
import { type PosixTimer, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, type TimerEvent } from '../event/posix-timer.js';
import { PosixTimers } from '../event/posix-timers.js';
import { cpuClock, type TimerClock, wallClock } from '../event/timer-clock.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, copyOutInt, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

/** struct sigevent: value, signal, notify, thread. */
const SIGEVENT_BYTES = 64;
const SIGEVENT_SIGNAL = 8;
const SIGEVENT_NOTIFY = 12;
const SIGEVENT_THREAD = 16;

const TIMER_ABSTIME = 1;
const ITIMERSPEC_BYTES = 2 * TIMESPEC_BYTES;

const CLOCK_PROCESS_CPUTIME_ID = 2;
const CLOCK_THREAD_CPUTIME_ID = 3;
/** Clocks without timers: the raw and the coarse ones. */
const CLOCK_MONOTONIC_RAW = 4;
const CLOCK_MONOTONIC_COARSE = 6;
const CLOCK_SGI_CYCLE = 10;
const CLOCK_TAI = 11;
/** Negative clocks are made of an id and three bits: which clock, and whether it is a thread's. */
const CLOCK_KIND = 3;
const CLOCK_IS_THREAD = 4;
/** Not a CPU time, but a clock that a descriptor stands for. */
const CLOCKFD = 3;

const interval: Timespec = { seconds: 0, nanoseconds: 0 };
const value: Timespec = { seconds: 0, nanoseconds: 0 };

/** timer_create(2). CPU times are looked at, not counted by the host: a timer of one may be late by a few ms. */
export function sysTimerCreate(task: Task, trap: Trap): number {
	const { group } = task;
	const eventAddress = trap.size(1);
	let event: TimerEvent | null = null;
	if (eventAddress !== 0) {
		const error = copyIn(task.tid, eventAddress, SIGEVENT_BYTES);
		if (error < 0) return error;
	}
	const clockId = trap.int(0);
	const clock = clockOf(task, clockId);
	if (typeof clock === 'number') return clock;
	if (eventAddress !== 0) {
		event = readEvent(task);
		if (event === null) return -EINVAL;
	}
	group.posixTimers ??= new PosixTimers(group);
	const timer = group.posixTimers.create(
		clockId,
		clock,
		(id) => event ?? { notify: SIGEV_SIGNAL, signal: SIGALRM, tid: -1, valueLow: id, valueHigh: 0 },
	);
	if (typeof timer === 'number') return timer;
	const error = copyOutInt(task.tid, trap.size(2), timer.id);
	if (error < 0) group.posixTimers.delete(timer);
	return error;
}

function clockOf(task: Task, clockId: number): TimerClock | number {
	const { group } = task;
	if (clockId < 0) return dynamicClockOf(task, clockId);
	if (clockId > CLOCK_TAI || clockId === CLOCK_SGI_CYCLE) return -EINVAL;
	if (clockId >= CLOCK_MONOTONIC_RAW && clockId <= CLOCK_MONOTONIC_COARSE) return -EOPNOTSUPP;
	if (clockId === CLOCK_PROCESS_CPUTIME_ID) return cpuClock(group, -1);
	if (clockId === CLOCK_THREAD_CPUTIME_ID) return cpuClock(group, task.tid);
	const isAlarm = clockId === CLOCK_REALTIME_ALARM || clockId === CLOCK_BOOTTIME_ALARM;
	if (isAlarm && !hasCapability(task.credentials, CAP_WAKE_ALARM)) return -EPERM;
	return wallClock(clockId);
}

/** clock_getcpuclockid(3), pthread_getcpuclockid(3): any process of the container, threads of the caller's own. */
function dynamicClockOf(task: Task, clockId: number): TimerClock | number {
	const { group } = task;
	const { container } = group;
	if ((clockId & CLOCK_KIND) === CLOCKFD) return (clockId & CLOCK_IS_THREAD) === 0 ? -EOPNOTSUPP : -EINVAL;
	const id = ~(clockId >> 3);
	if ((clockId & CLOCK_IS_THREAD) === 0) {
		const of = id === 0 ? group : container.groupByInsideId(id);
		return of === null ? -EINVAL : cpuClock(of, -1);
	}
	const tid = id === 0 ? task.tid : container.outsideId(id, true);
	return tid !== 0 && group.hasThread(tid) ? cpuClock(group, tid) : -EINVAL;
}

/** The struct sigevent in the scratch buffer; null if it isn't one. */
function readEvent(task: Task): TimerEvent | null {
	const { group } = task;
	const valueLow = scratchView.getInt32(0, true);
	const valueHigh = scratchView.getInt32(4, true);
	const signal = scratchView.getInt32(SIGEVENT_SIGNAL, true);
	const notify = scratchView.getInt32(SIGEVENT_NOTIFY, true);
	const thread = scratchView.getInt32(SIGEVENT_THREAD, true);
	if (notify === SIGEV_NONE) return { notify, signal: 0, tid: -1, valueLow, valueHigh };
	if (notify !== SIGEV_SIGNAL && notify !== SIGEV_THREAD && notify !== SIGEV_THREAD_ID) return null;
	if (signal <= 0 || signal > SIGRTMAX) return null;
	if (notify !== SIGEV_THREAD_ID) return { notify, signal, tid: -1, valueLow, valueHigh };
	const tid = group.container.outsideId(thread, true);
	if (tid === 0 || !group.hasThread(tid)) return null;
	return { notify, signal, tid, valueLow, valueHigh };
}

/** timer_settime(2). */
export function sysTimerSettime(task: Task, trap: Trap): number {
	if (trap.size(2) === 0) return -EINVAL;
	const error = copyIn(task.tid, trap.size(2), ITIMERSPEC_BYTES);
	if (error < 0) return error;
	if (!decodeTimespec(0, interval) || !decodeTimespec(TIMESPEC_BYTES, value)) return -EINVAL;
	const timer = timerOf(task, trap);
	if (timer === null) return -EINVAL;
	encodeTimer(timer);
	timer.set(value, spanNs(interval), (trap.uint(1) & TIMER_ABSTIME) !== 0);
	return trap.size(3) === 0 ? 0 : copyOut(task.tid, trap.size(3), ITIMERSPEC_BYTES);
}

/** timer_gettime(2). */
export function sysTimerGettime(task: Task, trap: Trap): number {
	const timer = timerOf(task, trap);
	if (timer === null) return -EINVAL;
	encodeTimer(timer);
	return copyOut(task.tid, trap.size(1), ITIMERSPEC_BYTES);
}

/** timer_getoverrun(2). */
export function sysTimerGetoverrun(task: Task, trap: Trap): number {
	return timerOf(task, trap)?.getOverrun() ?? -EINVAL;
}

/** timer_delete(2). */
export function sysTimerDelete(task: Task, trap: Trap): number {
	const timer = timerOf(task, trap);
	if (timer === null) return -EINVAL;
	task.group.posixTimers!.delete(timer);
	return 0;
}

function timerOf(task: Task, trap: Trap): PosixTimer | null {
	return task.group.posixTimers?.get(trap.int(0)) ?? null;
}

/** What is left and the interval, as a struct itimerspec in the scratch buffer. */
function encodeTimer(timer: PosixTimer): void {
	encodeTimespec(TIMESPEC_BYTES, timer.remainingNs());
	encodeTimespec(0, timer.intervalNs);
}
