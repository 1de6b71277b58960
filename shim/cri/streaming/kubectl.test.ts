// A real client: Debian's kubectl, which speaks SPDY/3.1 by Go's library.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { StreamingServer } from './server.js';
import type { CommandRequest, PortForwardRequest, TerminalSize } from './session.js';
import { type Kubectl, kubectl, kubectlTo, runOnHost, startApiServer } from './testing.js';

/** A streaming server, an API server before it, and kubectl to it. */
async function makeBench(
	t: Test,
	pod: { run?: (command: readonly string[]) => CommandRequest['run']; connect?: PortForwardRequest['connect'] } = {},
): Promise<Kubectl> {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-streaming-'));
	const streaming = new StreamingServer();
	await streaming.listen();
	t.teardown(async () => {
		await streaming.close();
		rmSync(folder, { recursive: true, force: true });
	});
	const run = pod.run ?? runOnHost;
	const { connect: toPort = () => Promise.reject(new Error('no ports')) } = pod;
	const { url } = await startApiServer(t, ({ kind, command, stdin, stdout, stderr, tty, ports }) => {
		const request = { hasStdin: stdin, hasStdout: stdout, hasStderr: stderr, isTerminal: tty, run: run(command) };
		return kind === 'portforward' ? streaming.portForward({ ports, connect: toPort }) : streaming[kind](request);
	});
	return kubectlTo(url, folder);
}

test('kubectl exec: output, errors, exit code, stdin, large output both ways', async (t) => {
	const { run } = await makeBench(t);
	const first = await run(null, 'exec', 'test', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3');
	t.equal(first.stdout.toString(), 'out\n');
	t.match(first.stderr, /err\n/);
	t.match(first.stderr, /exit code 3/);
	t.equal(first.code, 3);
	t.equal((await run(null, 'exec', 'test', '--', 'true')).code, 0);
	const typed = await run('typed\n', 'exec', '-i', 'test', '--', 'sh', '-c', 'cat; echo end');
	t.equal(typed.stdout.toString(), 'typed\nend\n');
	const large = Buffer.alloc(5_000_000, 'a large input 0123456789\n');
	const echoed = await run(large, 'exec', '-i', 'test', '--', 'cat');
	t.equal(echoed.code, 0, echoed.stderr);
	t.ok(echoed.stdout.equals(large), `${echoed.stdout.length} bytes came back`);
	const both = await run(null, 'exec', 'test', '--', 'sh', '-c', 'head -c 3000000 /dev/zero; head -c 2000000 /dev/zero | tr "\\0" e >&2');
	t.equal(both.stdout.length, 3_000_000);
	t.equal(both.stderr.length, 2_000_000);
	const missing = await run(null, 'exec', 'test', '--', '/no/such/program');
	t.equal(missing.code, 1);
	t.match(missing.stderr, /ENOENT/);
	const unread = await run(large, 'exec', '-i', 'test', '--', 'true');
	t.equal(unread.code, 0, 'a program that reads nothing of a large input ends');
});

test('kubectl attach', async (t) => {
	const { run } = await makeBench(t, { run: () => runOnHost(['sed', 's/^/got /']) });
	const { stdout, code } = await run('a line\n', 'attach', '-i', 'test');
	t.equal(code, 0);
	t.equal(stdout.toString(), 'got a line\n');
});

test('kubectl exec -it: the size of the terminal arrives, and its changes', async (t) => {
	const sizes: TerminalSize[] = [];
	const { args } = await makeBench(t, {
		run:
			() =>
			({ stdin, stdout, stderr, onResize }) =>
				new Promise((resolve) => {
					t.equal(stderr, null);
					onResize((size) => {
						sizes.push(size);
						stdout!.write(`size ${size.columns}x${size.rows}\r\n`);
						if (size.columns === 100) resolve(7);
					});
					stdin!.resume();
				}),
	});
	const command = [kubectl(), ...args('exec', '-it', 'test', '--', 'sh')].join(' ');
	const script = `stty cols 91 rows 33; (while sleep 0.5; do stty cols 100 rows 40 </dev/tty; kill -WINCH $$; done) & ${command}; code=$?; kill %1; exit $code`;
	const child = spawn('script', ['--quiet', '--return', '--command', `bash -c '${script}'`, '/dev/null'], {
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	let output = '';
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		output += text;
	});
	const code = await new Promise((resolve) => child.once('close', resolve));
	t.match(output, /size 100x40/);
	t.match(sizes[0], { columns: 91, rows: 33 });
	t.equal(code, 7);
});

test('kubectl port-forward: several connections at once, and a port that refuses', async (t) => {
	const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
	await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
	t.teardown(() => echo.close());
	const { port } = echo.address() as { port: number };
	const { args } = await makeBench(t, {
		connect: (wanted, stream) => {
			if (wanted !== 80) return Promise.reject(new Error(`nothing listens on port ${wanted}`));
			const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
			stream.pipe(socket).pipe(stream);
			stream.on('close', () => socket.destroy());
			return new Promise((resolve, reject) => {
				socket.on('end', resolve);
				socket.on('error', reject);
				socket.on('close', resolve);
			});
		},
	});
	const child = spawn(kubectl(), args('port-forward', 'pod/test', ':80', ':81'), { stdio: ['ignore', 'pipe', 'pipe'] });
	t.teardown(() => child.kill('SIGKILL'));
	const locals: Record<string, number> = {};
	let errors = '';
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		errors += text;
	});
	await new Promise<void>((resolve) => {
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			for (const [, local, remote] of text.matchAll(/127\.0\.0\.1:(\d+) -> (\d+)/g)) locals[remote!] = Number(local);
			if ('80' in locals && '81' in locals) resolve();
		});
	});
	const talk = (local: number, bytes: Buffer): Promise<Buffer> =>
		new Promise((resolve) => {
			const chunks: Buffer[] = [];
			const socket: Socket = connect(local, '127.0.0.1', () => socket.end(bytes));
			socket.on('data', (chunk: Buffer) => chunks.push(chunk));
			socket.on('error', () => undefined);
			socket.on('close', () => resolve(Buffer.concat(chunks)));
		});
	const sent = [100, 200_000, 1_000_000].map((size, at) => Buffer.alloc(size, `${at} abcdefg`));
	const back = await Promise.all(sent.map((bytes) => talk(locals['80']!, bytes)));
	for (const [at, bytes] of back.entries()) t.ok(bytes.equals(sent[at]!), `${bytes.length} of ${sent[at]!.length} bytes came back`);
	t.equal((await talk(locals['81']!, Buffer.from('x'))).length, 0);
	while (!errors.includes('nothing listens on port 81')) await new Promise((resolve) => child.stderr.once('data', resolve));
});
