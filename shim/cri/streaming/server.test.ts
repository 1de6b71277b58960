import { request as httpRequest } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { constants, createDeflate } from 'node:zlib';
import fc from 'fast-check';
import { type Test, test } from 'tap';
import { WebSocket } from 'ws';
import { StreamingServer } from './server.js';
import { type CommandRequest, ResizeReader } from './session.js';
import { SpdyConnection } from './spdy-connection.js';
import { controlFrame, DICTIONARY, dataFrameHeader, FrameType, HeaderReader, words } from './spdy-frames.js';
import { runOnHost } from './testing.js';

async function startServer(t: Test, options: ConstructorParameters<typeof StreamingServer>[0] = {}): Promise<StreamingServer> {
	const server = new StreamingServer(options);
	await server.listen();
	t.teardown(() => server.close());
	return server;
}

function command(run: CommandRequest['run'], changes: Partial<CommandRequest> = {}): CommandRequest {
	return { hasStdin: true, hasStdout: true, hasStderr: true, isTerminal: false, run, ...changes };
}

/** Upgrades by hand: the status of the answer. */
function upgrade(url: string, headers: Record<string, string>): Promise<number> {
	return new Promise((resolve, reject) => {
		const request = httpRequest(url, { method: 'POST', headers: { connection: 'Upgrade', ...headers } });
		request.on('response', (response) => {
			response.resume();
			resolve(response.statusCode!);
		});
		request.on('upgrade', (_, socket) => {
			socket.destroy();
			resolve(101);
		});
		request.on('error', reject);
		request.end();
	});
}

/** All that a WebSocket client is sent, by channel, until it is closed. */
function webSocket(url: string, protocol: string, onOpen: (socket: WebSocket) => void): Promise<ReadonlyMap<number, string>> {
	const socket = new WebSocket(url.replace('http', 'ws'), protocol);
	const channels = new Map<number, string>();
	socket.on('open', () => onOpen(socket));
	socket.on('message', (data: Buffer) => channels.set(data[0]!, (channels.get(data[0]!) ?? '') + data.toString('latin1', 1)));
	return new Promise((resolve, reject) => {
		socket.on('close', () => resolve(channels));
		socket.on('error', reject);
	});
}

test('a URL works once, for a while, and only as what it is', async (t) => {
	const server = await startServer(t, { tokenMs: 200 });
	const spdy = { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v4.channel.k8s.io' };
	const exec = (): string => server.exec(command(() => Promise.resolve(0)));
	const url = exec();
	t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/exec\/[\w-]{32}$/);
	t.equal(await upgrade(url, spdy), 101);
	t.equal(await upgrade(url, spdy), 404);
	t.equal(await upgrade(exec().replace('/exec/', '/attach/'), spdy), 404);
	t.equal(await upgrade(exec(), { upgrade: 'h2c' }), 400);
	t.equal(await upgrade(exec(), { ...spdy, 'x-stream-protocol-version': 'v9.channel.k8s.io' }), 403);
	t.equal(await upgrade(exec(), { ...spdy, 'x-stream-protocol-version': 'v5.channel.k8s.io,v4.channel.k8s.io' }), 101);
	t.equal((await fetch(exec())).status, 404);
	const late = exec();
	await new Promise((resolve) => setTimeout(resolve, 400));
	t.equal(await upgrade(late, spdy), 404);
	t.throws(() => server.exec(command(() => Promise.resolve(0), { isTerminal: true })), { code: 'EINVAL' });
	t.throws(() => server.attach(command(() => Promise.resolve(0), { hasStdin: false, hasStdout: false, hasStderr: false })), {
		code: 'EINVAL',
	});
	t.throws(
		() => {
			for (let count = 0; count <= 1000; count++) exec();
		},
		{ code: 'EAGAIN' },
	);
});

test('WebSocket exec, v4 and v5: channels, exit code, the end of stdin, resize', async (t) => {
	const server = await startServer(t);
	const v5 = await webSocket(server.exec(command(runOnHost(['sh', '-c', 'cat; echo err >&2; exit 4']))), 'v5.channel.k8s.io', (socket) => {
		socket.send(Buffer.from('\0typed'));
		socket.send(Buffer.from([255, 0]));
	});
	t.equal(v5.get(1), 'typed');
	t.equal(v5.get(2), 'err\n');
	t.match(JSON.parse(v5.get(3)!), {
		status: 'Failure',
		reason: 'NonZeroExitCode',
		details: { causes: [{ reason: 'ExitCode', message: '4' }] },
	});
	t.equal(v5.get(255), '\x01\x02');
	const v4 = await webSocket(server.exec(command(runOnHost(['head', '-c', '3000000', '/dev/zero']))), 'v4.channel.k8s.io', () => undefined);
	t.equal(v4.get(1)?.length, 3_000_000);
	t.match(JSON.parse(v4.get(3)!), { status: 'Success' });
	const failed = await webSocket(
		server.exec(command(() => Promise.reject(new Error('no such container')))),
		'v4.channel.k8s.io',
		() => undefined,
	);
	t.match(JSON.parse(failed.get(3)!), { status: 'Failure', message: /no such container/ });
	const size = await webSocket(
		server.exec(
			command(
				({ onResize, stdout }) =>
					new Promise((resolve) => onResize(({ columns, rows }) => stdout!.write(`${columns}x${rows}`, () => resolve(0)))),
				{
					isTerminal: true,
					hasStderr: false,
				},
			),
		),
		'v5.channel.k8s.io',
		(socket) => socket.send(Buffer.from('\x04{"Width":80,"Height":24}')),
	);
	t.equal(size.get(1), '80x24');
	await t.rejects(webSocket(server.exec(command(() => Promise.resolve(0))), 'v9.channel.k8s.io', () => undefined));
});

