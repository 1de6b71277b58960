import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeProgramRoot } from '../../runtime/hostile/hostile-program.js';
import { CAP_NAMES } from '../../runtime/oci/names.js';
import { Workbench } from './testing.js';

const VM = ['--handler', 'isopod-vm'];
const ALL = Object.fromEntries(['bounding', 'effective', 'permitted', 'inheritable'].map((set) => [set, [...CAP_NAMES]]));
const SECRET = 'SECRET of the host\n';

t.test('root of a machine, with all capabilities', async (t) => {
	const bench = new Workbench();
	const root = makeProgramRoot('vm-escapes');
	t.teardown(() => {
		bench.clean();
		root.remove();
	});
	const [volume, readonly] = ['volume', 'readonly'].map((name) => join(bench.folder, name)) as [string, string];
	for (const folder of [volume, readonly]) mkdirSync(folder);
	for (const file of ['secret', 'volume-secret', 'bundle/secret']) writeFileSync(join(bench.folder, file), SECRET);
	writeFileSync(join(readonly, 'file'), 'unchanged');
	for (const folder of ['volume', 'readonly']) mkdirSync(join(root.path, folder));
	const run = (...args: string[]): { code: number; stdout: string } => {
		bench.configure(['/bin/prog', ...args], {
			process: { terminal: false, capabilities: ALL },
			root: { path: root.path, readonly: false },
			linux: { maskedPaths: [], readonlyPaths: [] },
			mounts: [
				{ destination: '/volume', type: 'bind', source: volume, options: ['bind'] },
				{ destination: '/readonly', type: 'bind', source: readonly, options: ['bind', 'ro'] },
				{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: [] },
			],
		});
		return bench.isopod([...VM, 'run', 'c1']);
	};
	for (const attack of ['names', 'races', 'readonly', 'nodes', 'handles', 'channel'])
		t.match(run(attack), { code: 0, stdout: 'held\n' }, attack);
	t.match(run('share', 'c1.root', 'volumes.0', 'volumes.1'), { code: 0, stdout: 'held\n' }, 'share');
	for (const file of ['secret', 'volume-secret', 'bundle/secret']) t.equal(readFileSync(join(bench.folder, file), 'utf8'), SECRET);
	t.strictSame(readdirSync(readonly), ['file']);
	t.equal(readFileSync(join(readonly, 'file'), 'utf8'), 'unchanged');
	for (const name of readdirSync(volume)) t.notOk(statSync(join(volume, name), { throwIfNoEntry: false })?.isBlockDevice());
	t.strictSame(bench.leftovers, []);
});

/** What a process of the host's may still do, whoever it has become. */
function confinementOf(t: Test, pid: number): void {
	const status = readFileSync(`/proc/${pid}/status`, 'latin1');
	const name = /^Name:\t(.*)/m.exec(status)![1]!;
	t.match(status, /^NoNewPrivs:\t1$/m, `${name} gains no privileges`);
	t.match(status, /^Seccomp:\t2$/m, `${name} has a list of calls`);
	t.notMatch(status, /^Uid:\t0\t/m, `${name} is nobody on the host`);
	for (const namespace of ['user', 'mnt', 'net', 'ipc', 'uts', 'pid'])
		t.not(readlinkSync(`/proc/${pid}/ns/${namespace}`), readlinkSync(`/proc/self/ns/${namespace}`), `${name}: ${namespace}`);
	t.notMatch(readFileSync(`/proc/${pid}/net/dev`, 'latin1'), /^ *(?!lo:|isotap)\w+:/m, `${name} has no network device`);
	for (const fd of readdirSync(`/proc/${pid}/fd`)) {
		const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
		t.match(
			target,
			/^(socket:|pipe:|anon_inode:|\/memfd:|\/$|\/share|\/dev\/(null|net\/tun|kvm)|\/proc\/|.*sandbox\.log|\/dev\/zero)/,
			`${name} has ${target} open`,
		);
	}
}

t.test('the parts of a machine have nothing of the host', (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	bench.configure(['sleep', '1000'], { process: { terminal: false }, root: { readonly: true } });
	t.equal(bench.leave([...VM, 'create', 'c1']), 0);
	t.equal(bench.isopod(['start', 'c1']).code, 0);
	const { pid } = bench.state('c1');
	const parts = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number);
	t.equal(parts.length, 2);
	for (const part of parts) {
		confinementOf(t, part);
		// The daemon's is the share; QEMU's has what it executes and boots.
		const files = readdirSync(`/proc/${part}/root`).filter((name) => !name.startsWith('c1.'));
		for (const name of files)
			t.ok(['dev', 'guest', 'initramfs', 'initramfs.template', 'lib', 'lib64', 'proc', 'usr', 'vmlinux'].includes(name), name);
	}
	t.end();
});

/** What a guest finds of QEMU's devices: each is one that a hostile guest may talk to. */
const SURFACE = {
	virtio: { 3: 'console', 5: 'balloon', 26: 'file system' },
	// The host bridge of QEMU's generic PCI Express, its root port, and the share.
	pci: ['0x1b36:0x0008', '0x1b36:0x000c', '0x1af4:0x105a'],
} as const;

t.test('the devices of a machine are those that it needs, and without a network it has none', (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	const script = [
		'cat /sys/bus/virtio/devices/*/device',
		'for i in /sys/bus/pci/devices/*; do echo $(cat $i/vendor):$(cat $i/device); done',
		'ls /sys/class/net',
		'ls /sys/block',
	].join('; echo; ');
	bench.configure(['sh', '-c', script], { process: { terminal: false, capabilities: ALL }, root: { readonly: true } });
	const { stdout } = bench.isopod([...VM, 'run', 'c1']);
	const [virtio = '', pci = '', network = '', block = ''] = stdout.split('\n\n').map((text) => text.trim());
	t.strictSame(
		virtio
			.split('\n')
			.map(Number)
			.sort((a, b) => a - b),
		Object.keys(SURFACE.virtio).map(Number),
	);
	t.strictSame(pci.split('\n').sort(), [...SURFACE.pci].sort());
	t.equal(network, 'lo');
	t.equal(block, '');
	t.end();
});
