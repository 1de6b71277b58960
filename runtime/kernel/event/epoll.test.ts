import t from 'tap';
import { EEXIST, EFAULT, EINVAL, ELOOP, ENOENT } from '../abi/errno.js';
import { EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT } from '../abi/poll-constants.js';
import { EventFd } from '../ipc/eventfd.js';
import { makePipe } from '../ipc/pipe.js';
import { GuestMemory, reading, TestProcess, writing } from '../ipc/testing.js';
import { sysEpollCtl, sysEpollWait } from '../syscalls/epoll.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import type { FileDescription } from '../vfs/file-description.js';
import { Epoll } from './epoll.js';

const memory = new GuestMemory();
t.teardown(() => memory.end());

const ONE = '\x01\0\0\0\0\0\0\0';

/** An epoll instance as descriptor 0 of a process, and what it delivers. */
class Bench {
	readonly process = new TestProcess(0, memory.tid);
	readonly task = this.process.task();
	readonly epoll = new Epoll(this.task);
	private next = 1;

	constructor() {
		this.process.files.add(this.epoll, false, 100);
	}

	add(description: FileDescription, events: number): number {
		return this.epoll.add(this.next, description, events, this.next++, 7);
	}

	/** Data of the events that are there, in order. */
	wait(maximum = 16): number[] {
		const count = this.process.call(this.task, sysEpollWait, 0, memory.address, maximum, 0);
		if (count < 0) return [count];
		const bytes = memory.get(0, count * 12);
		return Array.from({ length: count }, (_, i) => bytes.readInt32LE(i * 12 + 4));
	}

	signal(event: EventFd): void {
		this.process.call(this.task, writing(event, ONE));
	}
	clear(event: EventFd): void {
		this.process.call(this.task, reading(event, 8));
	}
	event(): EventFd {
		return new EventFd(0, 0, 0);
	}
}

t.test('level-triggered items come as long as they are ready, in turn', async (t) => {
	const bench = new Bench();
	const events = [bench.event(), bench.event(), bench.event()];
	for (const event of events) bench.add(event, EPOLLIN);
	t.same(bench.wait(), []);
	for (const event of events) bench.signal(event);
	t.same(bench.wait(2), [1, 2]);
	t.same(bench.wait(2), [3, 1], 'the one that waited longest first');
	bench.clear(events[1]!);
	t.same(bench.wait(), [3, 1]);
	bench.clear(events[0]!);
	bench.clear(events[2]!);
	t.same(bench.wait(), []);
});

t.test('edge-triggered items come once per wake-up', async (t) => {
	const bench = new Bench();
	const event = bench.event();
	bench.add(event, EPOLLIN | EPOLLET);
	bench.signal(event);
	t.same(bench.wait(), [1]);
	t.same(bench.wait(), []);
	bench.signal(event);
	t.same(bench.wait(), [1]);
});

t.test('a one-shot comes once until it is modified', async (t) => {
	const bench = new Bench();
	const event = bench.event();
	bench.add(event, EPOLLIN | EPOLLONESHOT);
	bench.signal(event);
	t.same(bench.wait(), [1]);
	bench.signal(event);
	t.same(bench.wait(), []);
	t.equal(bench.epoll.modify(1, event, EPOLLIN | EPOLLONESHOT, 9, 0), 0);
	t.same(bench.wait(), [9]);
});

t.test('registrations are found by number and description', async (t) => {
	const bench = new Bench();
	const [first, second] = [bench.event(), bench.event()];
	t.equal(bench.epoll.add(5, first, EPOLLIN, 1, 0), 0);
	t.equal(bench.epoll.add(5, first, EPOLLIN, 1, 0), -EEXIST);
	t.equal(bench.epoll.add(5, second, EPOLLIN, 2, 0), 0, 'the number has changed hands');
	t.equal(bench.epoll.modify(6, second, EPOLLIN, 2, 0), -ENOENT);
	bench.signal(first);
	bench.signal(second);
	t.same(bench.wait(), [1, 2]);
	t.equal(bench.epoll.delete(5, first), 0);
	t.equal(bench.epoll.delete(5, first), -ENOENT);
	t.same(bench.wait(), [2]);
	second.acquire();
	second.release();
	t.same(bench.wait(), [2]);
	second.release();
	t.same(bench.wait(), [], 'it went with the last reference');
	t.equal(bench.epoll.delete(5, second), -ENOENT);
});

t.test('an exclusive item lets others of its kind sleep', async (t) => {
	const [first, second] = [new Bench(), new Bench()];
	const event = first.event();
	first.add(event, EPOLLIN | EPOLLEXCLUSIVE);
	second.add(event, EPOLLIN | EPOLLEXCLUSIVE);
	t.equal(first.epoll.modify(1, event, EPOLLIN, 1, 0), -EINVAL);
	const wait = (bench: Bench): number => bench.process.call(bench.task, sysEpollWait, 0, memory.address, 1, -1);
	t.equal(wait(first), BLOCKED);
	t.equal(wait(second), BLOCKED);
	first.signal(event);
	t.ok(first.process.isWoken(first.task));
	t.notOk(second.process.isWoken(second.task));
});

