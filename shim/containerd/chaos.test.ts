import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Containerd } from './testing.js';
import { ended, exec, Pod, RUNNING } from './testing-pod.js';

/** 100 by hand: CHAOS_ROUNDS=100. */
const ROUNDS = Number(process.env['CHAOS_ROUNDS'] ?? 8);
const PODS_AT_ONCE = Number(process.env['PODS_AT_ONCE'] ?? 12);

t.setTimeout(60_000 + ROUNDS * 5000);
const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;

/** Processes of the host whose command line has all of `parts`. */
function processes(...parts: readonly string[]): number[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
				return parts.every((part) => text.includes(part));
			} catch {
				return false;
			}
		})
		.map(Number);
}

/** What is killed, and what has to be true afterwards. */
const VICTIMS: readonly { readonly name: string; kill(pod: Pod): Promise<void>; readonly survives: boolean }[] = [
	{
		name: 'containerd',
		survives: true,
		kill: async () => {
			await containerd.kill();
			await containerd.start();
		},
	},
	{
		name: 'the shim',
		survives: false,
		kill: async (pod) => {
			const [shim] = processes('shim-start.cjs', pod.id, 'serve');
			process.kill(shim!, 'SIGKILL');
		},
	},
	{
		name: 'the sandbox process',
		survives: false,
		kill: async (pod) => {
			const { info } = await cri.call('PodSandboxStatus', { podSandboxId: pod.id, verbose: true });
			process.kill((JSON.parse(info['info'] ?? '{}') as { pid: number }).pid, 'SIGKILL');
		},
	},
	{
		name: 'containerd and the sandbox process',
		survives: false,
		kill: async (pod) => {
			const { info } = await cri.call('PodSandboxStatus', { podSandboxId: pod.id, verbose: true });
			await containerd.kill();
			process.kill((JSON.parse(info['info'] ?? '{}') as { pid: number }).pid, 'SIGKILL');
			await containerd.start();
		},
	},
];

for (let round = 0; round < ROUNDS; round++) {
	const { name, kill, survives } = VICTIMS[round % VICTIMS.length]!;
	t.test(`round ${round}: kill -9 of ${name}`, async (t) => {
		const pod = await Pod.run(containerd);
		const containerId = await pod.start('main', ['/bin/sleep', '1000']);
		// At any moment of its life.
		await new Promise((then) => setTimeout(then, Math.random() * 300));
		await kill(pod);
		if (survives) {
			t.equal((await cri.call('ContainerStatus', { containerId })).status?.state, RUNNING, 'it goes on');
			t.equal((await exec(cri, containerId, 'echo alive')).stdout, 'alive\n');
		} else {
			const { exitCode } = await ended(cri, containerId);
			t.ok([137, 255].includes(exitCode), `it is reported as dead: ${exitCode}`);
		}
		await pod.remove();
		// containerd clears up after a shim in its own time.
		const left = (): unknown[] => [...containerd.leftovers.filter((path) => path.includes(pod.id)), ...processes(pod.id)];
		for (let tries = 0; left().length > 0 && tries < 100; tries++) await new Promise((then) => setTimeout(then, 50));
		t.same(left(), []);
	});
}

t.test(`${PODS_AT_ONCE} pods at once`, async (t) => {
	const pods = await Promise.all(Array.from({ length: PODS_AT_ONCE }, () => Pod.run(containerd)));
	const containers = await Promise.all(pods.map((pod, i) => pod.start(`c${i}`, ['/bin/sleep', '1000'])));
	const names = await Promise.all(containers.map(async (id) => (await exec(cri, id, 'hostname')).stdout));
	t.equal(new Set(names).size, PODS_AT_ONCE, 'each is its own pod');
	await Promise.all(pods.map((pod) => pod.remove()));
	t.same(containerd.leftovers, []);
});
