import t from 'tap';
import { EAGAIN, EMFILE, EMSGSIZE, ENOENT, ENOSPC, ETIMEDOUT } from '../../abi/errno.js';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.js';
import { POLLIN, POLLOUT } from '../../abi/poll-constants.js';
import { bounds } from '../../bounds.js';
import { TestProcess } from '../../ipc/testing.js';
import { BLOCKED } from '../../task/blocked.js';
import { anonymousPath } from '../../vfs/anonymous-path.js';
import type { PosixQueue } from './message-queue.js';
import { MqueueFileSystem } from './mqueue-file-system.js';
import { QueueDescription } from './queue-description.js';

function make(fs: MqueueFileSystem, name: string, maxMessages = 3, messageBytes = 16): PosixQueue {
	const queue = fs.root.make(name, 0o600, 0, 0, maxMessages, messageBytes, 819200);
	if (typeof queue === 'number') throw new Error(`Make a queue: ${queue}`);
	return queue;
}

t.test('messages come by priority, then by age; readers and writers wait', async (t) => {
	const process = new TestProcess();
	const [writer, reader] = [process.task(), process.task()];
	const queue = make(new MqueueFileSystem(), 'q');
	const description = new QueueDescription(anonymousPath(queue, '/q'), queue, O_RDWR);
	const send = (text: string, priority: number) => (): number =>
		description.send(writer, { priority, bytes: Buffer.from(text) }, writer.trap.hasTimedOut);
	let got = '';
	const receive = (): number => {
		const message = description.receive(reader, 16, reader.trap.hasTimedOut);
		if (typeof message === 'number') return message;
		got += Buffer.from(message.bytes).toString();
		return message.priority;
	};
	t.equal(process.call(reader, receive), BLOCKED);
	t.equal(process.call(writer, send('a', 1)), 0);
	t.ok(process.isWoken(reader));
	t.equal(process.again(reader, receive), 1);
	for (const [text, priority] of [
		['b', 2],
		['c', 7],
		['d', 2],
	] as const)
		t.equal(process.call(writer, send(text, priority)), 0);
	t.equal(description.poll() & (POLLIN | POLLOUT), POLLIN, 'full');
	t.equal(process.call(writer, send('e', 0)), BLOCKED);
	t.same([process.call(reader, receive), process.call(reader, receive)], [7, 2]);
	t.equal(process.again(writer, send('e', 0)), 0);
	t.equal(description.receive(reader, 15, false), -EMSGSIZE);
	t.same([process.call(reader, receive), process.call(reader, receive)], [2, 0]);
	t.equal(got, 'acbde');
	t.equal(process.call(reader, receive), BLOCKED);
	t.equal(process.timeOut(reader, receive), -ETIMEDOUT);
	description.flags |= O_NONBLOCK;
	t.equal(process.call(reader, receive), -EAGAIN);
	description.release();
});

t.test('queues, and what they may hold, are bounded and given back', async (t) => {
	const fs = new MqueueFileSystem();
	t.equal(fs.root.make('big', 0o600, 5, 5, 100, 8192, 819200), -EMFILE, 'the user’s limit');
	t.equal(fs.root.make('huge', 0o600, 5, 5, 65536, 16 << 20, Number.POSITIVE_INFINITY), -ENOSPC, 'everybody’s limit');
	for (let i = 0; i < bounds.posixQueues; i++) make(fs, `${i}`);
	t.equal(fs.root.make('more', 0o600, 0, 0, 1, 1, 819200), -ENOSPC);
	for (let i = 0; i < bounds.posixQueues; i++) t.equal(fs.root.unlink(`${i}`, fs.root), 0);
	t.equal(fs.root.unlink('0', fs.root), -ENOENT);
	t.equal(fs.reservedBytes, 0);
});
