import t from 'tap';
import { native } from '../../native.js';
import { EAGAIN, EINVAL } from '../abi/errno.js';
import { O_NONBLOCK } from '../abi/fcntl.js';
import { POLLIN } from '../abi/poll-constants.js';
import { reading, TestProcess } from '../ipc/testing.js';
import { BLOCKED } from '../task/blocked.js';
import { CLOCK_MONOTONIC, CLOCK_REALTIME, realSeconds } from './clocks.js';
import { TimerFd } from './timerfd.js';
import { Timers } from './timers.js';

const SECOND = { seconds: 1, nanoseconds: 0 };

t.test('a reader waits until the timer fires', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const timers = new Timers();
	const timer = new TimerFd(timers, CLOCK_MONOTONIC, 0);
	timer.set(SECOND, 0, false, 0);
	const out = Buffer.alloc(8);
	const read = reading(timer, 8, out);
	t.equal(process.call(task, read), BLOCKED);
	timers.run(timers.nextNs());
	t.ok(process.isWoken(task));
	t.equal(process.again(task, read), 8);
	t.equal(out.readBigUInt64LE(), 1n);
	t.equal(timers.size, 0, 'once');
});

t.test('an interval is counted by those who look', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const timers = new Timers();
	const timer = new TimerFd(timers, CLOCK_REALTIME, O_NONBLOCK);
	timer.set({ seconds: Math.floor(realSeconds()) - 3600, nanoseconds: 0 }, 1, true, 1);
	t.equal(timers.size, 0, 'an interval of a nanosecond costs nothing until it is read');
	t.equal(timer.poll(), POLLIN);
	const out = Buffer.alloc(8);
	t.equal(process.call(task, reading(timer, 8, out)), 8);
	t.ok(out.readBigUInt64LE() > 3599n * 1_000_000_000n);
	t.equal(timers.size, 1);
	t.equal(process.call(task, reading(timer, 7)), -EINVAL);
	timer.release();
	t.equal(timers.size, 0, 'closed');
});

t.test('setting it anew forgets what was not read', async (t) => {
	const process = new TestProcess();
	const timers = new Timers();
	const timer = new TimerFd(timers, CLOCK_MONOTONIC, O_NONBLOCK);
	timer.set(SECOND, 0, false, 0);
	timers.run(native.monotonicNs() + 2e9);
	t.equal(timer.poll(), POLLIN);
	t.equal(timer.remainingNs(), 0);
	timer.set(SECOND, 5, false, 0);
	t.equal(process.call(process.task(), reading(timer, 8)), -EAGAIN);
	t.ok(timer.remainingNs() > 0);
});