test('WebSocket: a large input that is read slowly waits; a client that goes away ends the session', async (t) => {
	const server = await startServer(t);
	const total = 8 << 20;
	const done = webSocket(server.exec(command(runOnHost(['sh', '-c', 'sleep 0.3; wc -c']))), 'v5.channel.k8s.io', (socket) => {
		for (let sent = 0; sent < total; sent += 1 << 16) socket.send(Buffer.alloc((1 << 16) + 1));
		socket.send(Buffer.from([255, 0]));
	});
	t.equal((await done).get(1)?.trim(), `${total}`);
	const aborted = new Promise<void>((resolve) => {
		const url = server.exec(
			command(({ signal }) => {
				signal.addEventListener('abort', () => resolve());
				return new Promise(() => undefined);
			}),
		);
		webSocket(url, 'v5.channel.k8s.io', (socket) => socket.terminate()).catch(() => undefined);
	});
	await aborted;
});

test('WebSocket port-forward by channels', async (t) => {
	const echo = createTcpServer((socket) => socket.pipe(socket));
	await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
	t.teardown(() => echo.close());
	const server = await startServer(t);
	const url = server.portForward({
		ports: [80, 81],
		connect: (port, stream, signal) => {
			if (port !== 80) return Promise.reject(new Error('nobody listens'));
			const socket: Socket = connect((echo.address() as AddressInfo).port, '127.0.0.1');
			stream.pipe(socket).pipe(stream);
			signal.addEventListener('abort', () => socket.destroy());
			return new Promise((resolve) => socket.once('close', resolve));
		},
	});
	const socket = new WebSocket(url.replace('http', 'ws'), 'v4.channel.k8s.io');
	const channels = new Map<number, string>();
	socket.on('open', () => socket.send(Buffer.from('\0hello')));
	await new Promise<void>((resolve) =>
		socket.on('message', (data: Buffer) => {
			channels.set(data[0]!, (channels.get(data[0]!) ?? '') + data.toString('latin1', 1));
			if (channels.get(0) === 'P\0hello' && (channels.get(3)?.length ?? 0) > 2) resolve();
		}),
	);
	t.equal(channels.get(1), 'P\0');
	t.match(channels.get(3), /^Q\0.*nobody listens/);
	socket.terminate();
});

/** A socket that a test holds the other end of. */
function memorySocket(): { readonly socket: Duplex; readonly sent: Buffer[]; push(bytes: Buffer | null): void } {
	const sent: Buffer[] = [];
	const socket = new Duplex({
		read: () => undefined,
		write(chunk: Buffer, _encoding, done) {
			sent.push(chunk);
			done();
		},
	});
	return { socket, sent, push: (bytes) => void socket.push(bytes) };
}

/** Compresses header blocks as a client does. */
function compressor(): (headers: Record<string, string>) => Promise<Buffer> {
	const deflate = createDeflate({ dictionary: DICTIONARY });
	const chunks: Buffer[] = [];
	deflate.on('data', (chunk: Buffer) => chunks.push(chunk));
	return async (headers) => {
		const parts = Object.entries(headers).flatMap(([name, value]) => [
			words(name.length),
			Buffer.from(name),
			words(value.length),
			Buffer.from(value),
		]);
		deflate.write(Buffer.concat([words(Object.keys(headers).length), ...parts]));
		await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => setImmediate(resolve)));
		return Buffer.concat(chunks.splice(0));
	};
}

