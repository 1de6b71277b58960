// Commands in pods of both handlers, and their ports.

import { Duplex, PassThrough } from 'node:stream';
import { status } from '@grpc/grpc-js';
import t from 'tap';
import { exec } from '../../containerd/testing-pod.js';
import { IMAGE, ServeBench } from '../server/testing.js';
import { PortForwarder, runCommand } from '../streaming/client.js';

const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());
const { cri } = bench;

for (const handler of ['isopod', 'isopod-vm'])
	t.test(handler, async (t) => {
		const { podSandboxId } = await cri.call('RunPodSandbox', {
			config: { metadata: { name: handler, uid: handler, namespace: 'default' } },
			runtimeHandler: handler,
		});
		const { containerId } = await cri.call('CreateContainer', {
			podSandboxId,
			config: { metadata: { name: 'main' }, image: { image: IMAGE }, command: ['/bin/sleep', '1000'] },
		});
		await cri.call('StartContainer', { containerId });
		const execSync = (script: string, timeout: number): ReturnType<typeof cri.call<'ExecSync'>> =>
			cri.call('ExecSync', { containerId, cmd: ['/bin/sh', '-c', script], timeout });
		const processes = async (name: string): Promise<number> => Number((await exec(cri, containerId, `ps | grep -c '[ ]${name}'`)).stdout);

		t.test('ExecSync: exit codes, both streams, much output, what is left behind', async (t) => {
			t.same(await exec(cri, containerId, 'echo out; echo err >&2; exit 3'), { code: 3, stdout: 'out\n', stderr: 'err\n' });
			t.same(await exec(cri, containerId, 'kill -9 $$'), { code: 137, stdout: '', stderr: '' });
			const { stdout, stderr, exitCode } = await execSync('head -c 15000000 /dev/zero; head -c 100000 /dev/zero >&2', 60);
			t.same([stdout.length, stderr.length, exitCode], [15_000_000, 100_000, 0]);
			const flood = await execSync('head -c 17000000 /dev/zero; head -c 100000 /dev/zero >&2', 60);
			t.ok(flood.stdout.length > 16_000_000 && flood.exitCode === 0, 'as much as an answer may have');
			await t.rejects(cri.call('ExecSync', { containerId, cmd: ['/nope'] }), { message: /no such file|not found/ });
			await t.rejects(cri.call('ExecSync', { containerId, cmd: [] }), { code: status.INVALID_ARGUMENT });
		});

		t.test('ExecSync that takes too long is killed', async (t) => {
			const start = Date.now();
			await t.rejects(execSync('exec sleep 777', 1), { code: status.DEADLINE_EXCEEDED });
			t.ok(Date.now() - start < 10_000);
			t.equal(await processes('777'), 0);
		});

		t.test('Exec: its client is gone, and so is the command', async (t) => {
			const { url } = await cri.call('Exec', { containerId, cmd: ['/bin/sleep', '888'], stdout: true });
			const gone = new AbortController();
			const running = runCommand(url, { stdin: null, stdout: new PassThrough(), stderr: null, signal: gone.signal });
			while ((await processes('888')) === 0) await new Promise((then) => setTimeout(then, 50));
			gone.abort();
			await t.rejects(running);
			while ((await processes('888')) > 0) await new Promise((then) => setTimeout(then, 50));
			await t.rejects(runCommand(url, { stdin: null, stdout: new PassThrough(), stderr: null }), 'a URL works once');
		});

		t.test('port-forward: to what listens on all addresses, to ::1 where there is one; a refusal is told', async (t) => {
			await exec(
				cri,
				containerId,
				'mkdir -p /tmp/www; echo page >/tmp/www/index.html; httpd -p 8080 -h /tmp/www; httpd -p [::1]:8081 -h /tmp/www',
			);
			const { url } = await cri.call('PortForward', { podSandboxId, port: [] });
			const forwarder = await PortForwarder.open(url);
			const get = async (port: number): Promise<string> => {
				const [request, answer] = [new PassThrough(), new PassThrough()];
				request.write('GET / HTTP/1.0\r\n\r\n');
				await forwarder.carry(port, Duplex.from({ readable: request, writable: answer }));
				return String(Buffer.concat((await answer.toArray()) as Buffer[]));
			};
			t.match(await get(8080), /page/);
			if (handler === 'isopod') t.match(await get(8081), /page/);
			await t.rejects(get(8082), { message: /8082.*ECONNREFUSED/ });
			forwarder.close();
		});
	});
