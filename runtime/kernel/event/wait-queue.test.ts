import t from 'tap';
import { WaitEntry, WaitQueue } from './wait-queue.js';

/** Entries of `queue` that write their names down when woken. */
function entries(queue: WaitQueue, ...names: string[]): { woken: string[]; refusing: Set<string>; all: WaitEntry[] } {
	const woken: string[] = [];
	const refusing = new Set<string>();
	const all = names.map((name) => {
		const wake = (): boolean => {
			woken.push(name);
			return !refusing.has(name);
		};
		const entry = new WaitEntry({ wake });
		entry.isExclusive = name.startsWith('exclusive');
		queue.add(entry, 1);
		return entry;
	});
	return { woken, refusing, all };
}

t.test('wake() reaches all who look and one who takes', async (t) => {
	const queue = new WaitQueue();
	const { woken, refusing } = entries(queue, 'exclusive-1', 'one', 'exclusive-2', 'two');
	queue.wake(1);
	t.same(woken, ['one', 'two', 'exclusive-1']);
	woken.length = 0;
	refusing.add('exclusive-1');
	queue.wake(1);
	t.same(woken, ['one', 'two', 'exclusive-1', 'exclusive-2'], 'one that has no use for it lets the next have it');
	woken.length = 0;
	queue.wakeAll(3);
	t.equal(woken.length, 4);
	queue.wake(2);
	t.equal(woken.length, 4, 'nobody asked for that');
});

t.test('remove() keeps the order of the others', async (t) => {
	const queue = new WaitQueue();
	const { woken, all } = entries(queue, 'one', 'exclusive-1', 'exclusive-2', 'two');
	all[1]!.remove();
	entries(queue, 'three');
	queue.wake(1);
	t.same(woken, ['one', 'two', 'exclusive-2']);
	for (const entry of all) entry.remove();
	t.notOk(queue.isEmpty);
});

t.test('a waiter may leave while it is woken', async (t) => {
	const queue = new WaitQueue();
	let count = 0;
	for (let i = 0; i < 3; i++) {
		const wake = (entry: WaitEntry): boolean => {
			entry.remove();
			return ++count > 0;
		};
		queue.add(new WaitEntry({ wake }));
	}
	queue.wake();
	t.equal(count, 3);
	t.ok(queue.isEmpty);
});
