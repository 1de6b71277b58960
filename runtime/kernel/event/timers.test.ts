import t from 'tap';
import { Timer, Timers } from './timers.js';

t.test('timers fire in the order of their expiry, only those that are due', async (t) => {
	const timers = new Timers();
	const fired: number[] = [];
	const expiries = Array.from({ length: 200 }, (_, i) => (i * 7919) % 1009);
	for (const at of expiries) timers.arm(new Timer(() => fired.push(at)), at);
	t.equal(timers.nextNs(), Math.min(...expiries));
	timers.run(500);
	const sorted = [...expiries].sort((a, b) => a - b);
	t.strictSame(
		fired,
		sorted.filter((at) => at <= 500),
	);
	timers.run(2000);
	t.strictSame(fired, sorted);
	t.equal(timers.nextNs(), -1);
	t.equal(timers.size, 0);
});

t.test('a timer that is armed again moves, one that is disarmed does not fire', async (t) => {
	const timers = new Timers();
	const fired: string[] = [];
	const [a, b, c] = ['a', 'b', 'c'].map((name) => new Timer(() => fired.push(name))) as [Timer, Timer, Timer];
	timers.arm(a, 10);
	timers.arm(b, 20);
	timers.arm(c, 30);
	timers.arm(a, 40);
	timers.disarm(b);
	timers.disarm(b);
	t.notOk(b.isArmed);
	t.equal(timers.nextNs(), 30);
	timers.run(100);
	t.strictSame(fired, ['c', 'a']);
});

t.test('a timer that arms itself in the past waits for the next run', async (t) => {
	const timers = new Timers();
	let count = 0;
	const timer: Timer = new Timer(() => {
		count++;
		timers.arm(timer, 0);
	});
	timers.arm(timer, 0);
	timers.run(10);
	t.equal(count, 1);
	timers.run(10);
	t.equal(count, 2);
});
