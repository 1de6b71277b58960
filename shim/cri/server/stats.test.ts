import { rmdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { findHierarchies } from '../../../runtime/oci/cgroup/hierarchies.js';
import { IMAGE, ServeBench } from './testing.js';

const bench = new ServeBench();
const cgroupParent = `/isopod-stats-${process.pid}`;
await bench.start();
t.teardown(async () => {
	await bench.stop();
	// Who makes a parent removes it: kubelet, or this test.
	for (const point of new Set(findHierarchies().mounts.values())) rmdirSync(point + cgroupParent);
});

const namespaceOptions = { network: 0, pid: 1, ipc: 0 };

async function pod(name: string, linux: object = {}): Promise<string> {
	const config = {
		metadata: { name, uid: `${name}-uid`, namespace: 'default' },
		labels: { app: name },
		linux: { securityContext: { namespaceOptions }, ...linux },
	};
	return (await bench.cri.call('RunPodSandbox', { config })).podSandboxId;
}

async function container(podSandboxId: string, name: string, script: string, resources: object = {}): Promise<string> {
	const config = {
		...{ metadata: { name }, image: { image: IMAGE }, command: ['/bin/sh', '-c', script], labels: { tier: name } },
		linux: { securityContext: { namespaceOptions }, resources },
	};
	const { containerId } = await bench.cri.call('CreateContainer', { podSandboxId, config });
	await bench.cri.call('StartContainer', { containerId });
	return containerId;
}

const LIMIT = 256 << 20;

t.test('containers: CPU, memory, processes and what was written', async (t) => {
	const { cri } = bench;
	const id = await pod('stats');
	const busy = await container(id, 'busy', 'head -c 3000000 /dev/zero >/big; while true; do :; done', { memoryLimitInBytes: LIMIT });
	const idle = await container(id, 'idle', 'sleep 1000');
	await cri.call('ContainerStats', { containerId: busy });
	await setTimeout(1500);
	const { stats } = await cri.call('ContainerStats', { containerId: busy });
	t.match(stats?.attributes, { id: busy, metadata: { name: 'busy' }, labels: { tier: 'busy' } });
	t.ok(Number(stats?.cpu?.usageCoreNanoSeconds?.value) > 1e8, 'it has used the CPU');
	t.ok(Number(stats?.cpu?.usageNanoCores?.value) > 1e8, 'and does so now');
	t.ok(Number(stats?.cpu?.timestamp) > 1e18);
	const { workingSetBytes, usageBytes, availableBytes, rssBytes } = stats?.memory ?? {};
	t.ok(Number(workingSetBytes?.value) > 0 && Number(usageBytes?.value) >= Number(workingSetBytes?.value) && Number(rssBytes?.value) > 0);
	t.equal(Number(availableBytes?.value), LIMIT - Number(workingSetBytes?.value));
	for (let tries = 0; tries < 100; tries++) {
		const { stats: later } = await cri.call('ContainerStats', { containerId: busy });
		if (Number(later?.writableLayer?.usedBytes?.value) >= 3_000_000) break;
		await setTimeout(200);
	}
	const { stats: measured } = await cri.call('ContainerStats', { containerId: busy });
	t.ok(Number(measured?.writableLayer?.usedBytes?.value) >= 3_000_000);
	t.ok(Number(measured?.writableLayer?.inodesUsed?.value) >= 2);
	const { stats: all } = await cri.call('ListContainerStats', { filter: { podSandboxId: id } });
	t.same(all.map(({ attributes }) => attributes?.id).sort(), [busy, idle].sort());
	const { stats: some } = await cri.call('ListContainerStats', { filter: { labelSelector: { tier: 'idle' } } });
	t.same(
		some.map(({ attributes }) => attributes?.id),
		[idle],
	);
	const { stats: idleStats } = await cri.call('ContainerStats', { containerId: idle });
	t.equal(idleStats?.memory?.availableBytes, null, 'without a limit nobody knows what is left');
	await cri.call('StopContainer', { containerId: idle, timeout: 0 });
	const { stats: left } = await cri.call('ContainerStats', { containerId: idle });
	t.equal(left?.cpu, null);
	t.equal((await cri.call('ListContainerStats', { filter: { podSandboxId: id } })).stats.length, 1);
	await t.rejects(cri.call('ContainerStats', { containerId: 'nobody' }), { code: 5 });
});

t.test('pods: the sum of what they have, with their network', async (t) => {
	const { cri } = bench;
	const id = await pod('net');
	const web = await container(id, 'web', 'while true; do wget -q -O /dev/null http://127.0.0.1:1/; sleep 1; done');
	const { stats } = await cri.call('PodSandboxStats', { podSandboxId: id });
	t.match(stats?.attributes, { id, metadata: { name: 'net', namespace: 'default' }, labels: { app: 'net' } });
	t.equal(stats?.linux?.network?.defaultInterface?.name, 'eth0');
	t.ok(stats?.linux?.network?.defaultInterface?.rxBytes != null);
	t.same(
		stats?.linux?.containers?.map(({ attributes }) => attributes?.id),
		[web],
	);
	const own = Number(stats?.linux?.containers?.[0]?.memory?.usageBytes?.value);
	t.ok(own > 0 && Number(stats?.linux?.memory?.usageBytes?.value) > own, 'the sandbox process counts');
	t.ok(Number(stats?.linux?.process?.processCount?.value) > 1);
	const { stats: listed } = await cri.call('ListPodSandboxStats', { filter: { labelSelector: { app: 'net' } } });
	t.equal(listed.length, 1);
	await cri.call('StopPodSandbox', { podSandboxId: id });
	await t.rejects(cri.call('PodSandboxStats', { podSandboxId: id }), { code: 9 });
});

t.test('pods with a control group of their own are what that counts, and what was gone before', async (t) => {
	const { cri } = bench;
	const id = await pod('parent', { cgroupParent });
	const burner = await container(id, 'burner', 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done');
	for (let tries = 0; tries < 200 && (await cri.call('ContainerStatus', { containerId: burner })).status?.state !== 2; tries++)
		await setTimeout(50);
	await cri.call('RemoveContainer', { containerId: burner });
	const { stats } = await cri.call('PodSandboxStats', { podSandboxId: id });
	t.ok(Number(stats?.linux?.cpu?.usageCoreNanoSeconds?.value) > 1e8);
	await cri.call('UpdatePodSandboxResources', { podSandboxId: id, resources: { cpuShares: 100 }, overhead: { memoryLimitInBytes: LIMIT } });
	await t.rejects(cri.call('UpdatePodSandboxResources', { podSandboxId: 'nobody' }), { code: 5 });
});

t.test('metrics: every one has its descriptor, with as many labels', async (t) => {
	const { cri } = bench;
	const id = await pod('metrics');
	const one = await container(id, 'one', 'sleep 1000');
	const { descriptors } = await cri.call('ListMetricDescriptors', {});
	const labels = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys ?? []]));
	const { podMetrics } = await cri.call('ListPodSandboxMetrics', {});
	const own = podMetrics.find(({ podSandboxId }) => podSandboxId === id);
	const [ofContainer] = own?.containerMetrics ?? [];
	t.equal(ofContainer?.containerId, one);
	const all = [...(own?.metrics ?? []), ...(ofContainer?.metrics ?? [])];
	t.ok(all.length > 30);
	for (const { name, labelValues } of all) t.equal(labelValues?.length, labels.get(name ?? '')?.length, name ?? '');
	const cpu = ofContainer?.metrics?.find(({ name }) => name === 'container_memory_usage_bytes');
	const at = (key: string): string | undefined => cpu?.labelValues?.[labels.get('container_memory_usage_bytes')?.indexOf(key) ?? -1];
	t.same(['container', 'namespace', 'pod', 'image'].map(at), ['one', 'default', 'metrics', IMAGE]);
	t.ok(own?.metrics?.some(({ name }) => name === 'container_network_receive_bytes_total'));
	t.notOk(ofContainer?.metrics?.some(({ name }) => name === 'container_network_receive_bytes_total'));
});

t.test('lists are streamed, too', async (t) => {
	const { cri } = bench;
	const count = async <T>(stream: AsyncIterable<T>, items: (message: T) => readonly unknown[]): Promise<number> => {
		let sum = 0;
		for await (const message of stream) sum += items(message).length;
		return sum;
	};
	const { items } = await cri.call('ListPodSandbox', {});
	t.equal(await count(cri.stream('StreamPodSandboxes', {}), ({ podSandboxes }) => podSandboxes), items.length);
	const { containers } = await cri.call('ListContainers', {});
	t.equal(await count(cri.stream('StreamContainers', {}), (message) => message.containers), containers.length);
	const { stats } = await cri.call('ListContainerStats', {});
	t.equal(await count(cri.stream('StreamContainerStats', {}), ({ containerStats }) => containerStats), stats.length);
	const pods = (await cri.call('ListPodSandboxStats', {})).stats.length;
	t.equal(await count(cri.stream('StreamPodSandboxStats', {}), ({ podSandboxStats }) => podSandboxStats), pods);
	t.equal(await count(cri.stream('StreamPodSandboxMetrics', {}), ({ podSandboxMetrics }) => podSandboxMetrics), pods);
});
