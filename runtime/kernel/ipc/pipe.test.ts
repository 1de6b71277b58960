import t from 'tap';
import { EAGAIN, EBUSY, EINVAL, EPERM, EPIPE } from '../abi/errno.js';
import { F_GETPIPE_SZ, F_SETPIPE_SZ, O_DIRECT, O_NONBLOCK } from '../abi/fcntl.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll-constants.js';
import { SIGPIPE } from '../abi/signal-numbers.js';
import { S_IFIFO } from '../abi/stat-constants.js';
import { BLOCKED } from '../task/blocked.js';
import { Stat } from '../vfs/stat.js';
import { makePipe } from './pipe.js';
import { reading, TestProcess, writing } from './testing.js';

const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM;

t.test('a pipe gives its bytes in order, around its end', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const [out, into] = makePipe(task, 0);
	let next = 0;
	let expected = 0;
	for (let round = 0; round < 200; round++) {
		const bytes = Array.from({ length: 1 + ((round * 37) % 3000) }, () => String.fromCharCode(next++ & 0xff)).join('');
		t.equal(process.call(task, writing(into, bytes)), bytes.length);
		const buffer = Buffer.alloc(4000);
		const count = process.call(task, reading(out, (round * 53) % 4000 || 1, buffer));
		for (let i = 0; i < count; i++) if (buffer[i] !== (expected++ & 0xff)) t.fail(`byte ${expected}`);
	}
});

t.test('a write that wants more than there is goes on as space comes', async (t) => {
	const process = new TestProcess();
	const writer = process.task();
	const reader = process.task();
	const [out, into] = makePipe(writer, 0);
	const write = writing(into, 'x'.repeat(100_000));
	t.equal(process.call(writer, write), BLOCKED);
	t.equal(writer.trap.progress, 65536, 'what an interruption would answer');
	t.equal(process.call(reader, reading(out, 4095)), 4095);
	t.notOk(process.isWoken(writer), 'not for less than PIPE_BUF');
	t.equal(process.call(reader, reading(out, 1)), 1);
	t.ok(process.isWoken(writer));
	t.equal(process.again(writer, write), BLOCKED);
	t.equal(process.call(reader, reading(out, 65536)), 65536);
	t.equal(process.again(writer, write), 100_000);
	t.equal(process.call(reader, reading(out, 65536)), 100_000 - 4096 - 65536);
});

t.test('a write of PIPE_BUF bytes or fewer is whole or waits', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const [, into] = makePipe(task, O_NONBLOCK);
	t.equal(process.call(task, writing(into, 'x'.repeat(70_000))), 65536);
	t.equal(process.call(task, writing(into, 'x')), -EAGAIN);
	const [, blocking] = makePipe(task, 0);
	t.equal(process.call(task, writing(blocking, 'x'.repeat(65000))), 65000);
	t.equal(process.call(task, writing(blocking, 'x'.repeat(600))), BLOCKED);
	t.equal(task.trap.progress, 0, 'nothing of it');
});

t.test('the ends tell of each other: end of file, EPIPE and SIGPIPE, poll bits', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const [out, into] = makePipe(task, 0);
	t.equal(out.poll(), 0);
	t.equal(into.poll(), WRITABLE);
	t.equal(process.call(task, writing(into, 'ab')), 2);
	t.equal(out.poll(), READABLE);
	into.release();
	t.equal(out.poll(), READABLE | POLLHUP);
	t.equal(process.call(task, reading(out, 10)), 2);
	t.equal(process.call(task, reading(out, 10)), 0);
	const [other, broken] = makePipe(task, 0);
	other.release();
	t.equal(broken.poll(), WRITABLE | POLLERR);
	t.equal(process.call(task, writing(broken, '')), 0);
	t.equal(process.call(task, writing(broken, 'x')), -EPIPE);
	t.same(process.signals, [SIGPIPE]);
});

