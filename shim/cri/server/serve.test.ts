import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { EXITED, ended, exec, RUNNING } from '../../containerd/testing-pod.js';
import { IMAGE, ServeBench } from './testing.js';

const bench = new ServeBench();
const { logs } = bench;
await bench.start();
t.teardown(() => bench.stop());

let count = 0;

async function runPod(changes: object = {}, runtimeHandler = ''): Promise<{ readonly id: string; readonly config: object }> {
	const name = `pod${count++}`;
	const namespaceOptions = { network: 0, pid: 1, ipc: 0 };
	const config = {
		metadata: { name, uid: `${name}-uid`, namespace: 'default', attempt: 0 },
		hostname: name,
		logDirectory: logs,
		linux: { securityContext: { namespaceOptions } },
		...changes,
	};
	return { id: (await bench.cri.call('RunPodSandbox', { config, runtimeHandler })).podSandboxId, config };
}

async function start(podSandboxId: string, name: string, script: string, changes: object = {}): Promise<string> {
	const config = {
		...{ metadata: { name }, image: { image: IMAGE }, command: ['/bin/sh', '-c', script], logPath: `${podSandboxId}-${name}.log` },
		linux: { securityContext: { namespaceOptions: { pid: 1 } } },
		...changes,
	};
	const { containerId } = await bench.cri.call('CreateContainer', { podSandboxId, config });
	await bench.cri.call('StartContainer', { containerId });
	return containerId;
}

