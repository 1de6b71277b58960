import t from 'tap';
import { WaitEntry, WaitQueue } from './wait-queue.js';

/** An entry that notes its name when it is woken, and takes the wake-up or not. */
function entry(name: string, woken: string[], isExclusive = false, isTaking = true): WaitEntry {
	const made = new WaitEntry({
		wake: () => {
			woken.push(name);
			return isTaking;
		},
	});
	made.isExclusive = isExclusive;
	return made;
}

t.test('wake() reaches all who asked for the event, in order of arrival', async (t) => {
	const queue = new WaitQueue();
	const woken: string[] = [];
	queue.add(entry('a', woken), 1);
	queue.add(entry('b', woken), 2);
	queue.add(entry('c', woken), 3);
	queue.wake(1);
	t.strictSame(woken, ['a', 'c']);
});

t.test('of the exclusive ones wake() reaches the first that takes it, behind all others; wakeAll() reaches all', async (t) => {
	const queue = new WaitQueue();
	const woken: string[] = [];
	queue.add(entry('refuses', woken, true, false));
	queue.add(entry('takes', woken, true));
	queue.add(entry('later', woken, true));
	queue.add(entry('looks', woken));
	queue.wake();
	t.strictSame(woken.splice(0), ['looks', 'refuses', 'takes']);
	queue.wakeAll();
	t.strictSame(woken, ['looks', 'refuses', 'takes', 'later']);
});

t.test('a waiter may leave while it is woken, and is in one queue at most', async (t) => {
	const queue = new WaitQueue();
	const other = new WaitQueue();
	const woken: string[] = [];
	const leaving: WaitEntry = new WaitEntry({
		wake: () => {
			woken.push('leaving');
			leaving.remove();
			return true;
		},
	});
	queue.add(leaving);
	queue.add(entry('stays', woken));
	queue.wake();
	queue.wake();
	t.strictSame(woken, ['leaving', 'stays', 'stays']);
	other.add(leaving);
	queue.add(leaving);
	t.ok(other.isEmpty);
	leaving.remove();
	leaving.remove();
	t.equal(leaving.queue, null);
	t.notOk(queue.isEmpty);
});
