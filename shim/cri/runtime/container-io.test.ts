// Programs of the host stand for containers: they open the FIFOs as a sandbox does.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { type Test, test } from 'tap';
import { ContainerIo, type ContainerIoOptions } from './container-io.js';

const ENTRY = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP]) (.*)$/s;

function optionsOf(t: Test, changes: Partial<ContainerIoOptions> = {}): ContainerIoOptions {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-io-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	return { folder: join(folder, 'io'), logPath: join(folder, 'logs/0.log'), stdin: false, stdinOnce: false, terminal: false, ...changes };
}

/** Starts a script on the FIFOs; resolves when it has them open, so that the server may close its own ends. */
async function run(io: ContainerIo, { folder, stdin }: ContainerIoOptions, script: string): Promise<ChildProcess> {
	const streams = `${stdin ? `<${folder}/stdin` : '</dev/null'} >${folder}/stdout 2>${folder}/stderr`;
	const child = spawn('bash', ['-c', `exec ${streams} 3>&-; ${script}`], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
	await new Promise((resolve) => (child.stdio[3] as Readable).once('close', resolve).resume());
	io.handedOver();
	return child;
}

const end = (child: ChildProcess): Promise<unknown> =>
	child.exitCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', resolve));

/** What a log says that a stream had. */
function contents(path: string, wanted = 'stdout'): Buffer {
	const log = readFileSync(path);
	const parts: Buffer[] = [];
	for (let at = 0; at < log.length; ) {
		const newline = log.indexOf(10, at);
		const [, stream, tag] = ENTRY.exec(log.toString('latin1', at, Math.min(newline, at + 50))) ?? [];
		if (stream === undefined) throw new Error(`no entry: ${log.toString('latin1', at, at + 100)}`);
		if (stream === wanted) parts.push(log.subarray(at + 40, tag === 'F' ? newline + 1 : newline));
		at = newline + 1;
	}
	return Buffer.concat(parts);
}

async function until(isTrue: () => boolean): Promise<void> {
	while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test('entries: full lines, parts of long ones, both streams, what has no end', async (t) => {
	const options = optionsOf(t);
	const io = ContainerIo.make(options);
	const child = await run(
		io,
		options,
		`printf 'one\n\n'; head -c 16384 /dev/zero | tr '\\0' a; echo; head -c 40000 /dev/zero | tr '\\0' b; echo; echo oops >&2; printf unfinished`,
	);
	await Promise.all([end(child), io.drained]);
	await io.close();
	const entries = readFileSync(options.logPath, 'latin1')
		.trimEnd()
		.split('\n')
		.map((line) => ENTRY.exec(line)!.slice(1));
	const [oops] = entries.filter(([stream]) => stream === 'stderr');
	t.same(oops, ['stderr', 'F', 'oops']);
	t.same(
		entries.filter(([stream]) => stream === 'stdout').map(([, tag, text]) => [tag, text!.length < 20 ? text : text!.length]),
		[
			['F', 'one'],
			['F', ''],
			['F', 16384],
			['P', 16384],
			['P', 16384],
			['F', 40000 - 2 * 16384],
			['P', 'unfinished'],
		],
	);
});

test('100 MB come whole', async (t) => {
	const options = optionsOf(t);
	const io = ContainerIo.make(options);
	const child = await run(
		io,
		options,
		`head -c 75000000 /dev/zero | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00112233445566778899aabbccddeeff | base64 -w 997 | tee >(md5sum >${options.folder}/sum)`,
	);
	await Promise.all([end(child), io.drained]);
	await io.close();
	const got = contents(options.logPath);
	t.ok(got.length > 100_000_000, `${got.length} bytes`);
	await until(() => spawnSync('test', ['-s', join(options.folder, 'sum')]).status === 0);
	t.equal(createHash('md5').update(got).digest('hex'), readFileSync(join(options.folder, 'sum'), 'utf8').slice(0, 32));
});

test('another server goes on with the same FIFOs, also when the program has ended meanwhile', async (t) => {
	const options = optionsOf(t);
	let io = ContainerIo.make(options);
	// As the sandbox does until the container is deleted.
	const keeper = spawn('sleep', ['1000'], { stdio: ['ignore', ...[1, 2].map((index) => io.stdio[index]!)] });
	t.teardown(() => keeper.kill('SIGKILL'));
	const child = await run(io, options, 'for i in $(seq 200); do echo line $i; sleep 0.005; done');
	await until(() => contents(options.logPath).includes('line 20\n'));
	await io.close();
	await new Promise((resolve) => setTimeout(resolve, 100));
	io = ContainerIo.reopen(options);
	await until(() => contents(options.logPath).includes('line 100\n'));
	await io.close();
	await end(child);
	io = ContainerIo.reopen(options);
	await until(() => contents(options.logPath).includes('line 200\n'));
	keeper.kill('SIGKILL');
	await io.drained;
	await io.close();
	const wanted = Array.from({ length: 200 }, (_, index) => `line ${index + 1}\n`).join('');
	t.equal(contents(options.logPath).toString(), wanted, 'no line is lost or comes twice');
	io = ContainerIo.reopen(options);
	await io.drained;
	t.pass('without anybody they are at their end');
	await io.close();
});

test('rotation: what comes after it is in the new file, and nothing between', async (t) => {
	const options = optionsOf(t);
	const io = ContainerIo.make(options);
	const child = await run(io, options, 'for i in $(seq 3000); do echo $i; done; read < <(sleep 0.3); echo last');
	const files = [];
	for (let round = 0; round < 5; round++) {
		await until(() => contents(options.logPath).length > 0 || child.exitCode !== null);
		files.push(`${options.logPath}.${round}`);
		renameSync(options.logPath, files.at(-1)!);
		await io.reopenLog();
		if (round === 0) t.ok(existsSync(options.logPath), 'the new file is there');
		if (child.exitCode !== null) break;
	}
	await Promise.all([end(child), io.drained]);
	await io.close();
	const all = Buffer.concat([...files, options.logPath].map((file) => contents(file))).toString();
	t.equal(all, `${Array.from({ length: 3000 }, (_, index) => `${index + 1}\n`).join('')}last\n`);
	rmSync(join(options.logPath, '..'), { recursive: true });
	writeFileSync(join(options.logPath, '..'), 'a file');
	const other = ContainerIo.make({ ...options, logPath: '' });
	await other.reopenLog();
	await other.close();
	t.throws(() => ContainerIo.make(options), { code: /EEXIST|ENOTDIR/ }, 'a log that cannot be made');
});

test('a full disk: the container goes on, what is lost is told, and later entries are whole', async (t) => {
	const told: string[] = [];
	const options = optionsOf(t, { onLost: (message) => told.push(message) });
	const logs = join(options.logPath, '..');
	mkdirSync(logs, { recursive: true });
	spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'isopod-test', logs]);
	t.teardown(() => spawnSync('umount', ['-l', logs]));
	const io = ContainerIo.make(options);
	const child = await run(
		io,
		options,
		`seq 100000; echo full >${options.folder}/full; until [ -e ${options.folder}/room ]; do sleep 0.01; done; echo last`,
	);
	await until(() => spawnSync('test', ['-e', join(options.folder, 'full')]).status === 0 && told.length > 0);
	t.match(told, [/can't be written.*(ENOSPC|no space)/]);
	// For all that is still on its way, too.
	spawnSync('mount', ['-o', 'remount,size=64m', logs]);
	writeFileSync(join(options.folder, 'room'), '');
	await Promise.all([end(child), io.drained]);
	await io.close();
	t.match(told, [/ENOSPC/, /goes on; \d+ entries were lost/]);
	t.match(readFileSync(options.logPath, 'latin1'), /\n\S+ stdout F last\n$/);
});

test('attached: each gets all that comes from then on; one that takes nothing is let go', async (t) => {
	const options = optionsOf(t, { stallMs: 300 });
	const io = ContainerIo.make(options);
	const gone = new AbortController();
	const stalled = new Writable({ highWaterMark: 1000, write: () => undefined });
	const readers = [new PassThrough(), new PassThrough()];
	const got = readers.map(async (reader) => Buffer.concat((await reader.toArray()) as Buffer[]));
	const attached = [...readers, stalled].map((stream) => io.attach(null, stream, null, gone.signal));
	const child = await run(io, options, 'seq 200000');
	await Promise.all([end(child), ...attached]);
	for (const reader of readers) reader.end();
	const wanted = `${Array.from({ length: 200_000 }, (_, index) => index + 1).join('\n')}\n`;
	for (const bytes of await Promise.all(got)) t.ok(bytes.equals(Buffer.from(wanted)), `${bytes.length} bytes`);
	t.ok(stalled.destroyed);
	t.equal(contents(options.logPath).toString(), wanted);
	await io.close();
});

test('stdin: of the one who is attached; with stdinOnce its end is the end', async (t) => {
	const once = optionsOf(t, { stdin: true, stdinOnce: true });
	let io = ContainerIo.make(once);
	let child = await run(io, once, 'cat; echo end');
	let stdin = new PassThrough();
	let attached = io.attach(stdin, null, null, new AbortController().signal);
	stdin.end('typed\n');
	await Promise.all([end(child), attached]);
	t.equal(contents(once.logPath).toString(), 'typed\nend\n');
	await io.close();

	const often = optionsOf(t, { stdin: true });
	io = ContainerIo.make(often);
	const keeper = spawn('sleep', ['1000'], { stdio: [io.stdio[0]!, 'ignore', 'ignore'] });
	t.teardown(() => keeper.kill('SIGKILL'));
	child = await run(io, often, 'while read line; do echo got $line; [ $line = stop ] && break; done');
	for (const text of ['first', 'stop']) {
		const gone = new AbortController();
		stdin = new PassThrough();
		attached = io.attach(stdin, null, null, gone.signal);
		stdin.end(`${text}\n`);
		await until(() => contents(often.logPath).includes(`got ${text}\n`));
		gone.abort();
		await attached;
		if (text === 'stop') continue;
		await io.close();
		io = ContainerIo.reopen(often);
	}
	await Promise.all([end(child), io.drained]);
	t.equal(contents(often.logPath).toString(), 'got first\ngot stop\n', 'also by another server');
	await io.close();
});
