import { readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { findHierarchies } from '../../runtime/oci/cgroup/hierarchies.js';
import { Containerd } from './testing.js';
import { exec, Pod } from './testing-pod.js';

const containerd = new Containerd();
containerd.configure('[debug]\nlevel = "debug"\n');
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;

function shimOf(pod: Pod): number {
	const found = readdirSync('/proc').filter((name) => {
		try {
			const text = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, 'latin1') : '';
			return text.includes('shim-start.cjs') && text.includes(pod.id);
		} catch {
			return false;
		}
	});
	return Number(found[0]);
}

const groupsOf = (pid: number): string[] =>
	readFileSync(`/proc/${pid}/cgroup`, 'latin1')
		.trim()
		.split('\n')
		.map((line) => line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1));

t.test('the host kills a shim before containerd, and what is in a pod by its own score', async (t) => {
	const scoreOf = (pid: number | string): number => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1'));
	const pod = await Pod.run(containerd);
	t.equal(scoreOf(shimOf(pod)), scoreOf(containerd.pid) + 1);
	const main = await pod.start('main', ['/bin/sleep', '1000'], {}, { resources: { oomScoreAdj: 700 } });
	t.equal((await exec(cri, main, 'cat /proc/1/oom_score_adj')).stdout, '700\n');
	await pod.remove();
});

t.test("what containerd logs with -debug is told of a shim's calls", async (t) => {
	const pod = await Pod.run(containerd);
	await pod.remove();
	t.match(containerd.log, /containerd-shim-isopod.*Create took [\d.]+ ms/);
	t.match(containerd.log, /containerd-shim-isopod.*Delete took [\d.]+ ms/);
});

t.test("a shim is in containerd's control group, or in the one that the configuration names, which its pod is not", async (t) => {
	const own = `/isopod-test-${process.pid}`;
	writeFileSync(containerd.operatorFile, '');
	const plain = await Pod.run(containerd, { handler: 'configured' });
	t.same(groupsOf(shimOf(plain)), groupsOf(containerd.pid));
	await plain.remove();
	writeFileSync(containerd.operatorFile, `[shim]\ncgroup = "${own}"`);
	const pod = await Pod.run(containerd, { handler: 'configured' });
	const shim = shimOf(pod);
	const groups = groupsOf(shim).filter((group) => group.endsWith(own));
	t.ok(groups.length > 0, groupsOf(shim).join(' '));
	const { info } = await cri.call('PodSandboxStatus', { podSandboxId: pod.id, verbose: true });
	const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
	t.notOk(groupsOf(pid).some((group) => group.endsWith(own)));
	await pod.remove();
	for (let tries = 0; !Number.isNaN(shimOf(pod)) && tries < 100; tries++) await new Promise((then) => setTimeout(then, 50));
	for (const point of new Set(findHierarchies().mounts.values())) rmdirSync(join(point, own));
});
