import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { cri } from '../client.js';
import { type Case, NAMESPACES } from './suite.js';

type SecurityContext = cri.LinuxContainerSecurityContext.$Properties;
const ID = 'id -u; id -g; id -G';
const RUNTIME_DEFAULT = 0;
const UNCONFINED = 1;
const LOCALHOST = 2;
/** Of the capabilities that containers have by default (containerd's and Docker's). */
const DEFAULT_CAPABILITIES = '00000000a80425fb';

function secured(securityContext: SecurityContext): { linux: { securityContext: SecurityContext } } {
	return { linux: { securityContext } };
}

/** Each field of a container's security context. */
export const SECURITY_CASES: readonly Case[] = [
	{
		name: "without a user the image's is who runs, with its groups",
		async run(bench) {
			const { stdout } = await (await bench.pod()).run(ID, secured({ runAsUser: null }));
			assert.deepEqual(groupsOf(stdout), ['1000', '1000', '1000 2001 2002']);
		},
	},
	{
		name: 'run_as_user takes a number, with the groups of the user that has it',
		async run(bench) {
			const pod = await bench.pod();
			assert.deepEqual(groupsOf((await pod.run(ID, secured({ runAsUser: { value: 1001 } }))).stdout), ['1001', '1001', '1001 2001']);
			assert.deepEqual(groupsOf((await pod.run(ID, secured({ runAsUser: { value: 4444 } }))).stdout), ['4444', '0', '0']);
		},
	},
	{
		name: 'run_as_username takes a name, and none that the image has not',
		async run(bench) {
			const pod = await bench.pod();
			const changes = (runAsUsername: string): object => secured({ runAsUser: null, runAsUsername });
			assert.deepEqual(groupsOf((await pod.run(ID, changes('other'))).stdout), ['1001', '1001', '1001 2001']);
			await assert.rejects(pod.create('true', changes('nobody-here')));
		},
	},
	{
		name: 'run_as_group is the group; alone it is refused',
		async run(bench) {
			const pod = await bench.pod();
			const { stdout } = await pod.run(ID, secured({ runAsUser: { value: 1001 }, runAsGroup: { value: 3333 } }));
			assert.deepEqual(groupsOf(stdout).slice(0, 2), ['1001', '3333']);
			await assert.rejects(pod.create('true', secured({ runAsUser: null, runAsGroup: { value: 3333 } })));
		},
	},
	{
		name: 'supplemental_groups come beside those of the image',
		async run(bench) {
			const { stdout } = await (await bench.pod()).run(ID, secured({ runAsUser: { value: 1000 }, supplementalGroups: [7777] }));
			assert.deepEqual(groupsOf(stdout), ['1000', '1000', '1000 2001 2002 7777']);
		},
	},
	{
		name: 'supplemental_groups_policy Strict leaves those of the image out',
		async run(bench) {
			const changes = secured({ runAsUser: { value: 1000 }, supplementalGroups: [7777], supplementalGroupsPolicy: 1 });
			assert.deepEqual(groupsOf((await (await bench.pod()).run(ID, changes)).stdout), ['1000', '1000', '1000 7777']);
		},
	},
	{
		name: 'readonly_rootfs keeps the root from being written, mounts are as they are',
		async run(bench) {
			const { stdout } = await (await bench.pod()).run(
				'touch /x 2>/dev/null || echo read-only; touch /dev/shm/y && echo shm',
				secured({ readonlyRootfs: true }),
			);
			assert.equal(stdout, 'read-only\nshm\n');
		},
	},
	{
		name: 'capabilities are the default set; of a user other than root none are effective',
		async run(bench) {
			const pod = await bench.pod();
			const script = 'grep CapEff /proc/self/status; grep CapBnd /proc/self/status';
			assert.equal((await pod.run(script)).stdout, `CapEff:\t${DEFAULT_CAPABILITIES}\nCapBnd:\t${DEFAULT_CAPABILITIES}\n`);
			const { stdout } = await pod.run(script, secured({ runAsUser: { value: 1000 } }));
			assert.equal(stdout, `CapEff:\t0000000000000000\nCapBnd:\t${DEFAULT_CAPABILITIES}\n`);
		},
	},
	{
		name: 'capabilities are added and dropped, ALL too',
		async run(bench) {
			const pod = await bench.pod();
			const bounding = async (capabilities: object): Promise<string> =>
				(await pod.run('grep CapBnd /proc/self/status', secured({ capabilities }))).stdout.slice(8, 24);
			assert.equal(await bounding({ dropCapabilities: ['ALL'] }), '0000000000000000');
			assert.equal(await bounding({ dropCapabilities: ['ALL'], addCapabilities: ['NET_ADMIN', 'CHOWN'] }), '0000000000001001');
			assert.equal(await bounding({ addCapabilities: ['SYS_TIME'], dropCapabilities: ['KILL'] }), '00000000aa0425db');
		},
	},
	{
		name: 'add_ambient_capabilities reach a user other than root',
		async run(bench) {
			const capabilities = { addCapabilities: ['NET_BIND_SERVICE'], addAmbientCapabilities: ['NET_BIND_SERVICE'] };
			const { stdout } = await (await bench.pod()).run(
				'grep CapEff /proc/self/status; grep CapAmb /proc/self/status',
				secured({ runAsUser: { value: 1000 }, capabilities }),
			);
			assert.equal(stdout, 'CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n');
		},
	},
	{
		name: 'no_new_privs is set when it is asked for',
		async run(bench) {
			const pod = await bench.pod();
			for (const noNewPrivs of [true, false])
				assert.equal(
					(await pod.run('grep NoNewPrivs /proc/self/status', secured({ noNewPrivs }))).stdout,
					`NoNewPrivs:\t${noNewPrivs ? 1 : 0}\n`,
				);
		},
	},
	{
		name: 'masked_paths show nothing, readonly_paths are not written',
		async run(bench) {
			const { stdout } = await (await bench.pod()).run(
				'wc -c </etc/passwd; ls /tmp/folder | wc -l; echo x >/proc/sys/kernel/domainname || echo read-only',
				{
					...secured({ maskedPaths: ['/etc/passwd', '/bin/none'], readonlyPaths: ['/proc/sys'] }),
				},
			);
			assert.equal(stdout, '0\n0\nread-only\n');
		},
	},
	{
		name: 'seccomp Unconfined has no filter, RuntimeDefault has one',
		async run(bench) {
			const pod = await bench.pod();
			const mode = async (profileType: number): Promise<string> =>
				(await pod.run('grep ^Seccomp: /proc/self/status', secured({ seccomp: { profileType } }))).stdout;
			assert.equal(await mode(UNCONFINED), 'Seccomp:\t0\n');
			assert.equal(await mode(RUNTIME_DEFAULT), 'Seccomp:\t2\n');
		},
	},
	{
		name: "seccomp Localhost takes a profile of the node's",
		async run(bench) {
			const folder = join(bench.target.logs, 'profiles');
			mkdirSync(folder, { recursive: true });
			const file = join(folder, 'no-mkdir.json');
			const syscalls = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }];
			writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86_64'], syscalls }));
			const pod = await bench.pod();
			const { stderr } = await pod.run('mkdir /tmp/x', secured({ seccomp: { profileType: LOCALHOST, localhostRef: file } }));
			assert.match(stderr, /Permission denied/);
			rmSync(folder, { recursive: true });
			await assert.rejects(pod.start('true', secured({ seccomp: { profileType: LOCALHOST, localhostRef: file } })));
		},
	},
	{
		name: 'PID namespaces: one of its own, one for the pod',
		async run(bench) {
			const own = await (await bench.pod()).run('echo $$');
			assert.equal(own.stdout, '1\n');
			const namespaceOptions = { ...NAMESPACES, pid: 0 };
			const pod = await bench.ownPod({ linux: { securityContext: { namespaceOptions } } });
			await pod.start('exec sleep 555', secured({ namespaceOptions }));
			const { stdout } = await pod.run('echo $$; sleep 0.2; ps', secured({ namespaceOptions }));
			assert.notEqual(stdout.split('\n')[0], '1');
			assert.match(stdout, /sleep 555/);
		},
	},
	{
		name: 'a PID namespace of another container (TARGET)',
		async run(bench) {
			const pod = await bench.pod();
			const target = await pod.start('exec sleep 666');
			const { stdout } = await pod.run('echo $$; ps', secured({ namespaceOptions: { ...NAMESPACES, pid: 3, targetId: target } }));
			assert.notEqual(stdout.split('\n')[0], '1');
			assert.match(stdout, /1 .*sleep 666/);
		},
	},
	{
		name: 'a user namespace maps ids to others of the host',
		async run(bench) {
			const ids = [{ hostId: 200_000, containerId: 0, length: 65_536 }];
			const namespaceOptions = { ...NAMESPACES, usernsOptions: { mode: 0, uids: ids, gids: ids } };
			const pod = await bench.ownPod({ linux: { securityContext: { namespaceOptions } } });
			const { stdout } = await pod.run('cat /proc/self/uid_map; id -u', secured({ namespaceOptions }));
			const [, , length] = stdout.trim().split(/\s+/);
			assert.ok(Number(length) <= 65_536, 'not all ids of the host are there');
			assert.match(stdout, /\n0\n$/);
		},
	},
	{
		name: 'a privileged container',
		async run(bench) {
			const pod = await bench.ownPod({ linux: { securityContext: { namespaceOptions: NAMESPACES, privileged: true } } });
			const { stdout } = await pod.run('grep CapEff /proc/self/status', secured({ privileged: true }));
			assert.match(stdout, /CapEff:\t000001ff/);
		},
	},
	{
		name: "the host's network namespace",
		async run(bench) {
			const namespaceOptions = { ...NAMESPACES, network: 2 };
			const pod = await bench.ownPod({ hostname: '', linux: { securityContext: { namespaceOptions } } });
			assert.equal((await pod.run('ls /sys/class/net | grep -c ^lo$', secured({ namespaceOptions }))).stdout, '1\n');
		},
	},
];

/** Of "UID\nGID\nGROUPS\n", the groups in order. */
function groupsOf(stdout: string): string[] {
	const [uid = '', gid = '', groups = ''] = stdout.trimEnd().split('\n');
	const sorted = groups
		.split(' ')
		.map(Number)
		.sort((a, b) => a - b);
	return [uid, gid, sorted.join(' ')];
}
