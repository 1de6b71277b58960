import t from 'tap';
import { IMAGE, ServeBench } from './testing.js';

const bench = new ServeBench('runtime.allow_privileged = true\n');
await bench.start();
t.teardown(() => bench.stop());
const namespaceOptions = { network: 0, pid: 1, ipc: 0 };
const CAP_SYS_ADMIN = 21n;

function runPod(name: string, privileged: boolean): Promise<string> {
	const config = {
		metadata: { name, uid: name, namespace: 'n', attempt: 0 },
		linux: { securityContext: { privileged, namespaceOptions } },
	};
	return bench.cri.call('RunPodSandbox', { config }).then(({ podSandboxId }) => podSandboxId);
}

function create(podSandboxId: string): Promise<string> {
	const config = {
		metadata: { name: 'main' },
		image: { image: IMAGE },
		command: ['/bin/sleep', '1000'],
		linux: { securityContext: { privileged: true, namespaceOptions, maskedPaths: ['/proc/meminfo'] } },
	};
	return bench.cri.call('CreateContainer', { podSandboxId, config, sandboxConfig: {} }).then(({ containerId }) => containerId);
}

t.test('a privileged container, where the node allows it, has all rights in its sandbox and nothing of the host', async (t) => {
	const containerId = await create(await runPod('privileged', true));
	await bench.cri.call('StartContainer', { containerId });
	const cmd = ['/bin/sh', '-c', 'grep CapBnd /proc/self/status; cat /proc/version; grep -c Mem /proc/meminfo; ls /dev'];
	const stdout = Buffer.from((await bench.cri.call('ExecSync', { containerId, cmd, timeout: 20 })).stdout).toString();
	const [, bounding = '0'] = /^CapBnd:\t(\w+)\n.*isopod/.exec(stdout) ?? [];
	t.equal((BigInt(`0x${bounding}`) >> CAP_SYS_ADMIN) & 1n, 1n);
	t.match(stdout, /\n[1-9]\n/, 'no path is masked');
	t.notMatch(stdout, /\n(kvm|loop0|mem|kmsg|vda|sda)\n/);
	await t.rejects(runPod('plain', false).then(create), /is not privileged, so that no container of it can be/);
});
