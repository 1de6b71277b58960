import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ending, printed, until, Workbench } from './testing.js';

function test(name: string, body: (t: Test, bench: Workbench) => unknown): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		await body(t, bench);
	});
}

test('run ends with 137 when its container is killed or removed from outside', async (t, bench) => {
	for (const [command, stderr] of [
		[['kill', 'c1', 'KILL'], /^$/],
		[['delete', '--force', 'c1'], /the sandbox process has ended/],
	] as const) {
		bench.configure(['sh', '-c', 'echo ready; sleep 1000']);
		const run = bench.start(['run', 'c1']);
		const end = ending(run);
		await printed(run, 'ready');
		t.equal(bench.isopod(command).code, 0);
		t.match(await end, { code: 137, stderr }, command.join(' '));
		await until(() => bench.leftovers.length === 0);
	}
});

test('a working directory that is missing is made, on a root that is writable', (t, bench) => {
	const changes = { process: { cwd: '/made/for/it' }, root: { readonly: false } };
	t.match(bench.run(['pwd'], { ...changes, root: { readonly: true } }), { code: 1, stderr: /process\.cwd: "\/made\/for\/it"/ });
	t.notOk(existsSync(join(bench.rootfs, 'made')));
	t.match(bench.run(['sh', '-c', 'pwd; stat -c %a:%u:%g .'], changes), { code: 0, stdout: '/made/for/it\n755:0:0\n' });
	t.equal(statSync(join(bench.rootfs, 'made')).mode & 0o777, 0o755);
	writeFileSync(join(bench.rootfs, 'etc/file'), '');
	t.match(bench.run(['pwd'], { ...changes, process: { cwd: '/etc/file/below' } }), {
		code: 1,
		stderr: /process\.cwd: "\/etc\/file\/below"/,
	});
	t.match(bench.run(['pwd'], { process: { cwd: '/dev/below' } }), { code: 0, stdout: '/dev/below\n' }, 'a tmpfs over a read-only root');
});

test('HOME is that of /etc/passwd when the environment has none', (t, bench) => {
	const passwd = 'root:x:0:0:root:/home/of root:/bin/sh\nhomeless:x:7:7:::/bin/sh\nthree:x:3:3::/home/three:\n';
	writeFileSync(join(bench.rootfs, 'etc/passwd'), passwd);
	const home = (uid: number, ...env: string[]): string =>
		bench.run(['sh', '-c', 'echo $HOME'], { process: { user: { uid, gid: uid }, env: ['PATH=/bin', ...env] } }).stdout;
	t.equal(home(0), '/home/of root\n');
	t.equal(home(3), '/home/three\n');
	t.equal(home(7), '/\n');
	t.equal(home(8), '/\n');
	t.equal(home(0, 'HOME=/own'), '/own\n');
	bench.configure(['sleep', '1000'], { process: { env: ['PATH=/bin'] } });
	bench.leave(['run', '--detach', 'c1']);
	t.equal(bench.isopod(['exec', '--user', '3', 'c1', 'sh', '-c', 'echo $HOME']).stdout, '/home/three\n');
});

test('a create that fails after the trees were taken over says why, with mounts of each kind', (t, bench) => {
	const data = join(bench.folder, 'data');
	mkdirSync(data);
	const mounts = [
		{ destination: '/data', source: data, options: ['rbind'] },
		{ destination: '/small', type: 'tmpfs', source: 'tmpfs' },
	];
	t.match(bench.run(['/nope'], { mounts }), { code: 1, stderr: /exec: "\/nope"/ });
	const inTheWay = [...mounts, { destination: '/bin/busybox/x', source: data, options: ['bind'] }];
	t.match(bench.run(['true'], { mounts: inTheWay }), { code: 1, stderr: /\/bin\/busybox\/x/ });
	t.strictSame(bench.leftovers, []);
});

test('Ctrl-C ends the demonstration with 130, whenever it comes', async (t, bench) => {
	// Its programs never end by themselves.
	for (const name of ['bash', 'python3'])
		writeFileSync(join(bench.rootfs, 'bin', name), '#!/bin/sh\necho began; exec sleep 1000\n', { mode: 0o755 });
	const containers = (): string[] =>
		(existsSync('/run/isopod') ? readdirSync('/run/isopod') : []).filter((name) => name.startsWith('demo-'));
	for (const delayMs of [0, 20, 50, 100, 200, 400]) {
		const demo = bench.start(['demo'], { env: { ...process.env, ISOPOD_ROOTFS: bench.rootfs }, stdio: 'pipe' });
		const end = ending(demo);
		await printed(demo, '[1/4]');
		await sleep(delayMs);
		demo.kill('SIGINT');
		t.match(await end, { code: 130 }, `${delayMs} ms after its first container was asked for`);
		t.notOk(containers().some((name) => name.startsWith(`demo-${demo.pid}-`)));
	}
	const demo = bench.start(['demo'], { env: { ...process.env, ISOPOD_ROOTFS: bench.rootfs }, stdio: 'pipe' });
	const end = ending(demo);
	await printed(demo, 'began');
	demo.kill('SIGINT');
	t.match(await end, { code: 130 }, 'while the program runs');
	t.match(readFileSync('/proc/mounts', 'latin1').includes(bench.folder), false);
});
