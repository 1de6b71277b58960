import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cri as messages } from '../methods.js';
import { IMAGE, ServeBench } from './testing.js';

const { RuntimeDefault, Unconfined, Localhost } = messages.SecurityProfile.ProfileType;
const bench = new ServeBench();
await bench.start();
t.teardown(() => bench.stop());

const namespaceOptions = { network: 0, pid: 1, ipc: 0 };
const { podSandboxId } = await bench.cri.call('RunPodSandbox', {
	config: { metadata: { name: 'security', uid: 'security' }, linux: { securityContext: { namespaceOptions } } },
});
let count = 0;

/** What a script prints in a container with a security context. */
async function run(securityContext: object, script: string): Promise<string> {
	const { cri } = bench;
	const config = {
		...{ metadata: { name: `c${count++}` }, image: { image: IMAGE }, command: ['/bin/sleep', '1000'] },
		linux: { resources: { oomScoreAdj: 500 }, securityContext: { namespaceOptions, ...securityContext } },
	};
	const { containerId } = await cri.call('CreateContainer', { podSandboxId, config });
	await cri.call('StartContainer', { containerId });
	const { stdout, stderr } = await cri.call('ExecSync', { containerId, cmd: ['/bin/sh', '-c', script], timeout: 10 });
	await cri.call('RemoveContainer', { containerId });
	return `${Buffer.from(stdout).toString()}${Buffer.from(stderr).toString()}`.trim();
}

t.test('seccomp profiles', async (t) => {
	const mode = 'grep Seccomp: /proc/self/status';
	t.match(await run({}, mode), /0$/);
	t.match(await run({ seccomp: { profileType: Unconfined } }, mode), /0$/);
	t.match(await run({ seccomp: { profileType: RuntimeDefault } }, `${mode}; mkdir /made && echo made`), /2\nmade$/);
	const file = join(bench.folder, 'profile.json');
	const syscalls = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 122 }];
	writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }));
	t.match(await run({ seccomp: { profileType: Localhost, localhostRef: file } }, `${mode}; mkdir /made`), /2\nmkdir: .*quota/i);
	await t.rejects(run({ seccomp: { profileType: Localhost, localhostRef: '/none' } }, 'true'), { code: 3, details: /\/none/ });
});

t.test('users and groups', async (t) => {
	const groups = 'id -u; id -g; grep Groups: /proc/self/status';
	t.match(
		await run({ runAsUser: { value: 1000 }, runAsGroup: { value: 2000 }, supplementalGroups: [3000, 4000] }, groups),
		/^1000\n2000\nGroups:.*3000 4000/,
	);
	t.match(await run({ runAsUser: { value: 7 } }, groups), /^7\n0\n/, 'a user that the image has not');
	await t.rejects(run({ runAsUsername: 'nobody-at-all' }, 'true'), { code: 3, details: /nobody-at-all/ });
	await t.rejects(run({ runAsGroup: { value: 1 } }, 'true'), { code: 3, details: /runAsGroup/ });
});

t.test('capabilities and no_new_privs', async (t) => {
	const bounding = 'grep CapBnd: /proc/self/status';
	t.match(await run({}, bounding), /00000000a80425fb$/);
	t.match(await run({ capabilities: { dropCapabilities: ['ALL'], addCapabilities: ['NET_ADMIN'] } }, bounding), /0000000000001000$/);
	t.match(await run({ capabilities: { dropCapabilities: ['CAP_CHOWN'] } }, bounding), /00000000a80425fa$/);
	await t.rejects(run({ capabilities: { addCapabilities: ['FLY'] } }, 'true'), { code: 3, details: /CAP_FLY/ });
	t.match(await run({ noNewPrivs: true }, 'grep NoNewPrivs: /proc/self/status'), /1$/);
	t.match(await run({ noNewPrivs: false }, 'grep NoNewPrivs: /proc/self/status'), /0$/);
});

t.test('paths: a root that is read-only, masked and read-only ones', async (t) => {
	t.match(await run({ readonlyRootfs: true }, 'touch /file; touch /tmp/file'), /Read-only file system/);
	t.match(await run({ maskedPaths: ['/proc/meminfo', '/etc/hosts'] }, 'cat /proc/meminfo /etc/hosts | wc -c'), /^0$/);
	t.match(await run({ readonlyPaths: ['/tmp'] }, 'touch /tmp/file'), /Read-only file system/);
});

t.test('the score by which the host kills', async (t) => {
	t.equal(await run({}, 'cat /proc/self/oom_score_adj'), '500');
});

t.test('what is not given is refused by name', async (t) => {
	await t.rejects(run({ privileged: true }, 'true'), { code: 3, details: /privileged/ });
	await t.rejects(run({ namespaceOptions: { network: 2 } }, 'true'), { code: 3, details: /hostNetwork/ });
	await t.rejects(run({ apparmor: { profileType: Localhost, localhostRef: 'mine' } }, 'true'), { code: 3, details: /AppArmor.*mine/ });
});
