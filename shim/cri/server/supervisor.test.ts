import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { CriClient } from '../client.js';

const COMMAND = resolve(import.meta.dirname, '../../../../native/build/isopod');
const SHORT_DELAY_MS = 50;

/** A program that makes a datagram socket and prints what comes, as systemd would read it. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True: print(s.recv(4096).decode(), flush=True)
`;

/** Runs the server as systemd runs it with isopod.socket: the socket is descriptor 3. */
const ACTIVATOR = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(sys.argv[1])
s.listen(16)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
`;

function fetchText(path: string, socketPath: string): Promise<{ readonly code: number; readonly text: string }> {
	return new Promise((done, fail) => {
		request({ socketPath, path }, async (response) => {
			let text = '';
			for await (const bytes of response) text += String(bytes);
			done({ code: response.statusCode ?? 0, text });
		})
			.on('error', fail)
			.end();
	});
}

/** A unix socket's path has 107 bytes at most. */
function shortFolder(t: Test): string {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-sup-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
	for (let tries = 0; tries < 400 && !(await condition()); tries++) await setTimeout(SHORT_DELAY_MS);
}

async function stop(child: ChildProcess): Promise<number | null> {
	if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
	const ended = once(child, 'exit');
	child.kill('SIGTERM');
	await ended;
	return child.exitCode;
}

t.test('systemd gives it a socket, hears that it is ready, lives and stops; metrics and health are told', async (t) => {
	const folder = shortFolder(t);
	const path = (name: string): string => join(folder, name);
	mkdirSync(path('net.d'));
	const said: string[] = [];
	const listener = spawn('python3', ['-c', LISTENER, path('notify')], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.teardown(() => listener.kill('SIGKILL'));
	listener.stdout.on('data', (bytes: Buffer) => said.push(...String(bytes).trim().split('\n')));
	await until(() => said.includes('bound'));
	const args = ['serve', '--root', path('root'), '--state', path('state'), '--cni-conf-dir', path('net.d')];
	args.push('--metrics', `unix://${path('metrics.sock')}`, '--log-level', 'error');
	const server = spawn('python3', ['-c', ACTIVATOR, path('cri.sock'), COMMAND, ...args], {
		stdio: ['ignore', 'inherit', 'inherit'],
		env: { ...process.env, NOTIFY_SOCKET: path('notify'), WATCHDOG_USEC: '200000' },
	});
	t.teardown(() => stop(server));
	const cri = new CriClient(path('cri.sock'));
	t.teardown(() => cri.close());
	await until(() => said.includes('READY=1'));
	t.equal((await cri.call('Version', {})).runtimeName, 'isopod', 'it answers on the socket that it was given');
	await until(() => said.includes('WATCHDOG=1'));
	t.ok(said.includes('WATCHDOG=1'));

	t.same(await fetchText('/healthz', path('metrics.sock')), { code: 200, text: 'ok\n' });
	t.match(await fetchText('/readyz', path('metrics.sock')), { code: 503, text: /the network is not ready: / });
	t.match(await fetchText('/', path('metrics.sock')), { code: 404 });
	await t.rejects(cri.call('PodSandboxStatus', { podSandboxId: 'nobody' }), { code: 5 });
	const { text } = await fetchText('/metrics', path('metrics.sock'));
	t.match(text, /^isopod_cri_requests_total\{method="Version",code="OK"\} 1$/m);
	t.match(text, /^isopod_cri_requests_total\{method="PodSandboxStatus",code="NOT_FOUND"\} 1$/m);
	t.match(text, /^isopod_cri_request_duration_seconds_count\{method="Version"\} 1$/m);
	t.match(text, /^isopod_network_ready 0$/m);
	t.match(text, /^process_resident_memory_bytes \d+$/m);

	t.equal(await stop(server), 0);
	await until(() => said.includes('STOPPING=1'));
	t.ok(said.includes('STOPPING=1'));
});

t.test('a second server on the same socket is refused, and the first goes on', async (t) => {
	const folder = shortFolder(t);
	const socket = join(folder, 'cri.sock');
	const other = createServer().listen(socket);
	await once(other, 'listening');
	t.teardown(() => other.close());
	const args = ['serve', '--listen', `unix://${socket}`, '--root', join(folder, 'root'), '--state', join(folder, 'state')];
	const server = spawn(COMMAND, args, { stdio: ['ignore', 'ignore', 'pipe'] });
	let errors = '';
	server.stderr.on('data', (bytes: Buffer) => {
		errors += String(bytes);
	});
	await once(server, 'exit');
	t.equal(server.exitCode, 1);
	t.match(errors, /another server does/);
	rmSync(socket, { force: true });
});
