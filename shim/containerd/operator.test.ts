import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Containerd, IMAGE, RUNTIME } from './testing.js';
import { ended, exec, Pod } from './testing-pod.js';

const containerd = new Containerd();
await containerd.start();
t.teardown(() => containerd.stop());
const { cri } = containerd;

/** What the node's operator has written for pods of the handler `configured`. */
function configure(text: string): void {
	writeFileSync(containerd.operatorFile, text);
}

const CAP_SYS_ADMIN = 21n;
const BOUND = { 'dev.isopod.bounds.posixTimers': '1000' };

t.test('annotations of ours are refused by name but for those that the configuration allows', async (t) => {
	await t.rejects(
		Pod.run(containerd, { annotations: BOUND }),
		/the annotation dev\.isopod\.bounds\.posixTimers is not allowed on this node \(runtime\.allowed_annotations\)/,
	);
	configure('[runtime]\nallowed_annotations = ["dev.isopod.vm.template"]');
	await t.rejects(Pod.run(containerd, { handler: 'configured', annotations: BOUND }), /dev\.isopod\.bounds\.posixTimers is not/);
	configure('[runtime]\nallowed_annotations = ["dev.isopod.bounds.*"]');
	const pod = await Pod.run(containerd, { handler: 'configured', annotations: { ...BOUND, 'example.org/x': 'y' } });
	t.match(await ended(cri, await pod.start('main', ['/bin/true'])), { exitCode: 0 });
	await pod.remove();
	t.same(containerd.leftovers, []);
});

t.test("ctr's option for a runtime's configuration names the file, too", async (t) => {
	const file = join(containerd.folder, 'ctr.toml');
	let count = 0;
	const run = (): ReturnType<Containerd['ctr']> =>
		containerd.ctr([
			...['run', '--rm', '--runtime', RUNTIME, '--runtime-config-path', file, '--annotation', 'dev.isopod.bounds.posixTimers=1000'],
			...[IMAGE, `configured${count++}`, '/bin/true'],
		]);
	t.match(run().stderr, /Read the configuration .*ctr\.toml/, 'a file that is not there is no empty one');
	writeFileSync(file, 'runtime.allowed_annotations = [');
	t.match(run().stderr, /ctr\.toml:1: /);
	writeFileSync(file, '');
	t.match(run().stderr, 'dev.isopod.bounds.posixTimers is not allowed');
	writeFileSync(file, 'runtime.allowed_annotations = ["dev.isopod.bounds.posixTimers"]');
	t.match(run(), { code: 0, stderr: '' });
	t.same(containerd.leftovers, []);
});

t.test('a privileged container is refused unless it is allowed, and has nothing of the host then', async (t) => {
	const privileged = { privileged: true, namespaceOptions: { network: 0, pid: 1, ipc: 0 } };
	const start = (pod: Pod): Promise<string> => pod.start('main', ['/bin/sleep', '1000'], {}, { securityContext: privileged });
	configure('');
	for (const handler of ['isopod', 'configured']) {
		const pod = await Pod.run(containerd, { handler, security: { privileged: true } });
		await t.rejects(start(pod), /a privileged container is not allowed on this node \(runtime\.allow_privileged\)/);
		await pod.remove();
	}
	configure('runtime.allow_privileged = true');
	const pod = await Pod.run(containerd, { handler: 'configured', security: { privileged: true } });
	const { stdout } = await exec(cri, await start(pod), 'grep CapBnd /proc/self/status; cat /proc/version; ls /dev');
	const [, bounding = '0'] = /^CapBnd:\t(\w+)\n.*isopod/.exec(stdout) ?? [];
	t.equal((BigInt(`0x${bounding}`) >> CAP_SYS_ADMIN) & 1n, 1n);
	t.match(stdout, /\nnull\n/);
	t.notMatch(stdout, /\n(kvm|loop0|mem|kmsg|vda|sda)\n/);
	await pod.remove();
	t.same(containerd.leftovers, []);
});

t.test("the host's namespaces are refused by the names that a pod spec has for them", async (t) => {
	for (const [name, namespaceOptions] of Object.entries({
		hostNetwork: { network: 2, pid: 1, ipc: 0 },
		hostPID: { network: 0, pid: 2, ipc: 0 },
		hostIPC: { network: 0, pid: 1, ipc: 2 },
	}))
		await t.rejects(Pod.run(containerd, { security: { namespaceOptions } }), new RegExp(`${name} is not honoured`));
	t.same(containerd.leftovers, []);
});
