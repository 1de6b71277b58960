import t from 'tap';
import { EINVAL, ENXIO } from '../abi/errno.js';
import { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from '../abi/fcntl.js';
import { POLLHUP } from '../abi/poll-constants.js';
import { S_IFIFO } from '../abi/stat-constants.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { AnonymousFileSystem, AnonymousInode } from '../vfs/anonymous-inode.js';
import { anonymousPath } from '../vfs/anonymous-path.js';
import type { FileDescription } from '../vfs/file-description.js';
import { openFifo } from './fifo.js';
import { reading, TestProcess, writing } from './testing.js';

const fs = new AnonymousFileSystem('test', 0);

function node(): { open(flags: number): (task: Task) => number; opened: FileDescription[] } {
	const inode = new AnonymousInode(fs, S_IFIFO | 0o600, 0, 0);
	const path = anonymousPath(inode, 'fifo');
	const opened: FileDescription[] = [];
	const open = (flags: number) => (task: Task) => {
		const description = openFifo(inode, path, inode, flags, task);
		return typeof description === 'number' ? description : opened.push(description);
	};
	return { open, opened };
}

t.test('opening a fifo waits for the other side', async (t) => {
	const process = new TestProcess();
	const [reader, writer] = [process.task(), process.task()];
	for (const isReaderFirst of [true, false]) {
		const fifo = node();
		const [first, second] = isReaderFirst ? [O_RDONLY, O_WRONLY] : [O_WRONLY, O_RDONLY];
		t.equal(process.call(reader, fifo.open(first)), BLOCKED);
		t.equal(process.call(writer, fifo.open(second)), 1);
		t.ok(process.isWoken(reader));
		t.equal(process.again(reader, fifo.open(first)), 2);
	}
});

t.test('an opener goes on even if its peer has left already', async (t) => {
	const process = new TestProcess();
	const [reader, writer] = [process.task(), process.task()];
	const fifo = node();
	t.equal(process.call(reader, fifo.open(O_RDONLY)), BLOCKED);
	process.call(writer, fifo.open(O_WRONLY));
	fifo.opened[0]!.release();
	t.equal(process.again(reader, fifo.open(O_RDONLY)), 2);
	t.equal(process.call(reader, reading(fifo.opened[1]!, 1)), 0);
});

t.test('an interrupted opener leaves nothing behind', async (t) => {
	const process = new TestProcess();
	const [reader, writer] = [process.task(), process.task()];
	const fifo = node();
	t.equal(process.call(reader, fifo.open(O_RDONLY)), BLOCKED);
	process.interrupt(reader);
	t.equal(process.call(writer, fifo.open(O_WRONLY | O_NONBLOCK)), -ENXIO);
});

t.test('O_NONBLOCK and O_RDWR do not wait', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const fifo = node();
	t.equal(process.call(task, fifo.open(O_WRONLY | O_NONBLOCK)), -ENXIO);
	t.equal(process.call(task, fifo.open(3)), -EINVAL);
	t.equal(process.call(task, fifo.open(O_RDONLY | O_NONBLOCK)), 1);
	const reader = fifo.opened[0]!;
	t.equal(reader.poll(), 0, 'no hang-up before a writer came');
	t.equal(process.call(task, fifo.open(O_WRONLY | O_NONBLOCK)), 2);
	fifo.opened[1]!.release();
	t.equal(reader.poll(), POLLHUP);
	t.equal(process.call(task, fifo.open(O_RDWR)), 3);
	const both = fifo.opened[2]!;
	t.equal(process.call(task, writing(both, 'ab')), 2);
	t.equal(process.call(task, reading(both, 10)), 2);
	t.equal(process.call(task, reading(both, 10)), BLOCKED, 'it is its own writer');
});

t.test('what is in a fifo goes with its last description', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const fifo = node();
	process.call(task, fifo.open(O_RDWR));
	process.call(task, writing(fifo.opened[0]!, 'ab'));
	fifo.opened[0]!.release();
	process.call(task, fifo.open(O_RDONLY | O_NONBLOCK));
	t.equal(process.call(task, reading(fifo.opened[1]!, 10)), 0);
});
