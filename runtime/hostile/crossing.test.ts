// A pod whose containers share a PID namespace (shareProcessNamespace) but no tree: what one may do to another by /proc/PID.

import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseConfig } from '../oci/config.js';
import { StateStore } from '../oci/state.js';
import { findHandler } from '../sandbox/handlers.js';
import type { ContainerSpec, Sandbox } from '../sandbox/sandbox.js';
import { defaultCapabilities } from '../testing/container.js';
import { makeProgramRoot } from './hostile-program.js';

const folder = mkdtempSync(join(tmpdir(), 'isopod-crossing-'));
const program = makeProgramRoot('crossing');
const outputFile = join(folder, 'out');
const podId = `crossing-${process.pid}`;

/** A container's bundle, with a tree of its own. `namespaces`: paths of those that it joins. */
function spec(id: string, args: readonly string[], isReadonly: boolean, stdio: readonly number[], namespaces: object[]): ContainerSpec {
	const root = join(folder, id);
	cpSync(program.path, root, { recursive: true });
	for (const name of ['masked', 'tree']) mkdirSync(join(root, name));
	writeFileSync(join(root, 'masked/secret'), 'secret');
	// Only the attacker has it: a way back into its own tree would find it.
	if (id === 'attacker') writeFileSync(join(root, 'own'), 'own');
	symlinkSync('/own', join(root, 'absolute'));
	const capabilities = [...defaultCapabilities, ...(id === 'attacker' ? ['CAP_SYS_ADMIN'] : [])];
	const config = {
		ociVersion: '1.2.0',
		process: {
			args,
			cwd: '/',
			env: [],
			user: { uid: 0, gid: 0 },
			capabilities: Object.fromEntries(['bounding', 'effective', 'permitted'].map((set) => [set, capabilities])),
		},
		root: { path: root, readonly: isReadonly },
		mounts: [
			{ destination: '/proc', type: 'proc', source: 'proc' },
			{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] },
			{ destination: '/tmp/read-only', type: 'tmpfs', source: 'tmpfs', options: ['ro'] },
		],
		linux: { namespaces, maskedPaths: ['/masked'] },
	};
	return { id, bundle: folder, rootfs: root, config: parseConfig(config), text: JSON.stringify(config), stdio };
}

async function runPod(sandbox: Sandbox): Promise<string[]> {
	await sandbox.start(podId);
	const output = openSync(outputFile, 'w');
	const namespaces = [
		{ type: 'network', path: `/proc/${sandbox.pid}/ns/net` },
		{ type: 'ipc', path: `/proc/${sandbox.pid}/ns/ipc` },
		{ type: 'uts', path: `/proc/${sandbox.pid}/ns/uts` },
		// The pod's first container's.
		{ type: 'pid', path: `/proc/${sandbox.pid}/ns/pid` },
		{ type: 'mount' },
	];
	await sandbox.create(spec('victim', ['/bin/prog', 'victim'], true, [-1, -1, -1], namespaces));
	await sandbox.create(spec('attacker', ['/bin/prog'], false, [-1, output, output], namespaces));
	await sandbox.start('victim');
	await sandbox.start('attacker');
	const deleted = sandbox.wait('victim', '').then(() => sandbox.delete('victim'));
	t.match(await sandbox.wait('attacker', ''), { status: 0 });
	await deleted;
	closeSync(output);
	return readFileSync(outputFile, 'utf8').trim().split('\n');
}

t.test('by /proc/PID one container reaches another as far as Linux lets a tracer', async (t) => {
	const store = new StateStore(join(folder, 'state'));
	const own = ['pid', 'ipc', 'uts', 'network', 'mount'].map((type) => ({ type }));
	const sandbox = await findHandler('isopod').make(store, spec(podId, ['/bin/prog', 'pause'], true, [-1, -1, -1], own));
	t.teardown(() => {
		program.remove();
		rmSync(folder, { recursive: true, force: true });
	});
	const lines = await runPod(sandbox).finally(() => sandbox.shutdown());
	const refused = (fdList: string): string[] => [
		...['readlink root', 'readlink cwd', 'readlink fd'].map((way) => `${way} EACCES`),
		`list fd ${fdList}`,
		...['root', 'cwd', 'fd', 'thread', 'exe', 'maps', 'mem', 'environ', 'chdir'].map((way) => `${way} EACCES`),
		'chdir back ok',
		'pidfd_getfd EPERM',
	];
	t.strictSame(lines, [
		'-- another user',
		...refused('EACCES'),
		'-- root without capabilities',
		// The folder is its own user's; what the links say is not.
		...refused('ok'),
		'-- root with the same',
		...['readlink root', 'readlink cwd', 'readlink fd', 'list fd'].map((way) => `${way} ok`),
		...['root', 'cwd', 'fd', 'thread'].map((way) => `${way} [secret]`),
		...['exe', 'maps', 'mem', 'environ', 'chdir', 'chdir back', 'pidfd_getfd'].map((way) => `${way} ok`),
		'-- inside',
		'above is the root',
		'trees are two',
		'own file there ENOENT',
		// An absolute target begins at the root of who follows it.
		'absolute symlink leads ok',
		...['write', 'mkdir', 'unlink'].map((way) => `${way} EROFS`),
		'masked ENOENT',
		'masked file EROFS',
		'read-only path EROFS',
		'link out EXDEV',
		'rename out EXDEV',
		...['mount', 'bind out', 'remount', 'move', 'propagation', 'umount', 'pivot_root'].map((way) => `${way} EINVAL`),
		'setns EPERM',
		'-- afterwards',
		...['openat root', 'openat folder', 'openat folder above', 'openat path', 'cwd'].map((way) => `${way} ENOENT`),
		'create EROFS',
		'unlinkat EROFS',
		'its own entries at most',
		'open file [secret]',
		'0 of the own lost',
		'end',
	]);
});
