import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Containerd } from './testing.js';
import { ended, exec, Pod, RUNNING } from './testing-pod.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;

/** Processes of the host, by whether `isOne` of their command line and their parent. */
function processes(isOne: (command: string, parent: number) => boolean): number[] {
	return readdirSync('/proc').flatMap((name) => {
		if (!/^\d+$/.test(name)) return [];
		try {
			const parent = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'latin1'))?.[1]);
			return isOne(readFileSync(`/proc/${name}/cmdline`, 'latin1'), parent) ? [Number(name)] : [];
		} catch {
			// It has ended.
			return [];
		}
	});
}

for (const victim of ['the shim', 'the monitor', 'qemu-system-x86_64', 'virtiofsd'])
	t.test(`kill -9 of ${victim}: the pod is reported as dead, and nothing of it is left`, async (t) => {
		const pod = await Pod.run(containerd, { handler: 'isopod-vm' });
		const neighbour = await Pod.run(containerd, { handler: 'isopod-vm' });
		const containerId = await pod.start('main', ['/bin/sleep', '1000']);
		const other = await neighbour.start('other', ['/bin/sleep', '1000']);
		const { info } = await cri.call('PodSandboxStatus', { podSandboxId: pod.id, verbose: true });
		const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
		const parts = [pid, ...processes((_, parent) => parent === pid)];
		t.equal(parts.length, 3);
		const [found] =
			victim === 'the monitor'
				? [pid]
				: processes((command, parent) =>
						victim === 'the shim'
							? ['shim-start.cjs', pod.id, 'serve'].every((part) => command.includes(part))
							: parent === pid && command.includes(victim),
					);
		process.kill(found!, 'SIGKILL');
		const { exitCode } = await ended(cri, containerId);
		t.ok([137, 255].includes(exitCode), `it is reported as dead: ${exitCode}`);
		t.equal((await cri.call('ContainerStatus', { containerId: other })).status?.state, RUNNING, 'its neighbour goes on');
		t.equal((await exec(cri, other, 'echo alive')).stdout, 'alive\n');
		await pod.remove();
		await neighbour.remove();
		// containerd clears up after a shim in its own time.
		const left = (): unknown[] => [
			...containerd.leftovers.filter((path) => path.includes(pod.id)),
			...processes((command, parent) => command.includes(pod.id) || parent === pid),
		];
		for (let tries = 0; left().length > 0 && tries < 100; tries++) await new Promise((then) => setTimeout(then, 50));
		t.same(left(), []);
	});
