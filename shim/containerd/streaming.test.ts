import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import t from 'tap';
import { type CommandStreams, runCommand } from '../cri/streaming/client.js';
import type { TerminalSize } from '../cri/streaming/session.js';
import { Containerd } from './testing.js';
import { ended, logsOf, Pod } from './testing-pod.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;
const pod = await Pod.run(containerd);
const main = await pod.start('main', ['/bin/sleep', '1000']);

/** Keeps what it is given. */
class Sink extends Writable {
	readonly chunks: Buffer[] = [];

	constructor(private readonly delayMs = 0) {
		super();
	}

	override _write(chunk: Buffer, _: string, done: () => void): void {
		this.chunks.push(chunk);
		if (this.delayMs === 0) done();
		else setTimeout(done, this.delayMs);
	}

	get text(): string {
		return Buffer.concat(this.chunks).toString('latin1');
	}

	/** Waits until it has `wanted`. */
	async has(wanted: string): Promise<void> {
		for (let tries = 0; !this.text.includes(wanted); tries++) {
			if (tries > 400) throw new Error(`${JSON.stringify(wanted)} doesn't come, but ${JSON.stringify(this.text)}`);
			await new Promise((then) => setTimeout(then, 25));
		}
	}
}

/** `kubectl exec`: how it ended, by the URL that containerd gave out. */
async function exec(cmd: readonly string[], streams: Partial<CommandStreams>, tty = false): Promise<number> {
	const { stdin = null, stdout = null, stderr = null } = streams;
	const wanted = { stdin: stdin !== null, stdout: stdout !== null, stderr: stderr !== null };
	const { url } = await cri.call('Exec', { containerId: main, cmd: [...cmd], tty, ...wanted });
	return runCommand(url, { ...streams, stdin, stdout, stderr });
}