for (const handler of ['isopod', 'isopod-vm'])
	t.test(`a pod of ${handler} lives: address, hostname, containers, logs, exit codes, removal`, async (t) => {
		const { cri } = bench;
		const { id, config } = await runPod({}, handler);
		const { hostname } = config as { hostname: string };
		const { status } = await cri.call('PodSandboxStatus', { podSandboxId: id });
		t.equal(status?.state, 0);
		t.match(status?.network?.ip, new RegExp(`^${bench.subnet.replaceAll('.', '\\.')}\\.\\d+$`));
		const server = await start(
			id,
			'server',
			'echo from $(hostname); echo oops >&2; mkdir -p /tmp/www; echo page >/tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www',
		);
		const other = await start(id, 'other', 'sleep 1000');
		t.same(await exec(cri, other, 'wget -q -O - http://127.0.0.1:8080/'), { code: 0, stdout: 'page\n', stderr: '' });
		t.same(await exec(cri, other, 'cat /etc/hostname; id -u; exit 7'), { code: 7, stdout: `${hostname}\n0\n`, stderr: '' });
		t.match(await fetchPage(status?.network?.ip ?? ''), /page/, 'the host reaches it by its address');
		const log = readFileSync(join(logs, `${id}-server.log`), 'utf8');
		t.match(log, new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{9}Z stdout F from ${hostname}$`, 'm'));
		t.match(log, /^\S+ stderr F oops$/m);
		const { containers } = await cri.call('ListContainers', { filter: { podSandboxId: id, state: { state: RUNNING } } });
		t.same(containers.map((container) => container.id).sort(), [server, other].sort());
		const short = await start(id, 'short', 'printf unfinished; exit 3');
		t.same(await ended(cri, short), { exitCode: 3, reason: 'Error' });
		t.match(readFileSync(join(logs, `${id}-short.log`), 'utf8'), / stdout P unfinished\n$/);
		await cri.call('StopContainer', { containerId: server, timeout: 2 });
		t.equal((await cri.call('ContainerStatus', { containerId: server })).status?.state, EXITED);
		await cri.call('StopPodSandbox', { podSandboxId: id });
		await cri.call('StopPodSandbox', { podSandboxId: id });
		t.equal((await cri.call('PodSandboxStatus', { podSandboxId: id })).status?.state, 1);
		t.equal((await cri.call('ContainerStatus', { containerId: other })).status?.exitCode, 137);
		await cri.call('RemovePodSandbox', { podSandboxId: id });
		await cri.call('RemovePodSandbox', { podSandboxId: id });
		await t.rejects(cri.call('PodSandboxStatus', { podSandboxId: id }), { code: 5 });
		t.strictSame(bench.leftovers, []);
	});

t.test('a server that is killed is followed by one that knows all', async (t) => {
	const { id, config } = await runPod();
	const script = 'trap "echo bye; exit 4" TERM; i=0; while true; do i=$((i + 1)); echo line $i; sleep 0.1 & wait $!; done';
	const talker = await start(id, 'talker', script);
	const short = await start(id, 'short', 'sleep 1; exit 9');
	const { containerId: waiting } = await bench.cri.call('CreateContainer', {
		podSandboxId: id,
		config: {
			metadata: { name: 'waiting' },
			image: { image: IMAGE },
			command: ['/bin/sh', '-c', 'echo started'],
			logPath: 'waiting.log',
			linux: { securityContext: { namespaceOptions: { pid: 1 } } },
		},
	});
	await bench.end('SIGKILL');
	// Time for more output than was there, and for an end that nobody sees.
	await new Promise((then) => setTimeout(then, 1500));
	await bench.start();
	const { cri } = bench;
	t.equal((await cri.call('PodSandboxStatus', { podSandboxId: id })).status?.state, 0);
	t.equal((await cri.call('ContainerStatus', { containerId: talker })).status?.state, RUNNING);
	t.match(await ended(cri, short), { exitCode: 9 });
	await cri.call('StartContainer', { containerId: waiting });
	t.match(await ended(cri, waiting), { exitCode: 0 });
	t.same((await exec(cri, talker, 'echo hi')).stdout, 'hi\n');
	await t.rejects(cri.call('RunPodSandbox', { config }), { code: 6 }, 'its name is still taken');
	await cri.call('StopContainer', { containerId: talker, timeout: 10 });
	t.match(await ended(cri, talker), { exitCode: 4 });
	const lines = readFileSync(join(logs, `${id}-talker.log`), 'utf8').split('\n');
	t.match(lines.at(-2), / F bye$/);
	const numbers = lines.flatMap((line) => (/ F line (\d+)$/.exec(line) === null ? [] : [Number(/ (\d+)$/.exec(line)![1])]));
	t.same(
		numbers,
		numbers.map((_, i) => i + 1),
		'no line is lost, none is there twice',
	);
	await cri.call('RemovePodSandbox', { podSandboxId: id });
	t.strictSame(bench.leftovers, []);
});

t.test('pods that come and go leave the server no descriptors', async (t) => {
	const live = async (): Promise<void> => {
		const { id } = await runPod();
		await ended(bench.cri, await start(id, 'c', 'true'));
		await bench.cri.call('RemovePodSandbox', { podSandboxId: id });
	};
	const open = (): number => readdirSync(`/proc/${bench.pid}/fd`).length;
	for (let i = 0; i < 4; i++) await live();
	const before = open();
	for (let i = 0; i < 8; i++) await live();
	t.ok(open() <= before + 3, `${before} descriptors, then ${open()}`);
	t.strictSame(bench.leftovers, []);
});

t.test('what a sandbox cannot give is refused by name, and nothing is left of it', async (t) => {
	const pod = (options: object, more: object = {}): Promise<unknown> =>
		runPod({ linux: { securityContext: { namespaceOptions: options, ...more } } });
	await t.rejects(pod({ network: 2 }), { code: 3, details: /hostNetwork/ });
	await t.rejects(pod({ pid: 2 }), { code: 3, details: /hostPID/ });
	await t.rejects(pod({}, { privileged: true }), { code: 3, details: /privileged/ });
	const { config } = { config: { metadata: { name: 'x', uid: 'x' } } };
	await t.rejects(bench.cri.call('RunPodSandbox', { config, runtimeHandler: 'nope' }), { code: 3, details: /"nope"/ });
	await t.rejects(runPod({ annotations: { 'dev.isopod.bounds.tasks': '9' } }), {
		code: 3,
		details: /dev\.isopod\.bounds\.tasks is not allowed/,
	});
	const { id } = await runPod({ annotations: { 'example.org/any': 'thing' } });
	await t.rejects(start(id, 'a', 'true', { image: { image: 'localhost/none:1' } }), { code: 5, details: /localhost\/none:1/ });
	await t.rejects(start(id, 'a', 'true', { devices: [{ hostPath: '/dev/sda', containerPath: '/dev/sda' }] }), { code: 3, details: /sda/ });
	await t.rejects(bench.cri.call('CheckpointContainer', { containerId: id }), { code: 12 });
	await bench.cri.call('RemovePodSandbox', { podSandboxId: id });
	t.strictSame(bench.leftovers, []);
});

t.test('a sandbox process that is killed ends its pod', async (t) => {
	const { cri } = bench;
	const { id } = await runPod();
	const container = await start(id, 'c', 'sleep 1000');
	const { info } = await cri.call('PodSandboxStatus', { podSandboxId: id, verbose: true });
	process.kill((JSON.parse(info['info'] ?? '{}') as { pid: number }).pid, 'SIGKILL');
	t.match(await ended(cri, container), { exitCode: 137 });
	for (let tries = 0; (await cri.call('PodSandboxStatus', { podSandboxId: id })).status?.state !== 1 && tries < 100; tries++)
		await new Promise((then) => setTimeout(then, 50));
	t.equal((await cri.call('PodSandboxStatus', { podSandboxId: id })).status?.state, 1);
	await cri.call('RemovePodSandbox', { podSandboxId: id });
	t.strictSame(bench.leftovers, []);
});

t.test('events tell of lives in order', async (t) => {
	const { cri } = bench;
	const stop = new AbortController();
	const seen: string[] = [];
	const listening = (async () => {
		for await (const { containerId, containerEventType } of cri.stream('GetContainerEvents', {}, stop.signal))
			seen.push(`${containerId.slice(0, 6)} ${containerEventType}`);
	})();
	await new Promise((then) => setTimeout(then, 300));
	const { id } = await runPod();
	const container = await start(id, 'c', 'true');
	await ended(cri, container);
	await cri.call('RemovePodSandbox', { podSandboxId: id });
	await new Promise((then) => setTimeout(then, 300));
	stop.abort();
	await listening;
	const of = (name: string): string[] => seen.filter((line) => line.startsWith(name.slice(0, 6))).map((line) => line.slice(7));
	t.same(of(container), ['0', '1', '2', '3']);
	t.same(of(id), ['0', '1', '2', '3']);
	t.notOk(existsSync(join(bench.state, 'pods', id)));
});

async function fetchPage(ip: string): Promise<string> {
	const socket = connect(8080, ip);
	socket.write('GET / HTTP/1.0\r\n\r\n');
	let text = '';
	for await (const bytes of socket) text += String(bytes);
	return text;
}
