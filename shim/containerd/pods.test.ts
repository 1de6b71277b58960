import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Containerd } from './testing.js';
import { ended, exec, logsOf, Pod, RUNNING } from './testing-pod.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;
const logs = logsOf(containerd);

/** What a server at a pod's address says, or why there was no answer. */
/** What a server says; between two of its lives (nc serves one client) it is asked again. */
async function ask(host: string, port: number): Promise<string> {
	for (let tries = 0; ; tries++) {
		const answer = await askOnce(host, port);
		if (tries === 20 || !answer.includes('ECONNREFUSED')) return answer;
		await new Promise((then) => setTimeout(then, 100));
	}
}

function askOnce(host: string, port: number): Promise<string> {
	return new Promise((resolve) => {
		let text = '';
		const socket = connect({ host, port, timeout: 5000 });
		socket.on('data', (bytes) => {
			text += bytes;
		});
		socket.on('end', () => resolve(text));
		socket.on('error', (error) => resolve(error.message));
		socket.on('timeout', () => resolve('nobody answered'));
	});
}

t.test('a pod of two containers: an address, localhost, names, processes of their own, logs, stats', async (t) => {
	const pod = await Pod.run(containerd);
	const server = await pod.start('server', ['/bin/sh', '-c', 'echo ready; while :; do echo "from $(hostname)" | nc -l -p 8080; done']);
	const other = await pod.start(
		'other',
		['/bin/sleep', '1000'],
		{},
		{ resources: { memoryLimitInBytes: 64 << 20, cpuPeriod: 100_000, cpuQuota: 50_000 } },
	);
	const { stdout, code } = await exec(cri, other, 'nc 127.0.0.1 8080; ps; exit 5');
	t.equal(code, 5);
	t.match(stdout, /^from pod0\n/, 'localhost is shared');
	t.match(stdout, /1 .*sleep 1000/);
	t.notMatch(stdout, 'nc -l', 'processes are not');
	const ip = await pod.ip();
	t.match(ip, /^10\.199\./);
	t.equal(await ask(ip, 8080), 'from pod0\n', 'the host reaches it at its address');
	const neighbour = await Pod.run(containerd);
	const third = await neighbour.start('third', ['/bin/sleep', '1000']);
	t.equal((await exec(cri, third, `nc ${ip} 8080`)).stdout, 'from pod0\n', 'and so does another pod');
	t.equal((await exec(cri, third, 'nc 127.0.0.1 8080')).code, 1, 'whose localhost is its own');
	const { stats } = await cri.call('ContainerStats', { containerId: other });
	t.ok(Number(stats?.memory?.workingSetBytes?.value) > 0);
	t.match(readFileSync(join(logs, 'server.log'), 'utf8'), /^\S+ stdout F ready\n/);
	await cri.call('UpdateContainerResources', { containerId: other, linux: { memoryLimitInBytes: 48 << 20 } });
	await cri.call('StopContainer', { containerId: server, timeout: 0 });
	t.equal((await cri.call('ContainerStatus', { containerId: other })).status?.state, RUNNING);
	await neighbour.remove();
	await pod.remove();
	t.same(
		containerd.leftovers.filter((path) => path.includes(pod.id)),
		[],
	);
});

t.test('a PID namespace for the whole pod', async (t) => {
	const pod = await Pod.run(containerd, { pids: 0 });
	await pod.start('one', ['/bin/sleep', '600']);
	const two = await pod.start('two', ['/bin/sleep', '700']);
	const { stdout } = await exec(cri, two, 'ps');
	t.match(stdout, 'sleep 600');
	t.match(stdout, /1 .*(sleep 1000000|pause)/, 'number 1 is the pause container');
	await pod.remove();
});

t.test('each pod gets what its handler names, side by side', async (t) => {
	const pods = await Promise.all(['isopod', 'isopod-vm', 'runc', ''].map((handler) => Pod.run(containerd, { handler })));
	const kernels: string[] = [];
	for (const pod of pods) kernels.push((await exec(cri, await pod.start('main', ['/bin/sleep', '1000']), 'cat /proc/version')).stdout);
	t.match(kernels[0], /isopod/);
	t.match(kernels[1], /^Linux version 6\.\S+-cloud-amd64/);
	for (const kernel of kernels.slice(2)) t.equal(kernel, readFileSync('/proc/version', 'utf8'));
	await t.rejects(Pod.run(containerd, { handler: 'unheard-of' }), /no runtime for "unheard-of"/);
	for (const pod of pods) await pod.remove();
});

