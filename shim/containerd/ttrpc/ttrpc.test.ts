import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { ttrpc } from '../../../proto/generated/ttrpc.js';
import { TtrpcClient } from './client.js';
import { encodeFrame, FLAG_REMOTE_OPEN, type Frame, FrameReader, FrameType, HEADER_BYTES, MAX_PAYLOAD_BYTES } from './frame.js';
import { TtrpcServer } from './server.js';
import type { Service } from './service.js';
import { Code, RpcError } from './status.js';

const { Request, Response } = ttrpc;

const waits: Record<string, () => void> = {};
/** Whose methods do what their names say. */
const service: Service = {
	Echo: { kind: 'unary', call: async (request) => request },
	Empty: { kind: 'unary', call: async () => new Uint8Array(0) },
	Fail: { kind: 'unary', call: async () => Promise.reject(new RpcError(Code.NotFound, 'container x: not found')) },
	Throw: { kind: 'unary', call: async () => Promise.reject(new TypeError('a bug')) },
	TooLong: { kind: 'unary', call: async () => new Uint8Array(MAX_PAYLOAD_BYTES + 1) },
	Metadata: { kind: 'unary', call: async (_request, { metadata }) => Buffer.from(JSON.stringify([...metadata])) },
	Never: {
		kind: 'unary',
		call: (_request, { signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(new Uint8Array(0)))),
	},
	Wait: {
		kind: 'unary',
		call: (request) =>
			new Promise((resolve) => {
				waits[Buffer.from(request).toString()] = () => resolve(request);
			}),
	},
	Upper: {
		kind: 'stream',
		call: async (stream) => {
			for (let message = await stream.receive(); message !== null; message = await stream.receive())
				stream.send(Buffer.from(Buffer.from(message).toString().toUpperCase()));
		},
	},
};

async function serve(test: Test): Promise<{ path: string; server: Server }> {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-ttrpc-'));
	const path = join(folder, 's');
	const server = createServer();
	const rpc = new TtrpcServer({ 'a.Service': service });
	rpc.serve(server);
	server.listen(path);
	await once(server, 'listening');
	test.teardown(() => {
		rpc.close();
		server.close();
		rmSync(folder, { recursive: true });
	});
	return { path, server };
}

t.test('calls are answered', async (t) => {
	const { path } = await serve(t);
	const client = await TtrpcClient.connect(path);
	t.teardown(() => client.close());
	const call = async (method: string, text = '', options = {}): Promise<string> =>
		Buffer.from(await client.call('a.Service', method, Buffer.from(text), options)).toString();
	t.equal(await call('Echo', 'x'), 'x');
	t.equal(await call('Empty'), '');
	t.equal(
		await call('Metadata', '', { metadata: { 'containerd-namespace-ttrpc': 'k8s.io' } }),
		'[["containerd-namespace-ttrpc","k8s.io"]]',
	);
	const long = 'y'.repeat(MAX_PAYLOAD_BYTES - 1000);
	t.equal(await call('Echo', long), long);
	await t.rejects(call('Fail'), { code: Code.NotFound, message: 'container x: not found' });
	await t.rejects(call('Throw'), { code: Code.Unknown, message: 'a bug' });
	await t.rejects(call('TooLong'), { code: Code.ResourceExhausted });
	await t.rejects(call('Missing'), { code: Code.Unimplemented });
	await t.rejects(call('constructor'), { code: Code.Unimplemented });
	await t.rejects(client.call('toString', 'call', new Uint8Array(0)), { code: Code.Unimplemented });
	await t.rejects(call('Never', '', { timeoutMs: 30 }), { code: Code.DeadlineExceeded });
});

t.test('calls end in any order, and with the connection', async (t) => {
	const { path } = await serve(t);
	const client = await TtrpcClient.connect(path);
	const order: string[] = [];
	const wait = async (name: string): Promise<void> => {
		await client.call('a.Service', 'Wait', Buffer.from(name));
		order.push(name);
	};
	const first = wait('first');
	const second = wait('second');
	await client.call('a.Service', 'Empty', new Uint8Array(0));
	waits['second']!();
	await second;
	waits['first']!();
	await first;
	t.same(order, ['second', 'first']);
	const lost = client.call('a.Service', 'Never', new Uint8Array(0));
	client.close();
	await t.rejects(lost, { code: Code.Unavailable });
	await client.closed;
	await t.rejects(client.call('a.Service', 'Echo', new Uint8Array(0)), { code: Code.Unavailable });
	await t.rejects(TtrpcClient.connect(`${path}.none`), { code: Code.Unavailable });
});

t.test('a stream carries messages both ways', async (t) => {
	const { path } = await serve(t);
	const client = await TtrpcClient.connect(path);
	t.teardown(() => client.close());
	const { stream, ended } = client.open('a.Service', 'Upper');
	for (const text of ['one', 'two']) {
		stream.send(Buffer.from(text));
		t.equal(Buffer.from((await stream.receive())!).toString(), text.toUpperCase());
	}
	stream.closeSend();
	await ended;
	t.equal((await stream.receive())?.length ?? 0, 0);
});

/** What a server answers to bytes on one connection, until `frames` have come or it closes. */
async function answers(path: string, bytes: Uint8Array, frames: number): Promise<Frame[]> {
	const socket = connect(path);
	const reader = new FrameReader();
	const got: Frame[] = [];
	socket.on('error', () => {});
	socket.write(bytes);
	await new Promise<void>((resolve) => {
		socket.on('close', () => resolve());
		socket.on('data', (data) => {
			got.push(...reader.push(data));
			if (got.length >= frames) resolve();
		});
	});
	socket.destroy();
	return got;
}