async function attach(containerId: string, streams: Partial<CommandStreams>, tty = false): Promise<number> {
	const { stdin = null, stdout = null, stderr = null } = streams;
	const wanted = { stdin: stdin !== null, stdout: stdout !== null, stderr: stderr !== null };
	const { url } = await cri.call('Attach', { containerId, tty, ...wanted });
	return runCommand(url, { ...streams, stdin, stdout, stderr });
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

t.test('Exec: exit codes, both outputs, input that ends', async (t) => {
	const [stdout, stderr] = [new Sink(), new Sink()];
	t.equal(await exec(['/bin/sh', '-c', 'cat; echo err >&2; exit 42'], { stdin: Readable.from([Buffer.from('in\n')]), stdout, stderr }), 42);
	t.equal(stdout.text, 'in\n');
	t.equal(stderr.text, 'err\n');
	t.equal(await exec(['/bin/true'], { stdout: new Sink() }), 0);
	t.equal(await exec(['/bin/sh', '-c', 'kill -9 $$'], { stdout: new Sink() }), 137);
	await t.rejects(exec(['/nothing'], { stdout: new Sink() }), /no such file or directory/);
});

t.test('Exec: 100 MB through stdin and stdout without loss', async (t) => {
	const bytes = randomBytes(100 << 20);
	const stdout = new Sink();
	const parts = Array.from({ length: 1600 }, (_, i) => bytes.subarray(i << 16, (i + 1) << 16));
	t.equal(await exec(['/bin/cat'], { stdin: Readable.from(parts), stdout }), 0);
	t.equal(digest(Buffer.concat(stdout.chunks)), digest(bytes));
});

t.test('Exec: a reader that is slow holds the program back and loses nothing', async (t) => {
	const stdout = new Sink(2);
	t.equal(
		await exec(['/bin/sh', '-c', 'i=0; while [ $i -lt 40 ]; do head -c 250000 /dev/zero; i=$((i+1)); done; echo end'], { stdout }),
		0,
	);
	await new Promise<void>((then) => stdout.end(then));
	t.equal(stdout.text.length, 10_000_004);
	t.ok(stdout.text.endsWith('end\n'));
});

t.test('Exec: a terminal, its size and its changes', async (t) => {
	const stdin = new PassThrough();
	const stdout = new Sink();
	let resize: (size: TerminalSize) => void = () => {};
	const watchSize: CommandStreams['watchSize'] = (listener) => {
		resize = listener;
		listener({ columns: 91, rows: 33 });
		return () => {};
	};
	const script = 'trap "stty size" WINCH; tty; stty size; trap "echo over; exit 7" INT; echo ready; while :; do sleep 0.05; done';
	const ending = exec(['/bin/sh', '-c', script], { stdin, stdout, watchSize }, true);
	await stdout.has('ready\r\n');
	t.match(stdout.text, '/dev/pts/');
	await stdout.has('33 91\r\n');
	resize({ columns: 120, rows: 50 });
	await stdout.has('50 120\r\n');
	stdin.write('\x03');
	t.equal(await ending, 7);
	t.match(stdout.text, /over\r\n$/);
});

t.test('Attach: input, output, the end of both, one after another', async (t) => {
	const echo = await pod.start('echo', ['/bin/sh', '-c', 'while read line; do echo "got $line"; echo err >&2; done; echo over; exit 3'], {
		stdin: true,
	});
	const first = new Sink();
	const gone = new AbortController();
	const stdin = new PassThrough();
	const lost = attach(echo, { stdin, stdout: first, signal: gone.signal });
	stdin.write('one\n');
	await first.has('got one\n');
	gone.abort();
	await t.rejects(lost);
	const [stdout, stderr] = [new Sink(), new Sink()];
	// stdin_once isn't set, so that the program's input goes on after a client has left.
	const next = new PassThrough();
	const ending = attach(echo, { stdin: next, stdout, stderr });
	next.write('two\n');
	await stdout.has('got two\n');
	await stderr.has('err\n');
	await cri.call('StopContainer', { containerId: echo, timeout: 0 });
	await ending;
	t.match(readFileSync(join(logsOf(containerd), 'echo.log'), 'utf8'), /stdout F got one\n.*stdout F got two\n/s);
});

t.test('Attach with stdin_once: the end of the input ends the program', async (t) => {
	const cat = await pod.start('once', ['/bin/sh', '-c', 'cat; echo over; exit 3'], { stdin: true, stdinOnce: true });
	const stdout = new Sink();
	await attach(cat, { stdin: Readable.from([Buffer.from('all\n')]), stdout });
	t.match(await ended(cri, cat), { exitCode: 3 });
	t.equal(stdout.text, 'all\nover\n');
});

t.test('Attach to a terminal', async (t) => {
	const shell = await pod.start('shell', ['/bin/sh'], { stdin: true, tty: true });
	const stdin = new PassThrough();
	const stdout = new Sink();
	const watchSize: CommandStreams['watchSize'] = (listener) => {
		listener({ columns: 77, rows: 44 });
		return () => {};
	};
	const ending = attach(shell, { stdin, stdout, watchSize }, true);
	for (let tries = 0; !stdout.text.includes('44 77'); tries++) {
		if (tries > 100) throw new Error(`the size doesn't come: ${stdout.text}`);
		stdin.write('stty size\n');
		await new Promise((then) => setTimeout(then, 50));
	}
	stdin.write('exit 5\n');
	await ending;
	t.match(await ended(cri, shell), { exitCode: 5 });
});

t.test('a container that writes after its reader left goes on, and its log is whole', async (t) => {
	const script = 'i=0; while [ $i -lt 3000 ]; do echo "line $i of some length, so that pipes fill up"; i=$((i+1)); done; exit 6';
	const writer = await pod.start('writer', ['/bin/sh', '-c', `read go; ${script}`], { stdin: true });
	const gone = new AbortController();
	const stdin = new PassThrough();
	const stdout = new Sink(50);
	const lost = attach(writer, { stdin, stdout, signal: gone.signal });
	stdin.write('go\n');
	await stdout.has('line 0');
	gone.abort();
	await t.rejects(lost);
	t.match(await ended(cri, writer), { exitCode: 6 });
	const log = readFileSync(join(logsOf(containerd), 'writer.log'), 'utf8');
	t.equal(log.match(/stdout F line \d+ of some length, so that pipes fill up\n/g)?.length, 3000);
});

t.test('an exec whose client leaves ends with its next words, and leaves nothing behind', async (t) => {
	const gone = new AbortController();
	const stdout = new Sink();
	const lost = exec(['/bin/sh', '-c', 'while echo again; do sleep 0.05; done'], { stdout, signal: gone.signal });
	await stdout.has('again\nagain\n');
	gone.abort();
	await t.rejects(lost);
	t.equal(await exec(['/bin/true'], { stdout: new Sink() }), 0, 'others go on');
});
