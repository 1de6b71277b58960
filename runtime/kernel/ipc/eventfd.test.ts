import t from 'tap';
import { EAGAIN, EINVAL } from '../abi/errno.js';
import { EFD_NONBLOCK, EFD_SEMAPHORE, POLLIN, POLLOUT } from '../abi/poll-constants.js';
import { BLOCKED } from '../task/blocked.js';
import { EventFd } from './eventfd.js';
import { reading, TestProcess, writing } from './testing.js';

const counter = (value: bigint): string => {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(value);
	return bytes.latin1Slice();
};

t.test('an eventfd counts exactly, up to 2^64 - 2', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const event = new EventFd(5, 0, EFD_NONBLOCK);
	const add = (value: bigint): number => process.call(task, writing(event, counter(value)));
	const out = Buffer.alloc(8);
	const take = (): bigint => (process.call(task, reading(event, 8, out)) === 8 ? out.readBigUInt64LE() : -1n);
	t.equal(take(), 5n);
	t.equal(take(), -1n);
	t.equal(event.poll(), POLLOUT);
	t.equal(add(0xffff_ffffn), 8);
	t.equal(add(2n), 8);
	t.equal(event.poll(), POLLIN | POLLOUT);
	t.equal(take(), 0x1_0000_0001n);
	t.equal(add(2n ** 64n - 1n), -EINVAL);
	t.equal(add(2n ** 64n - 2n), 8);
	t.equal(event.poll(), POLLIN);
	t.equal(add(1n), -EAGAIN);
	t.equal(add(0n), 8);
	t.equal(take(), 2n ** 64n - 2n);
	t.equal(process.call(task, writing(event, 'x'.repeat(9))), -EINVAL);
	t.equal(process.call(task, reading(event, 7)), -EINVAL);
});

t.test('a semaphore gives one at a time', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const event = new EventFd(0, EFD_SEMAPHORE, EFD_NONBLOCK);
	process.call(task, writing(event, counter(2n ** 32n + 1n)));
	const out = Buffer.alloc(8);
	for (let i = 0; i < 3; i++) {
		t.equal(process.call(task, reading(event, 8, out)), 8);
		t.equal(out.readBigUInt64LE(), 1n);
	}
	process.call(task, writing(event, counter(2n)));
	t.equal(event.poll() & POLLIN, POLLIN);
});

t.test('readers wait for a count, writers for room', async (t) => {
	const process = new TestProcess();
	const [reader, writer] = [process.task(), process.task()];
	const event = new EventFd(0, 0, 0);
	const read = reading(event, 8);
	t.equal(process.call(reader, read), BLOCKED);
	t.equal(process.call(writer, writing(event, counter(2n ** 64n - 2n))), 8);
	t.ok(process.isWoken(reader));
	const write = writing(event, counter(3n));
	t.equal(process.call(writer, write), BLOCKED);
	t.equal(process.again(reader, read), 8);
	t.ok(process.isWoken(writer));
	t.equal(process.again(writer, write), 8);
});
