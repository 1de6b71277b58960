import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { type Test, test } from 'tap';
import { PortForwarder, runCommand } from './client.js';
import { StreamingServer } from './server.js';
import type { CommandRequest } from './session.js';
import { runOnHost } from './testing.js';

async function makeServer(t: Test, options: ConstructorParameters<typeof StreamingServer>[0] = {}): Promise<StreamingServer> {
	const server = new StreamingServer(options);
	await server.listen();
	t.teardown(() => server.close());
	return server;
}

function request(command: readonly string[], changes: Partial<CommandRequest> = {}): CommandRequest {
	return { hasStdin: true, hasStdout: true, hasStderr: true, isTerminal: false, run: runOnHost(command), ...changes };
}

class Sink extends Writable {
	private readonly chunks: Buffer[] = [];

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		this.chunks.push(chunk);
		done();
	}

	get bytes(): Buffer {
		return Buffer.concat(this.chunks);
	}
}

test('a command: input, both outputs, exit codes', async (t) => {
	const server = await makeServer(t);
	const [stdout, stderr] = [new Sink(), new Sink()];
	const url = server.exec(request(['sh', '-c', 'cat; echo err >&2; exit 3']));
	t.equal(await runCommand(url, { stdin: Readable.from([Buffer.from('typed\n')]), stdout, stderr }), 3);
	t.equal(stdout.bytes.toString(), 'typed\n');
	t.equal(stderr.bytes.toString(), 'err\n');
	const quiet = server.exec(request(['true'], { hasStdin: false, hasStderr: false }));
	t.equal(await runCommand(quiet, { stdin: null, stdout: new Sink(), stderr: null }), 0);
	const large = Buffer.alloc(5_000_000, 'a large input 0123456789\n');
	const echoed = new Sink();
	const input = Readable.from([large.subarray(0, 3_000_000), large.subarray(3_000_000)]);
	t.equal(await runCommand(server.exec(request(['cat'])), { stdin: input, stdout: echoed, stderr: new Sink() }), 0);
	t.ok(echoed.bytes.equals(large), `${echoed.bytes.length} bytes came back`);
	const endless = new PassThrough();
	t.equal(
		await runCommand(server.exec(request(['false'])), { stdin: endless, stdout: new Sink(), stderr: new Sink() }),
		1,
		'input that never ends keeps nobody',
	);
});

test('failures: the server says why, a URL works once, the server goes away', async (t) => {
	const server = await makeServer(t);
	const streams = { stdin: null, stdout: new Sink(), stderr: null };
	const failing = request([], { hasStdin: false, hasStderr: false, run: () => Promise.reject(new Error('no such program')) });
	const url = server.exec(failing);
	await t.rejects(runCommand(url, streams), { message: /no such program/ });
	await t.rejects(runCommand(url, streams), { message: /404/ });
	const hanging = server.exec({ ...failing, run: () => new Promise(() => undefined) });
	const run = runCommand(hanging, streams);
	setTimeout(() => server.close(), 200);
	await t.rejects(run, { code: 'ECONNRESET' });
	await t.rejects(runCommand(url, streams), { code: 'ECONNREFUSED' });
	const plain = createServer((_, response) => response.writeHead(500).end('not today'));
	await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
	t.teardown(() => plain.close());
	await t.rejects(runCommand(`http://127.0.0.1:${(plain.address() as AddressInfo).port}/exec/x`, streams), { message: /500 not today/ });
});

test('a terminal: its sizes arrive', async (t) => {
	const server = await makeServer(t);
	const url = server.exec(
		request([], {
			hasStderr: false,
			isTerminal: true,
			run: ({ onResize }) => new Promise((resolve) => onResize(({ columns, rows }) => columns === 100 && resolve(rows))),
		}),
	);
	let isWatched = true;
	const code = await runCommand(url, {
		stdin: new PassThrough(),
		stdout: new Sink(),
		stderr: null,
		watchSize: (listener) => {
			listener({ columns: 80, rows: 24 });
			setTimeout(() => listener({ columns: 100, rows: 40 }), 50);
			return () => {
				isWatched = false;
			};
		},
	});
	t.equal(code, 40);
	t.notOk(isWatched);
});

async function listen(t: Test, server: Server): Promise<number> {
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.teardown(() => server.close());
	return (server.address() as AddressInfo).port;
}

test('ports: several connections over one, and one that is refused', async (t) => {
	const streaming = await makeServer(t);
	const echo = await listen(
		t,
		createTcpServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)),
	);
	const url = streaming.portForward({
		ports: [],
		connect: (port, stream) => {
			if (port !== 80) return Promise.reject(new Error('connection refused'));
			const socket = connect({ port: echo, host: '127.0.0.1', allowHalfOpen: true });
			stream.pipe(socket).pipe(stream);
			return new Promise((resolve) => socket.on('close', () => resolve()));
		},
	});
	const forwarder = await PortForwarder.open(url);
	const failures: string[] = [];
	const local = (port: number): Promise<number> =>
		listen(
			t,
			createTcpServer({ allowHalfOpen: true }, (socket) => {
				forwarder.carry(port, socket).catch((error: Error) => failures.push(error.message));
			}),
		);
	const talk = (port: number, bytes: Buffer): Promise<Buffer> =>
		new Promise((resolve) => {
			const sink = new Sink();
			const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(bytes));
			socket.pipe(sink);
			socket.on('error', () => undefined);
			socket.on('close', () => resolve(sink.bytes));
		});
	const open = await local(80);
	const sent = [100, 200_000, 1_000_000].map((size, at) => Buffer.alloc(size, `${at} abcdefg`));
	const back = await Promise.all(sent.map((bytes) => talk(open, bytes)));
	for (const [at, bytes] of back.entries()) t.ok(bytes.equals(sent[at]!), `${bytes.length} of ${sent[at]!.length} bytes came back`);
	t.equal((await talk(await local(81), Buffer.from('x'))).length, 0);
	t.match(failures, [/connection refused/]);
	forwarder.close();
	await forwarder.closed;
});

test('with a certificate all of it is TLS', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-tls-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
	const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=test'];
	execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'ignore' });
	const server = await makeServer(t, { tls: { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } });
	const url = server.exec(request(['cat']));
	t.match(url, /^https:/);
	const plain = { stdin: null, stdout: new Sink(), stderr: new Sink() };
	await t.rejects(runCommand(url.replace('https:', 'http:'), plain), 'plain HTTP is not served');
	const large = Buffer.alloc(5_000_000, 'through TLS ');
	const [stdout, stderr] = [new Sink(), new Sink()];
	t.equal(await runCommand(url, { stdin: Readable.from([large]), stdout, stderr }), 0, 'the URL is still good');
	t.ok(stdout.bytes.equals(large), `${stdout.bytes.length} bytes`);
});