t.test('a reader waits for bytes or the last writer', async (t) => {
	const process = new TestProcess();
	const [first, second, writer] = [process.task(), process.task(), process.task()];
	const [out, into] = makePipe(writer, 0);
	const read = reading(out, 1);
	t.equal(process.call(first, read), BLOCKED);
	t.equal(process.call(second, read), BLOCKED);
	process.call(writer, writing(into, 'ab'));
	t.ok(process.isWoken(first));
	t.notOk(process.isWoken(second), 'one is woken, not all');
	t.equal(process.again(first, read), 1);
	t.ok(process.isWoken(second), 'for what the first has left');
	t.equal(process.again(second, read), 1);
	t.equal(process.call(first, read), BLOCKED);
	t.equal(process.call(second, read), BLOCKED);
	process.call(writer, writing(into, 'c'));
	process.interrupt(first);
	t.ok(process.isWoken(second), 'as the first one makes no use of its wake-up');
	t.equal(process.again(second, read), 1);
	t.equal(process.call(first, read), BLOCKED);
	t.equal(process.call(second, read), BLOCKED);
	into.release();
	t.equal(process.again(first, read), 0);
	t.equal(process.again(second, read), 0);
});

t.test('F_SETPIPE_SZ rounds up and keeps within the limits', async (t) => {
	const process = new TestProcess(1000);
	const task = process.task();
	const [out, into] = makePipe(task, 0);
	const resize = (size: number): number => into.control(task, F_SETPIPE_SZ, size);
	t.equal(out.control(task, F_GETPIPE_SZ, 0), 65536);
	t.equal(resize(0), 4096);
	t.equal(resize(5000), 8192);
	t.equal(resize(0x8000_0001), -EINVAL);
	t.equal(resize((1 << 20) + 1), -EPERM);
	t.equal(resize(1 << 20), 1 << 20);
	process.call(task, writing(into, 'x'.repeat(10_000)));
	t.equal(resize(8192), -EBUSY);
	t.equal(resize(16384), 16384);
	const many = Array.from({ length: 70 }, () => makePipe(task, 0));
	const grown = many.map(([end]) => end.control(task, F_SETPIPE_SZ, 1 << 20)).filter((size) => size > 0).length;
	t.ok(grown > 50 && grown < 70, `${grown} pipes of a MiB are within the user's 64 MiB`);
	const more = Array.from({ length: 20 }, () => makePipe(task, 0));
	t.equal(more[19]![0].control(task, F_GETPIPE_SZ, 0), 8192, 'a user with too much gets small ones');
	for (const [read, write] of many) {
		read.release();
		write.release();
	}
	t.equal(makePipe(task, 0)[0].control(task, F_GETPIPE_SZ, 0), 65536, 'until it has less');
});

t.test('O_DIRECT makes packets', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const [out, into] = makePipe(task, O_DIRECT | O_NONBLOCK);
	t.equal(process.call(task, writing(into, 'x'.repeat(5000))), 5000);
	t.equal(process.call(task, writing(into, 'abc')), 3);
	t.equal(process.call(task, reading(out, 10)), 10, 'the rest of the packet is lost');
	t.equal(process.call(task, reading(out, 5000)), 904);
	t.equal(process.call(task, reading(out, 5000)), 3);
	t.equal(process.call(task, reading(out, 5000)), -EAGAIN);
	let packets = 0;
	while (process.call(task, writing(into, 'x')) === 1) packets++;
	t.equal(packets, 16, 'a page each');
});

t.test('a pipe can be opened again through its inode', async (t) => {
	const process = new TestProcess(7);
	const task = process.task();
	const [out, into] = makePipe(task, 0);
	const stat = new Stat();
	out.stat(stat);
	t.equal(stat.mode, S_IFIFO | 0o600);
	t.equal(stat.uid, 7);
	t.equal(out.anonymousText, `pipe:[${stat.ino}]`);
	t.equal(out.inode, into.inode);
});