const request = (method: string, timeoutNano = 0): Uint8Array =>
	Request.encode(Request.create({ service: 'a.Service', method, timeoutNano })).finish();
const statusOf = (frame: Frame | undefined): number | null | undefined => Response.decode(frame!.payload!).status?.code;

t.test('the wire is as PROTOCOL.md has it', async (t) => {
	const { path } = await serve(t);
	const [empty] = await answers(path, encodeFrame(11, FrameType.Request, 0, request('Empty')), 1);
	t.same({ ...empty, payload: empty!.payload!.length }, { streamId: 11, type: 2, flags: 0, payload: 0 }, 'an empty answer has no bytes');
	const long = Buffer.concat([encodeFrame(1, FrameType.Request, 0, new Uint8Array(0)), Buffer.alloc(MAX_PAYLOAD_BYTES + 1)]);
	long.writeUInt32BE(MAX_PAYLOAD_BYTES + 1, 0);
	const after = await answers(path, Buffer.concat([long, encodeFrame(3, FrameType.Request, 0, request('Empty'))]), 2);
	t.equal(statusOf(after[0]), Code.ResourceExhausted, 'a request that is too long is refused');
	t.equal(after[1]?.streamId, 3, 'and what follows it is served');
	const [late] = await answers(path, encodeFrame(1, FrameType.Request, 0, request('Never', 2e7)), 1);
	t.equal(statusOf(late), Code.DeadlineExceeded);
	const [even] = await answers(path, encodeFrame(2, FrameType.Request, 0, request('Empty')), 2);
	t.equal(statusOf(even), Code.InvalidArgument);
	const twice = encodeFrame(1, FrameType.Request, 0, request('Empty'));
	t.equal((await answers(path, Buffer.concat([twice, twice]), 9)).map(statusOf).includes(Code.InvalidArgument), true, 'an id is used once');
	const [garbage] = await answers(path, encodeFrame(1, FrameType.Request, 0, Buffer.from([0xff, 0xff, 0xff])), 1);
	t.equal(statusOf(garbage), Code.InvalidArgument);
});

t.test('frames come out as they went in, however they are cut', async () => {
	const frame = fc.record({
		streamId: fc.nat(),
		type: fc.constantFrom(1, 2, 3),
		flags: fc.nat(7),
		payload: fc.uint8Array({ maxLength: 300 }),
	});
	fc.assert(
		fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), (frames, cuts) => {
			const bytes = Buffer.concat(frames.map(({ streamId, type, flags, payload }) => encodeFrame(streamId, type, flags, payload)));
			const reader = new FrameReader();
			const got: Frame[] = [];
			for (let at = 0, i = 0; at < bytes.length; i++) {
				const end = at + cuts[i % cuts.length]!;
				got.push(...reader.push(bytes.subarray(at, end)));
				at = end;
			}
			return (
				JSON.stringify(got.map((f) => [...f.payload!, f.streamId, f.type, f.flags])) ===
				JSON.stringify(frames.map((f) => [...f.payload, f.streamId, f.type, f.flags]))
			);
		}),
	);
});

t.test('no bytes stop the server', async (t) => {
	const { path } = await serve(t);
	const method = fc.constantFrom('Echo', 'Empty', 'Fail', 'Upper', 'Never', 'TooLong', 'x');
	const valid = fc
		.record({ id: fc.nat(9), method, flags: fc.nat(7) })
		.map(({ id, method, flags }) => encodeFrame(id, FrameType.Request, flags, request(method)));
	const data = fc
		.tuple(fc.nat(9), fc.uint8Array({ maxLength: 20 }))
		.map(([id, payload]) => encodeFrame(id, FrameType.Data, FLAG_REMOTE_OPEN, payload));
	const noise = fc.uint8Array({ maxLength: 3 * HEADER_BYTES }).map((bytes) => Buffer.from(bytes));
	await fc.assert(
		fc.asyncProperty(fc.array(fc.oneof(valid, data, noise), { maxLength: 12 }), async (parts) => {
			const socket = connect(path);
			socket.on('error', () => {});
			socket.resume();
			socket.end(Buffer.concat(parts));
			await once(socket, 'close');
		}),
		{ numRuns: 300 },
	);
	const client = await TtrpcClient.connect(path);
	t.equal(Buffer.from(await client.call('a.Service', 'Echo', Buffer.from('alive'))).toString(), 'alive');
	client.close();
});

t.test('no answer stops the client', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-ttrpc-'));
	const path = join(folder, 's');
	let answer: Uint8Array = new Uint8Array(0);
	const server = createServer((socket) => {
		socket.on('error', () => {});
		socket.once('data', () => socket.end(answer));
	}).listen(path);
	await once(server, 'listening');
	t.teardown(() => {
		server.close();
		rmSync(folder, { recursive: true });
	});
	const frame = fc.tuple(fc.nat(3), fc.nat(4), fc.nat(7), fc.uint8Array({ maxLength: 30 }));
	const part = fc.oneof(
		frame.map(([id, type, flags, payload]) => encodeFrame(id, type as FrameType, flags, payload)),
		fc.uint8Array({ maxLength: 30 }),
	);
	await fc.assert(
		fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
			answer = Buffer.concat(parts);
			const client = await TtrpcClient.connect(path);
			await client.call('a', 'b', new Uint8Array(0), { timeoutMs: 5000 }).catch((error: unknown) => {
				if (!(error instanceof RpcError)) throw error;
			});
			client.close();
		}),
		{ numRuns: 200 },
	);
});
