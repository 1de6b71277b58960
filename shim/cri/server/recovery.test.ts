import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { cri as messages } from '../methods.js';
import { IMAGE, ServeBench } from './testing.js';

const { CONTAINER_EXITED, CONTAINER_RUNNING } = messages.ContainerState;
const { SANDBOX_READY } = messages.PodSandboxState;
const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());

const ROUNDS = 12;
const CLIENTS = 3;
/** A kill comes at any moment of this: a pod with a container takes about as long. */
const ROUND_MS = 900;
const namespaceOptions = { network: 0, pid: 1, ipc: 0 };
const SCRIPT = 'trap "exit 5" TERM; echo started; while true; do sleep 0.1; done';

/** What a client was told: a promise of the server's, whoever is the server later. */
interface Told {
	readonly pods: Set<string>;
	readonly stopped: Set<string>;
	readonly removed: Set<string>;
	readonly running: Set<string>;
	/** Containers that were told to have ended. */
	readonly ended: Set<string>;
	readonly gone: Set<string>;
}

/** One client: pods that come and go, until the server dies. Its calls that fail tell it nothing. */
async function live(name: string, told: Told): Promise<void> {
	const { cri } = bench;
	for (let attempt = 0; ; attempt++) {
		const config = { metadata: { name, uid: name, namespace: 'default', attempt }, linux: { securityContext: { namespaceOptions } } };
		const { podSandboxId } = await cri.call('RunPodSandbox', { config });
		told.pods.add(podSandboxId);
		const { containerId } = await cri.call('CreateContainer', {
			podSandboxId,
			config: {
				...{ metadata: { name: 'c' }, image: { image: IMAGE }, command: ['/bin/sh', '-c', SCRIPT] },
				linux: { securityContext: { namespaceOptions } },
			},
		});
		await cri.call('StartContainer', { containerId });
		told.running.add(containerId);
		if (attempt % 2 === 0) continue;
		told.running.delete(containerId);
		await cri.call('StopContainer', { containerId, timeout: 5 });
		told.ended.add(containerId);
		told.ended.delete(containerId);
		await cri.call('RemoveContainer', { containerId });
		told.gone.add(containerId);
		told.stopped.add(podSandboxId);
		await cri.call('StopPodSandbox', { podSandboxId });
		told.pods.delete(podSandboxId);
		await cri.call('RemovePodSandbox', { podSandboxId });
		told.removed.add(podSandboxId);
	}
}

t.test('a server that is killed at any moment breaks no promise and leaves nothing', async (t) => {
	const told: Told = { pods: new Set(), stopped: new Set(), removed: new Set(), running: new Set(), ended: new Set(), gone: new Set() };
	for (let round = 0; round < ROUNDS; round++) {
		const clients = Array.from({ length: CLIENTS }, (_, at) => live(`round${round}-${at}`, told).catch(() => undefined));
		await setTimeout(Math.random() * ROUND_MS);
		await bench.end('SIGKILL');
		await Promise.all(clients);
		await bench.start();
		const { cri } = bench;
		const { items } = await cri.call('ListPodSandbox', {});
		const pods = new Map(items.map(({ id, state }) => [id ?? '', state]));
		const { containers } = await cri.call('ListContainers', {});
		const states = new Map(containers.map(({ id, state }) => [id ?? '', state]));
		for (const id of told.pods) {
			t.ok(pods.has(id), 'a pod that was made is there');
			if (!told.stopped.has(id)) t.equal(pods.get(id), SANDBOX_READY, 'and runs');
		}
		for (const id of told.removed) t.notOk(pods.has(id), 'a pod that was removed is not');
		for (const id of told.running) t.equal(states.get(id), CONTAINER_RUNNING, 'a container that was started runs');
		for (const id of told.ended) t.equal(states.get(id), CONTAINER_EXITED, 'one that was stopped has ended');
		for (const id of told.gone) t.notOk(states.has(id), 'one that was removed is gone');
		// What nobody was told of is either whole or not there.
		for (const [id, state] of pods) if (state === SANDBOX_READY) await cri.call('PodSandboxStatus', { podSandboxId: id });
		for (const { id, podSandboxId } of containers) t.ok(pods.has(podSandboxId ?? ''), `the container ${id} has its pod`);
		// A third of the rounds cleans up, so that the next ones have something to find.
		if (round % 3 !== 2 && round !== ROUNDS - 1) continue;
		for (const id of pods.keys()) await cri.call('RemovePodSandbox', { podSandboxId: id });
		for (const set of Object.values(told) as Set<string>[]) set.clear();
		t.strictSame(bench.leftovers, []);
		t.strictSame(bench.processes, [], 'no sandbox process is left');
		if (!t.passing()) t.comment(bench.log.split('\n').filter((line) => /"level":[45]0/.test(line)));
	}
});

t.test('records that nobody can read are no reason to refuse all the others: their pod is taken away', async (t) => {
	const { cri } = bench;
	const config = (name: string): object => ({ metadata: { name, uid: name }, linux: { securityContext: { namespaceOptions } } });
	const { podSandboxId: whole } = await cri.call('RunPodSandbox', { config: config('whole') });
	const { podSandboxId: torn } = await cri.call('RunPodSandbox', { config: config('torn') });
	const container = { metadata: { name: 'c' }, image: { image: IMAGE }, command: ['/bin/sleep', '1000'] };
	const { containerId } = await cri.call('CreateContainer', { podSandboxId: torn, config: container });
	await cri.call('StartContainer', { containerId });
	await bench.end('SIGKILL');
	writeFileSync(join(bench.folder, 'root/pods', torn, 'record.json'), '{"id": "');
	await bench.start();
	const { items } = await bench.cri.call('ListPodSandbox', {});
	t.same(
		items.map(({ id }) => id),
		[whole],
	);
	t.equal((await bench.cri.call('PodSandboxStatus', { podSandboxId: whole })).status?.state, SANDBOX_READY);
	await t.rejects(bench.cri.call('ContainerStatus', { containerId }), { code: 5 });
	await bench.cri.call('RemovePodSandbox', { podSandboxId: whole });
	t.strictSame(bench.leftovers, []);
	t.strictSame(bench.processes, []);
});
