import { CAP_WAKE_ALARM } from '../abi/capability-numbers.js';
import { EBADF, EINVAL, EPERM } from '../abi/errno.js';
import { O_CLOEXEC, O_NONBLOCK, O_PATH } from '../abi/fcntl.js';
import { CLOCK_REALTIME_ALARM, decodeTimespec, encodeTimespec, spanNs, TIMESPEC_BYTES, type Timespec } from '../event/clocks.js';
import { isTimerClock, TimerFd } from '../event/timerfd.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { install } from './install.js';

const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;
const ITIMERSPEC_BYTES = 2 * TIMESPEC_BYTES;

const interval: Timespec = { seconds: 0, nanoseconds: 0 };
const value: Timespec = { seconds: 0, nanoseconds: 0 };

/** timerfd_create(2). */
export function sysTimerfdCreate(task: Task, trap: Trap): number {
	const clock = trap.int(0);
	const flags = trap.uint(1);
	if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0 || !isTimerClock(clock)) return -EINVAL;
	if (!mayUse(task, clock)) return -EPERM;
	return install(task, new TimerFd(task.kernel.timers, clock, flags & O_NONBLOCK), (flags & O_CLOEXEC) !== 0);
}

/** timerfd_settime(2). TFD_TIMER_CANCEL_ON_SET is taken: nobody in here can set the clock. */
export function sysTimerfdSettime(task: Task, trap: Trap): number {
	const flags = trap.uint(1);
	const error = copyIn(task.tid, trap.size(2), ITIMERSPEC_BYTES);
	if (error < 0) return error;
	if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) return -EINVAL;
	if (!decodeTimespec(0, interval) || !decodeTimespec(TIMESPEC_BYTES, value)) return -EINVAL;
	const timer = timerOf(task, trap.int(0));
	if (typeof timer === 'number') return timer;
	if (!mayUse(task, timer.clock)) return -EPERM;
	encodeTimer(timer);
	timer.set(value, spanNs(interval), (flags & TFD_TIMER_ABSTIME) !== 0, flags);
	return trap.size(3) === 0 ? 0 : copyOut(task.tid, trap.size(3), ITIMERSPEC_BYTES);
}

/** timerfd_gettime(2). */
export function sysTimerfdGettime(task: Task, trap: Trap): number {
	const timer = timerOf(task, trap.int(0));
	if (typeof timer === 'number') return timer;
	encodeTimer(timer);
	return copyOut(task.tid, trap.size(1), ITIMERSPEC_BYTES);
}

function timerOf(task: Task, fd: number): TimerFd | number {
	const description = task.file(fd);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return description instanceof TimerFd ? description : -EINVAL;
}

/** Clocks that wake a suspended system are a privilege. */
function mayUse(task: Task, clock: number): boolean {
	return clock < CLOCK_REALTIME_ALARM || hasCapability(task.credentials, CAP_WAKE_ALARM);
}

/** What is left and the interval, as a struct itimerspec in the scratch buffer. */
function encodeTimer(timer: TimerFd): void {
	encodeTimespec(TIMESPEC_BYTES, timer.remainingNs());
	encodeTimespec(0, timer.intervalNs);
}
