import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case, NAMESPACES } from './suite.js';

/** Folders of the host in containers, and what containers of a pod share. */
export const VOLUME_CASES: readonly Case[] = [
	{
		name: 'a folder of the host is read and written, with the ids that the container has',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				writeFileSync(join(folder, 'in'), 'from the host\n');
				const mounts = [{ hostPath: folder, containerPath: '/data' }];
				const { stdout } = await (await bench.pod()).run('cat /data/in; echo out >/data/out; stat -c %u /data/in', { mounts });
				assert.equal(stdout, 'from the host\n0\n');
				assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'out\n');
				assert.equal(statSync(join(folder, 'out')).uid, 0);
			});
		},
	},
	{
		name: 'a mount that is readonly is not written',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				const mounts = [{ hostPath: folder, containerPath: '/data', readonly: true }];
				assert.equal((await (await bench.pod()).run('touch /data/x 2>/dev/null || echo refused', { mounts })).stdout, 'refused\n');
				assert.ok(!existsSync(join(folder, 'x')));
			});
		},
	},
	{
		name: 'a file of the host is mounted over one of the image, also one that the runtime makes',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				for (const name of ['one', 'hosts']) writeFileSync(join(folder, name), `${name} of the host\n`);
				const mounts = [
					{ hostPath: join(folder, 'one'), containerPath: '/etc/passwd', readonly: true },
					{ hostPath: join(folder, 'hosts'), containerPath: '/etc/hosts' },
				];
				const { stdout } = await (await bench.pod()).run('cat /etc/passwd /etc/hosts', { mounts });
				assert.equal(stdout, 'one of the host\nhosts of the host\n');
			});
		},
	},
	{
		name: 'a folder of the host that is missing is made',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				const mounts = [{ hostPath: join(folder, 'not/there'), containerPath: '/data' }];
				assert.equal((await (await bench.pod()).run('touch /data/x && echo made', { mounts })).stdout, 'made\n');
				assert.ok(existsSync(join(folder, 'not/there/x')));
			});
		},
	},
	{
		name: 'mounts lie in one another, whatever their order',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				for (const name of ['outer', 'inner']) mkdirSync(join(folder, name));
				writeFileSync(join(folder, 'inner/file'), 'inner\n');
				const mounts = [
					{ hostPath: join(folder, 'inner'), containerPath: '/data/deep' },
					{ hostPath: join(folder, 'outer'), containerPath: '/data' },
				];
				assert.equal((await (await bench.pod()).run('cat /data/deep/file; ls /data', { mounts })).stdout, 'inner\ndeep\n');
			});
		},
	},
	{
		name: 'what is mounted below a folder of the host is there, too',
		async run(bench) {
			await withMountBelow(bench, async (folder) => {
				assert.equal(await touchBelow(bench, folder, {}), 'written\n');
				assert.ok(existsSync(join(folder, 'below/x')));
			});
		},
	},
	{
		name: 'recursive_read_only holds for what is mounted below, too',
		async run(bench) {
			await withMountBelow(bench, async (folder) => {
				assert.equal(await touchBelow(bench, folder, { readonly: true, recursiveReadOnly: true }), 'refused\n');
			});
		},
	},
	{
		name: 'recursive_read_only is refused without readonly',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				const mounts = [{ hostPath: folder, containerPath: '/data', recursiveReadOnly: true }];
				await assert.rejects((await bench.pod()).create('true', { mounts }));
			});
		},
	},
	{
		name: 'a volume of a pod with a user namespace has inside the owners that it has on the host',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				writeFileSync(join(folder, 'file'), 'x');
				chownSync(join(folder, 'file'), 1234, 1235);
				const ids = [{ hostId: 200_000, containerId: 0, length: 65_536 }];
				const namespaceOptions = { ...NAMESPACES, usernsOptions: { mode: 0, uids: ids, gids: ids } };
				const pod = await bench.ownPod({ linux: { securityContext: { namespaceOptions } } });
				const mounts = [{ hostPath: folder, containerPath: '/data', uidMappings: ids, gidMappings: ids }];
				const { stdout } = await pod.run('stat -c "%u %g" /data/file; touch /data/new', {
					mounts,
					linux: { securityContext: { namespaceOptions } },
				});
				assert.equal(stdout, '1234 1235\n');
				assert.equal(statSync(join(folder, 'new')).uid, 0);
			});
		},
	},
	{
		name: 'two containers of a pod have one volume, and see what the other does at once',
		async run(bench) {
			await withFolder(bench, async (folder) => {
				const mounts = [{ hostPath: folder, containerPath: '/data' }];
				const pod = await bench.pod();
				const one = await pod.start('sleep 1000', { mounts });
				const two = await pod.start('sleep 1000', { mounts });
				await pod.exec(one, 'echo first >/data/file');
				assert.equal((await pod.exec(two, 'cat /data/file; echo second >>/data/file; rm -f /data/none; ls /data')).stdout, 'first\nfile\n');
				assert.equal((await pod.exec(one, 'cat /data/file')).stdout, 'first\nsecond\n');
			});
		},
	},
	{
		name: "/dev/shm is the pod's, another pod has another",
		async run(bench) {
			const pod = await bench.pod();
			await pod.run('echo shared >/dev/shm/note');
			assert.equal((await pod.run('cat /dev/shm/note')).stdout, 'shared\n');
			const other = await bench.ownPod();
			assert.equal((await other.run('ls /dev/shm | wc -l')).stdout, '0\n');
		},
	},
	{
		name: "a folder that only its owner may enter keeps a container's other users out",
		async run(bench) {
			await withFolder(bench, async (folder) => {
				chmodSync(folder, 0o700);
				const changes = {
					mounts: [{ hostPath: folder, containerPath: '/data' }],
					linux: { securityContext: { runAsUser: { value: 1000 } } },
				};
				assert.equal((await (await bench.pod()).run('ls /data 2>/dev/null || echo refused', changes)).stdout, 'refused\n');
			});
		},
	},
	{
		name: 'a container has files of its own, which go with it',
		async run(bench) {
			const pod = await bench.pod();
			await pod.run('echo x >/mine');
			assert.equal((await pod.run('test -e /mine || echo not-there')).stdout, 'not-there\n');
		},
	},
];

async function withFolder(bench: Bench, action: (folder: string) => Promise<void>): Promise<void> {
	const folder = mkdtempSync(join(bench.target.logs, 'volume-'));
	chmodSync(folder, 0o755);
	try {
		await action(folder);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** A folder of the host with a file system of its own at "below". */
function withMountBelow(bench: Bench, action: (folder: string) => Promise<void>): Promise<void> {
	return withFolder(bench, async (folder) => {
		mkdirSync(join(folder, 'below'));
		assert.equal(spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'below')]).status, 0);
		try {
			await action(folder);
		} finally {
			spawnSync('umount', [join(folder, 'below')]);
		}
	});
}

async function touchBelow(bench: Bench, folder: string, changes: object): Promise<string> {
	const mounts = [{ hostPath: folder, containerPath: '/data', ...changes }];
	return (await (await bench.pod()).run('touch /data/below/x 2>/dev/null && echo written || echo refused', { mounts })).stdout;
}
