import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ending, printed, until, Workbench } from './testing.js';

const VM = ['--handler', 'isopod-vm'];

/** The processes of a container's machine: children of its monitor, by what they run. */
function partOf(monitor: number, program: string): number {
	const children = readFileSync(`/proc/${monitor}/task/${monitor}/children`, 'latin1').trim().split(' ').map(Number);
	return children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(program)) ?? 0;
}

t.test('a container in a virtual machine: life, exec, streams, files', async (t) => {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	const volume = join(bench.folder, 'volume');
	mkdirSync(volume);
	bench.configure(['sleep', '1000'], {
		process: { terminal: false },
		root: { readonly: true },
		mounts: [{ destination: '/tmp', type: 'bind', source: volume, options: ['bind'] }],
	});
	t.equal(bench.leave([...VM, 'create', 'c1']), 0);
	t.equal(bench.state('c1').status, 'created');
	const { pid } = bench.state('c1');
	t.match(
		readFileSync(`/proc/${pid}/status`, 'latin1'),
		/NoNewPrivs:\t1\nSeccomp:\t2/,
		'the monitor is confined before the first instruction',
	);
	t.same(readdirSync(`/proc/${pid}/root/`), [], 'to a folder without anything');
	t.equal(bench.isopod(['start', 'c1']).code, 0);
	t.equal(bench.state('c1').status, 'running');
	t.match(bench.isopod(['exec', 'c1', 'sh', '-c', 'echo $$ >/dev/null; id -u; exit 9']), { code: 9, stdout: '0\n' });
	t.match(bench.isopod(['exec', 'c1', 'nope']), { code: 255, stderr: /executable file not found in \$PATH/ });
	const input = Buffer.alloc(5 << 20, 'abcdefghijk');
	const { stdout } = bench.isopod(['exec', 'c1', 'cat'], input);
	t.ok(Buffer.from(stdout, 'latin1').equals(input), 'megabytes go in and come back');
	bench.isopod(['exec', 'c1', 'sh', '-c', 'echo mine >/tmp/a; ln /tmp/a /tmp/b; mkdir /tmp/c']);
	t.equal(readFileSync(join(volume, 'b'), 'latin1'), 'mine\n');
	t.equal(statSync(join(volume, 'a')).uid, 0);
	t.not(bench.isopod(['exec', 'c1', 'sh', '-c', 'echo x >/etc/x']).code, 0, 'the root is read-only');
	t.not(bench.isopod(['exec', 'c1', '/bin/busybox', 'mknod', '/tmp/disk', 'b', '8', '0']).code, 0, 'no device in the shared tree');
	t.equal(bench.isopod(['exec', 'c1', 'sh', '-c', 'cd /tmp/c; ls ../../../../..']).stdout, bench.isopod(['exec', 'c1', 'ls', '/']).stdout);
	t.equal(bench.isopod(['kill', 'c1', 'KILL']).code, 0);
	await until(() => bench.state('c1').status === 'stopped');
	t.equal(bench.isopod(['delete', 'c1']).code, 0);
	t.strictSame(bench.leftovers, []);
	t.strictSame(readdirSync(volume).sort(), ['a', 'b', 'c']);
});

for (const program of ['/usr/bin/qemu-system', '/usr/lib/qemu/virtiofsd']) {
	t.test(`a machine whose ${program} is killed has ended, and nothing of it is left`, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		bench.configure(['sh', '-c', 'echo ready; sleep 1000'], { process: { terminal: false } });
		const run = bench.start([...VM, 'run', 'c1']);
		const end = ending(run);
		await printed(run, 'ready');
		const { pid } = bench.state('c1');
		const part = partOf(pid, program);
		t.ok(part > 0);
		process.kill(part, 'SIGKILL');
		t.match(await end, { code: 137, stderr: /the virtual machine has ended: (QEMU|the virtiofs daemon|the machine)/ });
		t.strictSame(bench.leftovers, []);
		t.equal(spawnSync('ps', ['-o', 'pid=', '--ppid', `${pid}`], { encoding: 'utf8' }).stdout, '');
	});
}
