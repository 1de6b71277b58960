// What containers write and read while their server is killed and another one comes.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import t from 'tap';
import { ended } from '../../containerd/testing-pod.js';
import { IMAGE, ServeBench } from '../server/testing.js';
import { runCommand } from '../streaming/client.js';

const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());
/** A pod of a handler, and how to start a container in it. */
async function runPod(
	handler: string,
): Promise<{ podSandboxId: string; start: (name: string, script: string, changes?: object) => Promise<string> }> {
	const name = `${handler}-${count++}`;
	const { podSandboxId } = await bench.cri.call('RunPodSandbox', {
		config: { metadata: { name, uid: name, namespace: 'default' }, logDirectory: bench.logs },
		runtimeHandler: handler,
	});
	const start = async (name: string, script: string, changes: object = {}): Promise<string> => {
		const config = { metadata: { name }, image: { image: IMAGE }, command: ['/bin/sh', '-c', script], logPath: `${name}.log`, ...changes };
		const { containerId } = await bench.cri.call('CreateContainer', { podSandboxId, config });
		await bench.cri.call('StartContainer', { containerId });
		return containerId;
	};
	return { podSandboxId, start };
}

let count = 0;
const FAST_LINES = 3_000_000;

/** The texts of a log's entries. */
const logOf = (name: string): string[] =>
	readFileSync(join(bench.logs, `${name}.log`), 'utf8')
		.trimEnd()
		.split('\n')
		.map((line) => line.split(' ').slice(3).join(' '));

const sleep = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));

for (const handler of ['isopod', 'isopod-vm'])
	t.test(`${handler}: a container that ends while there is no server: its output is in the log, its end is told`, async (t) => {
		const { start } = await runPod(handler);
		const id = await start(`short-${handler}`, 'echo begin; sleep 1; seq 5000; echo end >&2; exit 4');
		await sleep(300);
		await bench.end('SIGKILL');
		await sleep(1500);
		await bench.start();
		t.match(await ended(bench.cri, id), { exitCode: 4 });
		const lines = logOf(`short-${handler}`);
		t.equal(lines.length, 5002);
		t.equal(lines[0], 'begin');
		t.ok(lines.includes('5000') && lines.includes('end'));
	});

t.test('a container that writes as fast as it can: what a killed server was about to write is lost, no more', async (t) => {
	const { start } = await runPod('isopod');
	const id = await start('fast', `seq ${FAST_LINES}; echo last`);
	for (let round = 0; round < 3; round++) {
		await sleep(100);
		await bench.end('SIGKILL');
		t.not(logOf('fast').at(-1), 'last', 'it was killed while the container wrote');
		await bench.start();
	}
	t.match(await ended(bench.cri, id), { exitCode: 0 });
	const lines = logOf('fast');
	t.equal(lines.at(-1), 'last');
	const numbers = lines.slice(0, -1).map(Number);
	const inOrder = numbers.filter((number, at) => at > 0 && number > numbers[at - 1]!).length;
	t.ok(inOrder >= numbers.length - 1 - 2 * 3, 'only a line that was cut is out of order');
	// A read of 64 KiB is on its way, another one may wait for it; most lines have 8 bytes.
	t.ok(numbers.length >= FAST_LINES - 3 * ((2 * 65536) / 7), `${numbers.length} lines`);
});

for (const handler of ['isopod', 'isopod-vm'])
	t.test(`${handler}: stdin stays open over a restart of the server, and a terminal goes on`, async (t) => {
		const { podSandboxId, start } = await runPod(handler);
		const id = await start(`reader-${handler}`, 'read line; echo got $line', { stdin: true });
		const terminal = await start(`terminal-${handler}`, 'read line; echo typed $line', { stdin: true, tty: true });
		await bench.end('SIGKILL');
		await sleep(300);
		await bench.start();
		const { containers } = await bench.cri.call('ListContainers', { filter: { podSandboxId, state: { state: 1 } } });
		t.same(containers.map((container) => container.id).sort(), [id, terminal].sort(), 'neither has seen an end');
		const watchSize = () => () => undefined;
		const attach = async (containerId: string, tty: boolean, text: string): Promise<string> => {
			const { url } = await bench.cri.call('Attach', { containerId, stdin: true, stdout: true, tty });
			const stdout = new PassThrough();
			await runCommand(url, { stdin: Readable.from([Buffer.from(text)]), stdout, stderr: null, ...(tty && { watchSize }) });
			return String(stdout.read());
		};
		t.equal(await attach(id, false, 'hello\n'), 'got hello\n');
		t.match(await attach(terminal, true, 'hello\r'), /typed hello\r\n/);
		t.match(await ended(bench.cri, id), { exitCode: 0 });
		t.match(await ended(bench.cri, terminal), { exitCode: 0 });
		t.same(logOf(`reader-${handler}`), ['got hello']);
	});
