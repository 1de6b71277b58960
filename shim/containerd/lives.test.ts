import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Containerd } from './testing.js';
import { ended, exec, Pod } from './testing-pod.js';

/** 500 by hand: POD_LIVES=500. */
const LIVES = Number(process.env['POD_LIVES'] ?? 16);
/** What a process may grow by in the second half of all lives: heaps breathe. */
const GROWTH_BYTES = 12 << 20;

t.setTimeout(60_000 + LIVES * 5000);
const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;

interface Use {
	readonly descriptors: number;
	readonly bytes: number;
	readonly threads: number;
}

function useOf(pid: number): Use {
	const status = readFileSync(`/proc/${pid}/status`, 'latin1');
	const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
	return { descriptors: readdirSync(`/proc/${pid}/fd`).length, bytes: field('VmRSS') << 10, threads: field('Threads') };
}

function processWith(...parts: readonly string[]): number {
	const found = readdirSync('/proc').filter((name) => {
		try {
			const text = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, 'latin1') : '';
			return parts.every((part) => text.includes(part));
		} catch {
			return false;
		}
	});
	if (found.length !== 1) throw new Error(`${parts.join(' ')}: ${found.length} processes`);
	return Number(found[0]);
}

/** A pod of its own, a container and a command in one that stays, each from start to end. */
async function live(lasting: Pod, main: string, count: number): Promise<void> {
	const pod = await Pod.run(containerd);
	const { stdout } = await exec(cri, await pod.start('main', ['/bin/sleep', '1000']), 'echo inside');
	if (stdout !== 'inside\n') throw new Error(`it said ${stdout}`);
	await pod.remove();
	const containerId = await lasting.start(`short${count}`, ['/bin/true']);
	await ended(cri, containerId);
	await cri.call('RemoveContainer', { containerId });
	await exec(cri, main, 'true');
}

t.test(`${LIVES} lives of pods leave nothing in the processes that stay`, async (t) => {
	const lasting = await Pod.run(containerd);
	const main = await lasting.start('main', ['/bin/sleep', '10000']);
	const { info } = await cri.call('PodSandboxStatus', { podSandboxId: lasting.id, verbose: true });
	const processes = {
		containerd: containerd.pid,
		shim: processWith('shim-start.cjs', lasting.id, 'serve'),
		sandbox: (JSON.parse(info['info'] ?? '{}') as { pid: number }).pid,
	};
	const uses = (): Record<string, Use> => Object.fromEntries(Object.entries(processes).map(([name, pid]) => [name, useOf(pid)]));
	let half: Record<string, Use> = {};
	for (let count = 0; count < LIVES; count++) {
		if (count === LIVES >> 1) half = uses();
		if (count % 50 === 0) t.comment(`${count}: ${JSON.stringify(uses())}`);
		await live(lasting, main, count);
	}
	const end = uses();
	t.comment(`${LIVES}: ${JSON.stringify(end)}`);
	for (const [name, { descriptors, bytes, threads }] of Object.entries(end)) {
		// Some are open for a moment.
		t.ok(descriptors <= half[name]!.descriptors + 4, `descriptors of ${name}: ${half[name]!.descriptors}, then ${descriptors}`);
		t.ok(bytes <= half[name]!.bytes + GROWTH_BYTES, `memory of ${name}: ${half[name]!.bytes >> 10} KiB, then ${bytes >> 10} KiB`);
		t.ok(threads <= half[name]!.threads + 4, `threads of ${name}: ${half[name]!.threads}, then ${threads}`);
	}
	await lasting.remove();
	t.same(containerd.leftovers, []);
});
