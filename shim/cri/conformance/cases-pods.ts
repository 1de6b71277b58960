import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { Case } from './suite.js';

const NOT_FOUND = { code: 5 };
const READY = 0;
const NOT_READY = 1;

/** Pod sandboxes, and what the runtime says of itself. */
export const POD_CASES: readonly Case[] = [
	{
		name: 'Version names the API and the runtime',
		async run({ cri }) {
			const { runtimeApiVersion, runtimeName, runtimeVersion } = await cri.call('Version', {});
			assert.equal(runtimeApiVersion, 'v1');
			assert.ok(runtimeName.length > 0 && runtimeVersion.length > 0);
		},
	},
	{
		name: 'Status says that runtime and network are ready',
		async run({ cri }) {
			const { status, info } = await cri.call('Status', { verbose: true });
			for (const wanted of ['RuntimeReady', 'NetworkReady'])
				assert.equal(status?.conditions?.find(({ type }) => type === wanted)?.status, true, wanted);
			assert.ok(Object.keys(info).length > 0, 'verbose has info');
		},
	},
	{
		name: 'Status lists the handlers',
		async run({ cri, target }) {
			const { runtimeHandlers } = await cri.call('Status', {});
			assert.ok(runtimeHandlers.some(({ name }) => name === target.handler));
		},
	},
	{
		name: 'RuntimeConfig names the cgroup driver',
		async run({ cri }) {
			assert.ok([0, 1].includes((await cri.call('RuntimeConfig', {})).linux?.cgroupDriver ?? -1));
		},
	},
	{
		name: 'a handler that there is none of is refused',
		async run({ cri }) {
			const config = { metadata: { name: 'n', uid: 'u', namespace: 'x', attempt: 0 } };
			await assert.rejects(cri.call('RunPodSandbox', { config, runtimeHandler: 'no-such-handler' }), /no-such-handler/);
		},
	},
	{
		name: 'PodSandboxStatus has what the pod was made with, its address and its handler',
		async run(bench) {
			const before = Date.now() * 1e6;
			const pod = await bench.ownPod({ labels: { a: 'b' }, annotations: { c: 'd' } });
			const { status } = await bench.cri.call('PodSandboxStatus', { podSandboxId: pod.id });
			assert.equal(status?.id, pod.id);
			const { name, uid, namespace } = status?.metadata ?? {};
			const { metadata } = pod.config;
			assert.deepEqual([name, uid, namespace], [metadata?.name, metadata?.uid, metadata?.namespace]);
			assert.equal(status?.state ?? 0, READY);
			assert.deepEqual(status?.labels, { a: 'b' });
			assert.deepEqual(status?.annotations, { c: 'd' });
			assert.ok(Number(status?.createdAt) >= before - 1e9 && Number(status?.createdAt) <= Date.now() * 1e6);
			assert.match(status?.network?.ip ?? '', /^\d+\.\d+\.\d+\.\d+$/);
			assert.equal(status?.runtimeHandler, bench.target.handler);
			assert.equal(status?.linux?.namespaces?.options?.pid, 1);
		},
	},
	{
		name: 'ListPodSandbox filters by id, state and labels',
		async run(bench) {
			const one = await bench.ownPod({ labels: { app: 'one', tier: 'x' } });
			const two = await bench.ownPod({ labels: { app: 'two', tier: 'x' } });
			await bench.cri.call('StopPodSandbox', { podSandboxId: two.id });
			const list = async (filter: object): Promise<string[]> =>
				(await bench.cri.call('ListPodSandbox', { filter })).items.map(({ id }) => id ?? '').sort();
			assert.deepEqual(await list({ id: one.id }), [one.id]);
			assert.deepEqual(await list({ labelSelector: { tier: 'x' } }), [one.id, two.id].sort());
			assert.deepEqual(await list({ labelSelector: { tier: 'x' }, state: { state: NOT_READY } }), [two.id]);
			assert.deepEqual(await list({ labelSelector: { tier: 'x', app: 'one' }, state: { state: READY } }), [one.id]);
			assert.deepEqual(await list({ labelSelector: { app: 'none' } }), []);
			assert.ok((await list({})).includes(one.id));
		},
	},
	{
		name: 'StopPodSandbox and RemovePodSandbox are idempotent',
		async run(bench) {
			const pod = await bench.ownPod();
			for (let times = 0; times < 2; times++) await bench.cri.call('StopPodSandbox', { podSandboxId: pod.id });
			assert.equal((await bench.cri.call('PodSandboxStatus', { podSandboxId: pod.id })).status?.state, NOT_READY);
			for (let times = 0; times < 2; times++) await bench.cri.call('RemovePodSandbox', { podSandboxId: pod.id });
			await assert.rejects(bench.cri.call('PodSandboxStatus', { podSandboxId: pod.id }), NOT_FOUND);
		},
	},
	{
		name: 'StopPodSandbox of a pod that was removed is no failure',
		async run(bench) {
			const pod = await bench.ownPod();
			await bench.cri.call('RemovePodSandbox', { podSandboxId: pod.id });
			await bench.cri.call('StopPodSandbox', { podSandboxId: pod.id });
		},
	},
	{
		name: 'StopPodSandbox kills the containers, RemovePodSandbox removes them',
		async run(bench) {
			const pod = await bench.ownPod();
			const id = await pod.start('sleep 1000');
			await bench.cri.call('StopPodSandbox', { podSandboxId: pod.id });
			assert.equal((await pod.status(id)).state, 2);
			await bench.cri.call('RemovePodSandbox', { podSandboxId: pod.id });
			await assert.rejects(pod.status(id), NOT_FOUND);
		},
	},
	{
		name: 'the name of a pod that is there is taken',
		async run(bench) {
			const pod = await bench.ownPod();
			await assert.rejects(bench.cri.call('RunPodSandbox', { config: pod.config, runtimeHandler: bench.target.handler }));
		},
	},
	{
		name: 'a container is not made in a pod that was stopped',
		async run(bench) {
			const pod = await bench.ownPod();
			await bench.cri.call('StopPodSandbox', { podSandboxId: pod.id });
			await assert.rejects(pod.create('true'));
		},
	},
	{
		name: 'the hostname and the DNS configuration are what the pod asks for',
		async run(bench) {
			const dnsConfig = { servers: ['10.9.8.7', '10.9.8.6'], searches: ['one.example', 'two.example'], options: ['ndots:3'] };
			const pod = await bench.ownPod({ hostname: 'a-name', dnsConfig });
			const { stdout } = await pod.run('hostname; cat /etc/hostname; cat /etc/resolv.conf');
			const [host, file, ...lines] = stdout.trim().split('\n');
			assert.deepEqual([host, file], ['a-name', 'a-name']);
			assert.deepEqual(lines.sort(), ['nameserver 10.9.8.6', 'nameserver 10.9.8.7', 'options ndots:3', 'search one.example two.example']);
		},
	},
	{
		name: 'containers of a pod share localhost; pods and the host reach each other by address',
		async run(bench) {
			const pod = await bench.pod();
			await pod.start('while true; do echo answer | nc -l -p 7070; done');
			const other = await pod.start('sleep 1000');
			const { status } = await bench.cri.call('PodSandboxStatus', { podSandboxId: pod.id });
			const ip = status?.network?.ip ?? '';
			const tries = 'for i in 1 2 3 4 5 6 7 8 9; do nc';
			assert.equal((await pod.exec(other, `${tries} 127.0.0.1 7070 && break; sleep 0.2; done`)).stdout, 'answer\n');
			let answer = '';
			// Between two connections nobody listens.
			for (let tries = 0; tries < 10 && answer !== 'answer\n'; tries++) {
				answer = await ask(ip, 7070);
				await new Promise((then) => setTimeout(then, 100));
			}
			assert.equal(answer, 'answer\n');
			const stranger = await bench.ownPod();
			const id = await stranger.start('sleep 1000');
			assert.equal((await stranger.exec(id, `${tries} ${ip} 7070 && break; sleep 0.2; done`)).stdout, 'answer\n');
			assert.notEqual((await stranger.exec(id, 'nc 127.0.0.1 7070')).code, 0);
		},
	},
	{
		name: 'sysctls of the network namespace are set',
		async run(bench) {
			const pod = await bench.ownPod({
				linux: {
					securityContext: { namespaceOptions: { network: 0, pid: 1, ipc: 0 } },
					sysctls: { 'net.ipv4.ip_unprivileged_port_start': '77', 'net.ipv4.ip_default_ttl': '33' },
				},
			});
			const { stdout } = await pod.run('cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ip_default_ttl');
			assert.equal(stdout, '77\n33\n');
		},
	},
	{
		name: 'GetContainerEvents tells of a life in order',
		async run(bench) {
			const stop = new AbortController();
			let failure: unknown = null;
			const events: { id: string; type: number }[] = [];
			const listening = (async () => {
				for await (const { containerId, containerEventType } of bench.cri.stream('GetContainerEvents', {}, stop.signal))
					events.push({ id: containerId, type: containerEventType });
			})().catch((error: unknown) => {
				failure = error;
			});
			try {
				await new Promise((then) => setTimeout(then, 200));
				const pod = await bench.pod();
				const { id } = await pod.run('true');
				await bench.cri.call('RemoveContainer', { containerId: id });
				await new Promise((then) => setTimeout(then, 300));
				assert.deepEqual(
					events.filter((event) => event.id === id).map(({ type }) => type),
					[0, 1, 2, 3],
				);
			} finally {
				stop.abort();
				await listening;
			}
			assert.equal(failure, null);
		},
	},
	{
		name: 'PodSandboxStats has CPU, memory and network',
		async run(bench) {
			const pod = await bench.ownPod({ linux: { cgroupParent: '/isopod-conformance' } });
			await pod.start('sleep 1000');
			const { stats } = await bench.cri.call('PodSandboxStats', { podSandboxId: pod.id });
			assert.ok(Number(stats?.linux?.cpu?.usageCoreNanoSeconds?.value) > 0, 'cpu');
			assert.ok(Number(stats?.linux?.memory?.workingSetBytes?.value) > 0, 'memory');
			assert.equal(stats?.linux?.network?.defaultInterface?.name, 'eth0');
		},
	},
];

function ask(host: string, port: number): Promise<string> {
	return new Promise((resolve) => {
		let text = '';
		const socket = connect({ host, port, timeout: 5000 });
		socket.on('data', (bytes) => {
			text += String(bytes);
		});
		socket.on('end', () => resolve(text));
		socket.on('error', (error) => resolve(error.message));
		socket.on('timeout', () => resolve('nobody answered'));
	});
}
