// Debian's kubectl, through a stub of the API server, in pods of `isopod serve`.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { kubectl, kubectlTo, startApiServer } from '../streaming/testing.js';
import { IMAGE, ServeBench } from './testing.js';

const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());
const { cri } = bench;
const namespaceOptions = { pid: 1 };
const { podSandboxId } = await cri.call('RunPodSandbox', {
	config: {
		metadata: { name: 'test', uid: '1', namespace: 'default' },
		hostname: 'test',
		linux: { securityContext: { namespaceOptions } },
	},
});
const { containerId } = await cri.call('CreateContainer', {
	podSandboxId,
	config: {
		...{ metadata: { name: 'main' }, image: { image: IMAGE }, stdin: true },
		command: ['/bin/sh', '-c', 'while read line; do echo "got $line"; done; exec sleep 1000'],
		linux: { securityContext: { namespaceOptions } },
	},
});
await cri.call('StartContainer', { containerId });
const { url } = await startApiServer(t, async ({ kind, command, ports, ...streams }) => {
	if (kind === 'portforward') return (await cri.call('PortForward', { podSandboxId, port: [...ports] })).url;
	if (kind === 'attach') return (await cri.call('Attach', { containerId, ...streams })).url;
	return (await cri.call('Exec', { containerId, cmd: [...command], ...streams })).url;
});
const { args, run } = kubectlTo(url, bench.folder);

t.test('exec: output, errors, exit codes, 20 MB both ways, a terminal', async (t) => {
	const first = await run(null, 'exec', 'test', '--', 'sh', '-c', 'hostname; echo err >&2; exit 3');
	t.match(first, { code: 3, stderr: /err\n.*exit code 3/s });
	t.equal(first.stdout.toString(), 'test\n');
	const large = randomBytes(20 << 20);
	const echoed = await run(large, 'exec', '-i', 'test', '--', 'cat');
	t.ok(echoed.stdout.equals(large), `${echoed.stdout.length} bytes came back: ${echoed.stderr}`);
	t.match(await run(null, 'exec', 'test', '--', 'nope'), { code: 1, stderr: /executable file not found/ });
	const command = [kubectl(), ...args('exec', '-it', 'test', '--', 'sh', '-c', '"stty size; tty; exit 6"')].join(' ');
	const terminal = spawn('script', ['--quiet', '--return', '--command', `stty cols 91 rows 33; ${command}`, '/dev/null'], {
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	let output = '';
	terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
		output += text;
	});
	t.equal(await new Promise((resolve) => terminal.once('close', resolve)), 6);
	t.match(output, /33 91\r\n\/dev\/(pts\/\d|console)/);
});

t.test('attach: typed lines go in, what the program says comes out, also to two', async (t) => {
	const listener = spawn(kubectl(), args('attach', 'test'), { stdio: ['ignore', 'pipe', 'ignore'] });
	t.teardown(() => listener.kill('SIGKILL'));
	let heard = '';
	listener.stdout.setEncoding('utf8').on('data', (text: string) => {
		heard += text;
	});
	const typist = spawn(kubectl(), args('attach', '-i', 'test'), { stdio: ['pipe', 'pipe', 'ignore'] });
	t.teardown(() => typist.kill('SIGKILL'));
	let answer = '';
	typist.stdout.setEncoding('utf8').on('data', (text: string) => {
		answer += text;
	});
	await new Promise((then) => setTimeout(then, 500));
	typist.stdin.write('one\ntwo\n');
	for (let tries = 0; tries < 100 && !(heard.includes('got two') && answer.includes('got two')); tries++)
		await new Promise((then) => setTimeout(then, 50));
	t.match(answer, /got one\n(.*\n)*got two\n/);
	t.match(heard, /got one\ngot two\n/);
});

t.test('cp: files go in and come out as they are', async (t) => {
	const tar = await run(null, 'exec', 'test', '--', 'sh', '-c', 'ln -s busybox /bin/tar && tar 2>&1 | head -1');
	t.match(tar.stdout.toString(), /BusyBox/);
	const folder = join(bench.folder, 'files');
	mkdirSync(join(folder, 'deep'), { recursive: true });
	const bytes = randomBytes(3_000_000);
	writeFileSync(join(folder, 'deep/data'), bytes);
	t.match(await run(null, 'cp', folder, 'test:/tmp/in'), { code: 0 });
	t.equal((await run(null, 'exec', 'test', '--', 'stat', '-c', '%s', '/tmp/in/deep/data')).stdout.toString(), '3000000\n');
	t.match(await run(null, 'cp', 'test:/tmp/in/deep/data', join(bench.folder, 'back')), { code: 0 });
	t.ok(readFileSync(join(bench.folder, 'back')).equals(bytes));
});

t.test("port-forward: to the pod's localhost; a port where nobody listens is told", async (t) => {
	const server = 'mkdir -p /tmp/www; head -c 2000000 /dev/zero >/tmp/www/zeros; httpd -p 127.0.0.1:80 -h /tmp/www';
	t.match(await run(null, 'exec', 'test', '--', 'sh', '-c', server), { code: 0 });
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
	const get = (port: number): Promise<number> =>
		new Promise((resolve) => {
			let length = 0;
			const socket = connect(port, '127.0.0.1', () => socket.write('GET /zeros HTTP/1.0\r\n\r\n'));
			socket.on('data', (chunk: Buffer) => {
				length += chunk.length;
			});
			socket.on('error', () => undefined);
			socket.on('close', () => resolve(length));
		});
	for (const length of await Promise.all([1, 2, 3].map(() => get(locals['80']!)))) t.ok(length > 2_000_000, `${length} bytes`);
	t.equal(await get(locals['81']!), 0);
	for (let tries = 0; tries < 100 && !errors.includes('ECONNREFUSED'); tries++) await new Promise((then) => setTimeout(then, 50));
	t.match(errors, /port 81.*ECONNREFUSED/);
});
