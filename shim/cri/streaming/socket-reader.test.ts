import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { SocketReader } from './socket-reader.js';

/** A connection over TCP: the end that a reader has, and the other one. */
async function pair(t: Test): Promise<readonly [Socket, Socket]> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
	const [peer] = (await once(server, 'connection')) as [Socket];
	for (const one of [socket, peer]) one.on('error', () => undefined);
	t.teardown(() => {
		socket.destroy();
		peer.destroy();
		server.close();
	});
	return [socket, peer];
}

async function readAll(reader: SocketReader): Promise<string> {
	let text = '';
	for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) text += chunk.toString('latin1');
	return text;
}

test('what came before a failed write is read after it', async (t) => {
	const [socket, peer] = await pair(t);
	const reader = new SocketReader(socket);
	peer.write('the end');
	await once(socket, 'data');
	const closed = new Promise((then) => socket.once('close', then));
	peer.resetAndDestroy();
	while (!socket.destroyed) {
		socket.write('x'.repeat(1000));
		await setTimeout(1);
	}
	await closed;
	t.equal(await readAll(reader), 'the end');
	t.equal(await reader.next(), null);
});

test('it waits for what comes, to the end', async (t) => {
	const [socket, peer] = await pair(t);
	const text = readAll(new SocketReader(socket));
	for (const part of ['a', 'b', 'c']) {
		peer.write(part);
		await setTimeout(5);
	}
	peer.end();
	t.equal(await text, 'abc');
});

test('nobody reads: a bounded part is read ahead, and the rest when somebody does', async (t) => {
	const source = new PassThrough({ highWaterMark: 1 << 16 });
	const reader = new SocketReader(source);
	let sent = 0;
	const send = async (): Promise<void> => {
		for (let i = 0; i < 64; i++) {
			sent += 1 << 16;
			if (!source.write(Buffer.alloc(1 << 16))) await once(source, 'drain');
		}
		source.end();
	};
	const over = send();
	await setTimeout(100);
	t.ok(sent < 1 << 20, `${sent} bytes were taken`);
	t.equal((await readAll(reader)).length, 64 << 16);
	await over;
});

test('what is discarded is read and forgotten', async (t) => {
	const [socket, peer] = await pair(t);
	const reader = new SocketReader(socket);
	peer.write('x');
	await once(socket, 'data');
	reader.discard();
	t.equal(await reader.next(), null);
	const ended = once(socket, 'end');
	peer.end(Buffer.alloc(4 << 20));
	await ended;
	t.equal(socket.bytesRead, 1 + (4 << 20));
});