test('SPDY: frames cut anywhere are read alike; pings come back; data for unknown streams is reset', async (t) => {
	const compress = compressor();
	const open = async (id: number, headers: Record<string, string>): Promise<Buffer> =>
		controlFrame(FrameType.SynStream, 0, Buffer.concat([words(id, 0), Buffer.alloc(2), await compress(headers)]));
	const bytes = Buffer.concat([
		await open(1, { streamtype: 'stdin' }),
		await open(3, { streamtype: 'error' }),
		controlFrame(FrameType.Settings, 0, words(0)),
		controlFrame(FrameType.WindowUpdate, 0, words(1, 5)),
		controlFrame(FrameType.Ping, 0, words(7)),
		dataFrameHeader(1, 0, 5),
		Buffer.from('hello'),
		dataFrameHeader(9, 0, 3),
		Buffer.from('who'),
		dataFrameHeader(1, 1, 6),
		Buffer.from(' world'),
	]);
	await t.resolves(
		fc.assert(
			fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 20 }), async (cuts) => {
				const { socket, sent, push } = memorySocket();
				const types: (string | undefined)[] = [];
				let text = '';
				const connection = new SpdyConnection(socket, (stream) => {
					types.push(stream.headers.get('streamtype'));
					stream.on('data', (chunk: Buffer) => {
						text += chunk.toString();
					});
				});
				const served = connection.serve(Buffer.alloc(0));
				const at = [0, ...cuts.sort((left, right) => left - right), bytes.length];
				for (let part = 1; part < at.length; part++) {
					if (at[part]! > at[part - 1]!) push(bytes.subarray(at[part - 1], at[part]));
					await new Promise((resolve) => setImmediate(resolve));
				}
				push(null);
				const failure = await served;
				while (!text.endsWith('world')) await new Promise((resolve) => setImmediate(resolve));
				const answers = Buffer.concat(sent);
				return (
					failure === null &&
					types.join() === 'stdin,error' &&
					text === 'hello world' &&
					answers.includes(controlFrame(FrameType.Ping, 0, words(7))) &&
					answers.includes(controlFrame(FrameType.RstStream, 0, words(9, 2)))
				);
			}),
			{ numRuns: 50 },
		),
	);
});

test('SPDY: nonsense ends its connection and nothing else', async (t) => {
	const frame = fc.oneof(
		fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
		fc
			.tuple(fc.nat(12), fc.nat(255), fc.uint8Array({ maxLength: 64 }))
			.map(([type, flags, payload]) => controlFrame(type as FrameType, flags, Buffer.from(payload))),
		fc
			.tuple(fc.nat(5), fc.nat(255), fc.uint8Array({ maxLength: 64 }))
			.map(([id, flags, payload]) => Buffer.concat([dataFrameHeader(id, flags, payload.length), payload])),
	);
	await fc.assert(
		fc.asyncProperty(fc.array(frame, { maxLength: 8 }), async (frames) => {
			const compress = compressor();
			const { socket, push } = memorySocket();
			const connection = new SpdyConnection(socket, (stream) => stream.resume().end('x'));
			const served = connection.serve(Buffer.alloc(0));
			push(controlFrame(FrameType.SynStream, 0, Buffer.concat([words(1, 0), Buffer.alloc(2), await compress({ streamtype: 'stdin' })])));
			for (const bytes of frames) push(bytes);
			push(null);
			const failure = await served;
			return failure === null || failure.code !== 'UNKNOWN';
		}),
		{ numRuns: 300 },
	);
	const reader = new HeaderReader();
	await t.rejects(reader.read(Buffer.from('no zlib')), { code: 'EPROTO' });
	await t.rejects(reader.read(Buffer.alloc(0)), { code: 'EPROTO' }, 'for ever after');
	const compress = compressor();
	await t.rejects(new HeaderReader().read(await compress({ bomb: 'x'.repeat(10 << 20) })), { code: 'EPROTO' }, 'a bomb');
});

test('resizes: any cut, and nonsense, and nothing is kept of it', (t) => {
	const reader = new ResizeReader();
	const seen: string[] = [];
	reader.onResize(({ columns, rows }) => seen.push(`${columns}x${rows}`));
	for (const byte of Buffer.from('{"Width":80,"Height":24}\n{"Width":-1,"Height":24}{"Width":1e9,"Height":1}{bad}{"Width":81,"Height":25}'))
		reader.write(Uint8Array.of(byte));
	t.strictSame(seen, ['80x24', '81x25']);
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 10_000 }), (bytes) => {
			new ResizeReader().write(bytes);
		}),
	);
	t.end();
});

test('a stream of bytes that is no HTTP, and one that stops half-way, harm nobody', async (t) => {
	const server = await startServer(t);
	const { port } = new URL(server.exec(command(() => Promise.resolve(0))));
	for (const text of [
		'\x16\x03\x01',
		'POST /exec/x HTTP/1.1\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n',
		`GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
	]) {
		const socket = connect(Number(port), '127.0.0.1');
		socket.on('error', () => undefined);
		await new Promise<void>((resolve) => socket.write(text, () => resolve()));
		socket.destroy();
	}
	const url = server.exec(command(runOnHost(['echo', 'alive'])));
	t.equal((await webSocket(url, 'v4.channel.k8s.io', () => undefined)).get(1), 'alive\n');
});