t.test('epoll_wait() blocks until an event or its deadline', async (t) => {
	const bench = new Bench();
	const [first, second] = [bench.process.task(), bench.process.task()];
	const event = bench.event();
	bench.add(event, EPOLLIN);
	const wait = (task: Task): number => bench.process.call(task, sysEpollWait, 0, memory.address, 4, 1000);
	t.equal(wait(first), BLOCKED);
	t.equal(wait(second), BLOCKED);
	t.ok(first.trap.deadlineNs > 0);
	bench.signal(event);
	t.ok(bench.process.isWoken(first));
	t.notOk(bench.process.isWoken(second), 'one is woken');
	t.equal(bench.process.again(first, sysEpollWait), 1);
	t.ok(bench.process.isWoken(second), 'it is ready still');
	bench.clear(event);
	t.equal(bench.process.again(second, sysEpollWait), BLOCKED);
	t.equal(bench.process.timeOut(second, sysEpollWait), 0);
});

t.test('events that cannot be stored stay', async (t) => {
	const bench = new Bench();
	const event = bench.event();
	bench.add(event, EPOLLIN | EPOLLONESHOT);
	bench.signal(event);
	const wait = (address: number): number => bench.process.call(bench.task, sysEpollWait, 0, address, 1, 0);
	t.equal(wait(8), -EFAULT);
	t.equal(wait(memory.address), 1);
	t.equal(wait(memory.address), 0);
	t.equal(bench.process.call(bench.task, sysEpollWait, 0, memory.address, 0, 0), -EINVAL);
});

t.test('epoll instances watch each other, without circles and five deep', async (t) => {
	const bench = new Bench();
	const make = (): Epoll => new Epoll(bench.task);
	const chain = [make(), make(), make(), make(), make(), make()];
	for (let i = 0; i < 4; i++) t.equal(chain[i]!.add(1, chain[i + 1]!, EPOLLIN, 0, 0), 0);
	t.equal(chain[4]!.add(1, chain[5]!, EPOLLIN, 0, 0), -ELOOP, 'too deep');
	t.equal(chain[4]!.add(1, chain[0]!, EPOLLIN, 0, 0), -ELOOP, 'a circle');
	t.equal(bench.add(chain[1]!, EPOLLIN), 0);
	const event = bench.event();
	chain[4]!.add(2, event, EPOLLIN, 0, 0);
	t.same(bench.wait(), []);
	bench.signal(event);
	t.same(bench.wait(), [1]);
	bench.clear(event);
	t.same(bench.wait(), []);
});

t.test('the ways that a wake-up takes are bounded', async (t) => {
	const bench = new Bench();
	const make = (): Epoll => new Epoll(bench.task);
	const [top, middle] = [Array.from({ length: 30 }, make), Array.from({ length: 30 }, make)];
	for (const parent of top) for (const [i, child] of middle.entries()) t.equal(parent.add(i, child, EPOLLIN, 0, 0), 0);
	const bottom = make();
	const results = middle.map((parent) => parent.add(100, bottom, EPOLLIN, 0, 0));
	t.same(new Set(results), new Set([0, -EINVAL]));
	t.equal(results.filter((result) => result === 0).length, 16, '500 ways, of 31 each');
});

t.test('a pipe tells its ends what concerns them', async (t) => {
	const bench = new Bench();
	const [out, into] = makePipe(bench.task, 0);
	bench.add(into, EPOLLIN | EPOLLOUT | EPOLLET);
	t.same(bench.wait(), [1]);
	bench.process.call(bench.task, writing(into, 'ab'));
	bench.process.call(bench.task, reading(out, 1));
	t.same(bench.wait(), [], 'there was room all the time');
	bench.add(out, EPOLLIN | EPOLLET);
	t.same(bench.wait(), [2]);
	into.release();
	t.same(bench.wait(), [2]);
	t.equal(memory.get(0, 4).readInt32LE(), EPOLLIN | EPOLLHUP);
});

t.test('epoll_ctl() checks its arguments as Linux does', async (t) => {
	const bench = new Bench();
	bench.process.files.add(bench.event(), false, 100);
	const control = (...args: number[]): number => bench.process.call(bench.task, sysEpollCtl, ...args);
	memory.put(0, Buffer.from([1, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0]));
	t.equal(control(0, 1, 1, 8), -EFAULT);
	t.equal(control(0, 1, 0, memory.address), -EINVAL, 'itself');
	t.equal(control(1, 1, 0, memory.address), -EINVAL, 'no epoll instance');
	t.equal(control(0, 7, 1, memory.address), -EINVAL);
	t.equal(control(0, 1, 1, memory.address), 0);
	t.equal(control(0, 2, 1, 0), 0);
	memory.put(0, Buffer.from([1, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0, 0]));
	t.equal(control(0, 1, 1, memory.address), -EINVAL, 'exclusive and one-shot');
});