t.test('a pod in a virtual machine: address, localhost, exit codes, stats, an update, a kill for want of memory', async (t) => {
	const pod = await Pod.run(containerd, { handler: 'isopod-vm' });
	const server = await pod.start('server', ['/bin/sh', '-c', 'echo ready; while :; do echo "from $(hostname)" | nc -l -p 8080; done']);
	const other = await pod.start('other', ['/bin/sleep', '1000'], {}, { resources: { memoryLimitInBytes: 64 << 20 } });
	const release = (await exec(cri, other, 'nc 127.0.0.1 8080; uname -r; cat /sys/fs/cgroup/memory.max; exit 5')).stdout;
	t.match(release, /^from pod\d+\n6\.\S+-cloud-amd64\n67108864\n/);
	t.match(await ask(await pod.ip(), 8080), /^from pod\d+\n/);
	const { stats } = await cri.call('ContainerStats', { containerId: other });
	t.ok(Number(stats?.memory?.workingSetBytes?.value) > 0);
	t.ok(Number(stats?.cpu?.usageCoreNanoSeconds?.value) > 0);
	await cri.call('UpdateContainerResources', { containerId: other, linux: { memoryLimitInBytes: 48 << 20 } });
	t.equal((await exec(cri, other, 'cat /sys/fs/cgroup/memory.max')).stdout, `${48 << 20}\n`);
	t.match(await ended(cri, await pod.start('seven', ['/bin/sh', '-c', 'exit 7'])), { exitCode: 7, reason: 'Error' });
	const hungry = await pod.start(
		'hungry',
		['/bin/sh', '-c', 'x=x; while :; do x=$x$x; done'],
		{},
		{ resources: { memoryLimitInBytes: 32 << 20 } },
	);
	t.match(await ended(cri, hungry), { exitCode: 137, reason: 'OOMKilled' });
	await cri.call('StopContainer', { containerId: server, timeout: 0 });
	t.equal((await cri.call('ContainerStatus', { containerId: other })).status?.state, RUNNING);
	await pod.remove();
	t.same(
		containerd.leftovers.filter((path) => path.includes(pod.id)),
		[],
	);
});

t.test('exit codes, a stop with its grace period, a kill for want of memory', async (t) => {
	const pod = await Pod.run(containerd);
	t.match(await ended(cri, await pod.start('seven', ['/bin/sh', '-c', 'exit 7'])), { exitCode: 7, reason: 'Error' });
	t.match(await ended(cri, await pod.start('zero', ['/bin/true'])), { exitCode: 0, reason: 'Completed' });
	const polite = await pod.start('polite', ['/bin/sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.1; done']);
	await cri.call('StopContainer', { containerId: polite, timeout: 20 });
	t.match(await ended(cri, polite), { exitCode: 3 });
	const stubborn = await pod.start('stubborn', ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done']);
	await cri.call('StopContainer', { containerId: stubborn, timeout: 1 });
	t.match(await ended(cri, stubborn), { exitCode: 137 });
	const hungry = await pod.start(
		'hungry',
		['/bin/sh', '-c', 'x=x; while :; do x=$x$x; done'],
		{},
		{ resources: { memoryLimitInBytes: 32 << 20 } },
	);
	t.match(await ended(cri, hungry), { exitCode: 137, reason: 'OOMKilled' });
	await pod.remove();
});

t.test('hardened and ordinary security contexts', async (t) => {
	const pod = await Pod.run(containerd);
	const namespaceOptions = { network: 0, pid: 1, ipc: 0 };
	const script = 'id -u; id -g; touch /x 2>/dev/null || echo read-only; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status';
	const hardened = await pod.start(
		'hardened',
		['/bin/sleep', '100'],
		{},
		{
			securityContext: {
				namespaceOptions,
				runAsUser: { value: 1000 },
				runAsGroup: { value: 1001 },
				readonlyRootfs: true,
				noNewPrivs: true,
				capabilities: { dropCapabilities: ['ALL'], addCapabilities: ['NET_BIND_SERVICE'] },
				seccomp: { profileType: 0 },
				maskedPaths: ['/proc/kcore'],
				readonlyPaths: ['/proc/sys'],
			},
		},
	);
	t.match((await exec(cri, hardened, script)).stdout, /^1000\n1001\nread-only\nCapEff:\t0+\nNoNewPrivs:\t1\n/);
	const ordinary = await pod.start('ordinary', ['/bin/sleep', '100'], { envs: [{ key: 'A', value: 'b' }], workingDir: '/tmp' });
	t.match(
		(await exec(cri, ordinary, `${script}; echo $A; pwd; cat /etc/hosts; cat /etc/hostname`)).stdout,
		/^0\n0\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nb\n\/tmp\n.*\npod\d+\n$/s,
	);
	await pod.remove();
});
