import t from 'tap';
import { EAGAIN, ECONNREFUSED, ECONNRESET, EMSGSIZE, ENOTCONN, EPIPE } from '../abi/errno.js';
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from '../abi/poll-constants.js';
import { SIGPIPE } from '../abi/signal-numbers.js';
import {
	MSG_DONTWAIT,
	MSG_NOSIGNAL,
	MSG_PEEK,
	MSG_TRUNC,
	MSG_WAITALL,
	SHUT_WR,
	SOCK_DGRAM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
} from '../abi/socket-constants.js';
import { BLOCKED } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { ioVector } from '../trap/guest-memory.js';
import { EventFd } from './eventfd.js';
import { maySend, PassedDescriptors } from './passed-descriptors.js';
import { socketMessage } from './socket-message.js';
import { makeSocketPair } from './socket-pair.js';
import { TestProcess } from './testing.js';
import type { UnixSocket } from './unix-socket.js';

const sending =
	(socket: UnixSocket, text: string, flags = 0, rights: PassedDescriptors | null = null) =>
	(task: Task): number => {
		const bytes = Buffer.from(text, 'latin1');
		ioVector.kernel(bytes, 0, bytes.length);
		socketMessage.begin(flags).rights = rights;
		const result = socket.send(task, ioVector, socketMessage);
		socketMessage.end();
		return result;
	};

/** What arrives is noted: its bytes, MSG_* and how many descriptors came. */
class Receipt {
	text = '';
	flags = 0;
	descriptors = 0;

	of(socket: UnixSocket, length: number, flags = 0): (task: Task) => number {
		const bytes = Buffer.alloc(length);
		return (task) => {
			ioVector.kernel(bytes, 0, length);
			const result = socket.receive(task, ioVector, socketMessage.begin(flags));
			this.text = bytes.latin1Slice(0, Math.max(0, Math.min(result, length)));
			this.flags = socketMessage.outFlags;
			this.descriptors = socketMessage.rights?.count ?? 0;
			socketMessage.end();
			return result;
		};
	}
}

t.test('a stream joins what was written, and waits when it is full', async (t) => {
	const process = new TestProcess();
	const [reader, writer] = [process.task(), process.task()];
	const [first, second] = makeSocketPair(reader, SOCK_STREAM, 0);
	const receipt = new Receipt();
	process.call(writer, sending(first, 'ab'));
	process.call(writer, sending(first, 'cd'));
	t.equal(process.call(reader, receipt.of(second, 3, MSG_PEEK)), 3);
	t.equal(process.call(reader, receipt.of(second, 10)), 4);
	t.equal(receipt.text, 'abcd');
	const write = sending(first, 'x'.repeat(400_000));
	t.equal(process.call(writer, write), BLOCKED);
	t.ok(writer.trap.progress > 200_000);
	t.equal(first.poll() & POLLOUT, 0);
	while (!process.isWoken(writer)) t.equal(process.call(reader, receipt.of(second, 10_000)), 10_000);
	t.equal(process.again(writer, write), BLOCKED);
	t.equal(process.call(writer, sending(first, 'x', MSG_DONTWAIT)), -EAGAIN);
});

t.test('MSG_WAITALL waits for all of it', async (t) => {
	const process = new TestProcess();
	const [reader, writer] = [process.task(), process.task()];
	const [first, second] = makeSocketPair(reader, SOCK_STREAM, 0);
	const receive = new Receipt().of(second, 4, MSG_WAITALL);
	process.call(writer, sending(first, 'ab'));
	t.equal(process.call(reader, receive), BLOCKED);
	t.equal(reader.trap.progress, 2);
	process.call(writer, sending(first, 'cd'));
	t.equal(process.again(reader, receive), 4);
});

