import t from 'tap';
import { EBADF, EFAULT, EINVAL } from '../abi/errno.js';
import { POLLHUP, POLLIN, POLLNVAL, POLLOUT } from '../abi/poll-constants.js';
import { makePipe, type PipeDescription } from '../ipc/pipe.js';
import { GuestMemory, reading, TestProcess, writing } from '../ipc/testing.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { sysPoll, sysPpoll, sysPselect6, sysSelect } from './poll.js';

const memory = new GuestMemory();
t.teardown(() => memory.end());

const TIMEOUT = 1024;
const MASK = 1040;

/** A process with the read end of a pipe as descriptor 0 and the write end as 1. */
function withPipe(): { process: TestProcess; task: Task; out: PipeDescription; into: PipeDescription } {
	const process = new TestProcess(0, memory.tid);
	const task = process.task();
	const [out, into] = makePipe(task, 0);
	process.files.add(out, false, 10);
	process.files.add(into, false, 10);
	return { process, task, out, into };
}

function putFds(...entries: [fd: number, events: number][]): void {
	const bytes = Buffer.alloc(entries.length * 8);
	entries.forEach(([fd, events], i) => {
		bytes.writeInt32LE(fd, i * 8);
		bytes.writeUInt16LE(events, i * 8 + 4);
		bytes.writeUInt16LE(0xeeee, i * 8 + 6);
	});
	memory.put(0, bytes);
}

function revents(count: number): number[] {
	const bytes = memory.get(0, count * 8);
	return Array.from({ length: count }, (_, i) => bytes.readUInt16LE(i * 8 + 6));
}

function putTime(seconds: number, fraction: number): void {
	const bytes = Buffer.alloc(16);
	bytes.writeBigInt64LE(BigInt(seconds));
	bytes.writeBigInt64LE(BigInt(fraction), 8);
	memory.put(TIMEOUT, bytes);
}

t.test('poll() tells what holds at once', async (t) => {
	const { process, task } = withPipe();
	putFds([0, POLLIN], [-1, POLLIN], [7, POLLIN], [1, POLLIN | POLLOUT]);
	t.equal(process.call(task, sysPoll, memory.address, 4, -1), 2);
	t.same(revents(4), [0, 0, POLLNVAL, POLLOUT]);
	t.equal(process.call(task, sysPoll, memory.address, 1, 0), 0);
	t.equal(process.call(task, sysPoll, memory.address, 1025, 0), -EINVAL, 'more than RLIMIT_NOFILE');
	t.equal(process.call(task, sysPoll, 8, 1, 0), -EFAULT);
	t.equal(process.call(task, sysPoll, 0, 0, 0), 0);
});

t.test('poll() waits for what it was given at first', async (t) => {
	const { process, task, into } = withPipe();
	const other = process.task();
	putFds([0, POLLIN], [-1, 0]);
	t.equal(process.call(task, sysPoll, memory.address, 2, -1), BLOCKED);
	putFds([0, POLLOUT], [5, POLLIN]);
	process.call(other, writing(into, 'x'));
	t.ok(process.isWoken(task));
	t.equal(process.again(task, sysPoll), 1);
	t.same(revents(2), [POLLIN, 0]);
	t.equal(memory.get(8, 4).readInt32LE(), 5, 'the rest of the array is not touched');
});

t.test('poll() goes on with a description whose number is closed', async (t) => {
	const { process, task, into } = withPipe();
	putFds([0, POLLIN]);
	t.equal(process.call(task, sysPoll, memory.address, 1, -1), BLOCKED);
	process.files.close(0, task);
	t.equal(into.pipe.readers, 1, 'it is held open');
	process.files.close(1, task);
	t.ok(process.isWoken(task));
	t.equal(process.again(task, sysPoll), 1);
	t.same(revents(1), [POLLHUP]);
	t.equal(into.pipe.readers, 0);
});

t.test('ppoll() stores the time left', async (t) => {
	const { process, task } = withPipe();
	putFds([0, POLLIN]);
	putTime(1, 0);
	t.equal(process.call(task, sysPpoll, memory.address, 1, memory.address + TIMEOUT), BLOCKED);
	t.ok(task.trap.deadlineNs > 0);
	task.trap.deadlineNs = 1;
	t.equal(process.timeOut(task, sysPpoll), 0);
	t.same(memory.get(TIMEOUT, 16), Buffer.alloc(16));
	putTime(0, 1e9);
	t.equal(process.call(task, sysPpoll, memory.address, 1, memory.address + TIMEOUT), -EINVAL);
	putTime(-1, 0);
	t.equal(process.call(task, sysPpoll, memory.address, 1, memory.address + TIMEOUT), -EINVAL);
	t.equal(process.call(task, sysPpoll, memory.address, 1, 0, memory.address, 4), -EINVAL, 'a mask of another size');
});

t.test('ppoll() keeps its mask while it waits', async (t) => {
	const { process, task } = withPipe();
	putFds([0, POLLIN]);
	memory.put(MASK, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]));
	t.equal(process.call(task, sysPpoll, memory.address, 1, 0, memory.address + MASK, 8), BLOCKED);
	t.equal(task.trap.signalMask?.low, 0x04030201);
	t.equal(task.trap.signalMask?.high, 0x08070605);
	t.equal(task.trap.signalMask?.address, memory.address + MASK);
});

/** Sets of descriptors as select takes them: for reading at 0, for writing at 128, for exceptions at 256. */
function putSets(...sets: number[][]): number[] {
	return [0, 1, 2].map((i) => {
		const bytes = Buffer.alloc(128);
		for (const fd of sets[i] ?? []) bytes[fd >> 3]! |= 1 << (fd & 7);
		memory.put(i * 128, bytes);
		return memory.address + i * 128;
	});
}

const firstBytes = (): number[] => [0, 1, 2].map((i) => memory.get(i * 128, 1)[0]!);

t.test('select() counts the bits of its three sets', async (t) => {
	const { process, task, out, into } = withPipe();
	const call = (...args: number[]): number => process.call(task, sysSelect, ...args);
	t.equal(call(2, ...putSets([0], [1], [0, 1]), 0), 1);
	t.same(firstBytes(), [0, 2, 0]);
	process.call(task, writing(into, 'x'));
	t.equal(call(2, ...putSets([0], [1]), 0), 2);
	t.same(firstBytes(), [1, 2, 0]);
	process.call(task, reading(out, 1));
	putTime(0, 0);
	t.equal(call(1, ...putSets([0, 5]), memory.address + TIMEOUT), 0, 'what is above the count is not looked at');
	t.same(firstBytes(), [0, 0, 0]);
	t.equal(call(6, ...putSets([0, 5]), 0), -EBADF);
	t.equal(call(100, ...putSets([0, 80]), memory.address + TIMEOUT), 0, 'nor what is above the table');
	t.equal(call(-1), -EINVAL);
	t.equal(call(2, 8), -EFAULT);
});

t.test('pselect6() waits', async (t) => {
	const { process, task, into } = withPipe();
	const other = process.task();
	putTime(5, 0);
	t.equal(process.call(task, sysPselect6, 1, ...putSets([0]), memory.address + TIMEOUT, 0), BLOCKED);
	process.call(other, writing(into, 'x'));
	t.ok(process.isWoken(task));
	t.equal(process.again(task, sysPselect6), 1);
	t.equal(memory.get(TIMEOUT, 1)[0], 4, 'seconds left');
	t.equal(process.call(task, sysPselect6, 1, 0, 0, 0, 0, 8), -EFAULT);
});
