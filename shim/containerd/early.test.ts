import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Containerd } from './testing.js';
import { exec, Pod } from './testing-pod.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;

const commandLine = (pid: string): string => {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
	} catch {
		return '';
	}
};

t.test("a pod's sandbox process is the one that was started beside its shim, and the only one", async (t) => {
	const pod = await Pod.run(containerd);
	const { info } = await cri.call('PodSandboxStatus', { podSandboxId: pod.id, verbose: true });
	const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
	const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
	const shim = pids.find((one) => commandLine(one).includes(`shim-start.cjs`) && commandLine(one).includes(pod.id));
	const parentOf = (one: string): string => {
		try {
			return readFileSync(`/proc/${one}/stat`, 'latin1').split(') ').at(-1)!.split(' ')[1]!;
		} catch {
			return '';
		}
	};
	const children = pids.filter((one) => parentOf(one) === shim);
	t.same(children.map(Number), [pid]);
	// It entered the namespace that containerd had made: the address is there.
	const main = await pod.start('main', ['/bin/sleep', '1000']);
	t.match((await exec(cri, main, 'cat /proc/net/fib_trie')).stdout, await pod.ip());
	await pod.remove();
	t.same(containerd.leftovers, []);
});