t.test('messages keep their bounds', async (t) => {
	for (const type of [SOCK_DGRAM, SOCK_SEQPACKET]) {
		const process = new TestProcess();
		const task = process.task();
		const [first, second] = makeSocketPair(task, type, 0);
		const receipt = new Receipt();
		for (const text of ['hello', '', 'x']) process.call(task, sending(first, text));
		t.equal(process.call(task, receipt.of(second, 2, MSG_PEEK | MSG_TRUNC)), 5);
		t.equal(process.call(task, receipt.of(second, 2)), 2);
		t.equal(receipt.flags, MSG_TRUNC);
		t.equal(process.call(task, receipt.of(second, 2)), 0);
		t.equal(process.call(task, receipt.of(second, 2)), 1);
		t.equal(receipt.flags, 0);
		t.equal(process.call(task, sending(first, 'x'.repeat(212_992))), -EMSGSIZE);
		let sent = 0;
		while (process.call(task, sending(first, '', MSG_DONTWAIT)) === 0 && sent < 10_000) sent++;
		t.ok(sent < 1000, 'empty ones are bounded, too');
	}
});

t.test('the end of one side shows at the other', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const receipt = new Receipt();
	const [first, second] = makeSocketPair(task, SOCK_STREAM, 0);
	process.call(task, sending(first, 'unread'));
	process.call(task, sending(second, 'last'));
	second.release();
	t.equal(first.poll() & (POLLIN | POLLHUP | POLLRDHUP), POLLIN | POLLHUP | POLLRDHUP);
	t.equal(process.call(task, receipt.of(first, 10)), 4);
	t.equal(process.call(task, receipt.of(first, 10)), -ECONNRESET);
	t.equal(process.call(task, receipt.of(first, 10)), 0);
	t.equal(process.call(task, sending(first, 'x', MSG_NOSIGNAL)), -EPIPE);
	t.same(process.signals, []);
	t.equal(process.call(task, sending(first, 'x')), -EPIPE);
	t.same(process.signals, [SIGPIPE]);
	const [left, right] = makeSocketPair(task, SOCK_DGRAM, 0);
	right.release();
	t.equal(process.call(task, sending(left, 'x')), -ECONNREFUSED);
	t.equal(process.call(task, sending(left, 'x')), -ENOTCONN);
});

t.test('shutdown() ends one direction', async (t) => {
	const process = new TestProcess();
	const task = process.task();
	const [first, second] = makeSocketPair(task, SOCK_STREAM, 0);
	const receive = new Receipt().of(second, 10);
	t.equal(process.call(task, receive), BLOCKED);
	first.shutdown(SHUT_WR);
	t.equal(process.again(task, receive), 0);
	t.equal(process.call(task, sending(first, 'x', MSG_NOSIGNAL)), -EPIPE);
	t.equal(process.call(task, sending(second, 'x')), 1);
});

t.test('descriptors come with the first byte that they were sent with, and end the read', async (t) => {
	const process = new TestProcess(500);
	const task = process.task();
	const receipt = new Receipt();
	const [first, second] = makeSocketPair(task, SOCK_STREAM, 0);
	const passed = (): PassedDescriptors => new PassedDescriptors([new EventFd(0, 0, 0)], 500);
	process.call(task, sending(first, 'before'));
	process.call(task, sending(first, 'with', 0, passed()));
	process.call(task, sending(first, 'after'));
	t.equal(maySend(500, 1, 1), false);
	t.equal(process.call(task, receipt.of(second, 3)), 3);
	t.equal(receipt.descriptors, 0);
	t.equal(process.call(task, receipt.of(second, 100, MSG_PEEK)), 7);
	t.equal(receipt.descriptors, 1);
	t.equal(process.call(task, receipt.of(second, 100)), 7);
	t.equal(receipt.text, 'orewith');
	t.equal(receipt.descriptors, 1);
	t.equal(maySend(500, 1, 1), true);
	t.equal(process.call(task, receipt.of(second, 100)), 5);
	const event = new EventFd(0, 0, 0);
	process.call(task, sending(first, 'lost', 0, new PassedDescriptors([event.acquire()], 500)));
	t.equal(event.referenceCount, 2);
	second.release();
	t.equal(event.referenceCount, 1);
	t.equal(maySend(500, 1, 1), true);
});
