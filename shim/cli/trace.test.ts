import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { SandboxReport } from '../../runtime/sandbox/report.js';
import { ending, printed, until, Workbench } from './testing.js';

function test(name: string, body: (t: Test, bench: Workbench) => unknown): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		await body(t, bench);
	});
}

test('debug shows tasks, descriptors, mounts, queues, counts and memory, and stops nothing', async (t, bench) => {
	bench.configure(['sh', '-c', 'exec 7</etc/passwd; sleep 1000 & echo ready; read line; echo "$line"']);
	const run = bench.start(['run', 'c1']);
	const end = ending(run);
	await printed(run, 'ready');
	const report = (): SandboxReport => JSON.parse(bench.isopod(['debug', '--format', 'json', 'c1']).stdout) as SandboxReport;
	await until(() => report().tasks.some(({ pid, state }) => pid === 1 && state === 'blocked'));
	const { tasks, descriptors, mounts, queues, calls, memory } = report();
	const shell = tasks.find(({ pid }) => pid === 1)!;
	t.match(shell, { tid: 1, name: 'sh', state: 'blocked', call: /^(read\(0, 0x[0-9a-f]+, \d+\)|poll\(0x[0-9a-f]+, 1, -1\))$/ });
	t.ok(shell.blockedMs! >= 0 && shell.queues >= 1 && shell.outsidePid > 1);
	t.match(
		tasks.find(({ name }) => name === 'sleep'),
		{ blockedMs: null },
	);
	t.match(
		descriptors.find(({ pid, fd }) => pid === 1 && fd === 7),
		{ target: '/etc/passwd', access: 'r--' },
	);
	t.ok(descriptors.find(({ pid, fd }) => pid === 1 && fd === 0)!.waiters >= 1);
	t.match(mounts[0], { place: '/', isReadOnly: true });
	t.ok(mounts.some(({ place, type }) => place === '/proc' && type === 'proc'));
	t.ok(queues.processes >= 2 && queues.threads >= 2);
	t.ok(calls.some(({ name, count }) => name === 'execve' && count >= 1));
	t.ok(memory.residentBytes > 1e6 && memory.heapUsedBytes > 1e6);
	const table = bench.isopod(['debug', 'c1']);
	t.equal(table.code, 0);
	for (const wanted of [
		/^Tasks\nPID +TID/,
		/\n1 +1 +\d+ +sh +blocked/,
		/\n1 +7 +r-- .*\/etc\/passwd\n/,
		/\nMounts\n/,
		/\n\d+ +execve\n/,
		/RESIDENT/,
	])
		t.match(table.stdout, wanted);
	run.stdin?.write('through\n');
	t.match(await end, { code: 0, stdout: 'ready\nthrough\n' });
	t.match(bench.isopod(['debug', 'c1']), { code: 1, stderr: /container does not exist/ });
});

test('debug of a container with more than a report holds tells how many there are', async (t, bench) => {
	const open =
		'i=10; while [ $i -lt 250 ]; do eval "exec $i</etc/passwd"; i=$((i+1)); done; n=0; while [ $n -lt 10 ]; do sleep 1000 & n=$((n+1)); done';
	bench.configure(['sh', '-c', `${open}; echo ready; sleep 1000`]);
	const run = bench.start(['run', 'c1']);
	await printed(run, 'ready');
	const { descriptors, descriptorCount } = JSON.parse(bench.isopod(['debug', '--format', 'json', 'c1']).stdout) as SandboxReport;
	t.ok(descriptorCount > 2000);
	t.ok(descriptors.length > 0 && descriptors.length < descriptorCount);
	t.match(bench.isopod(['debug', 'c1']).stdout, /\nDescriptors \(\d+ of \d+\)\n/);
});

test('run --trace writes the calls of a program with arguments, results and times', (t, bench) => {
	bench.configure(['sh', '-c', 'cat /etc/passwd /etc/nope; ls "/t\n\x1b[31m"; mkdir /tmp/\u00fc; exit 3']);
	t.match(bench.isopod(['run', '--trace', 'calls', 'c1']), { code: 3 });
	const text = readFileSync(join(bench.bundle, 'calls'), 'latin1');
	for (const wanted of [
		/^\[pid 1\] execve\("\/bin\/sh", 0x[0-9a-f]+, 0x[0-9a-f]+\) = 0 <\d+\.\d{6}>$/m,
		/^\[pid 1\] (v?fork|clone)\(.*\) = 2 <\d+\.\d{6}>$/m,
		/^\[pid \d+\] open(at)?\((AT_FDCWD, )?"\/etc\/passwd", O_RDONLY(\|O_\w+)*(, 0\d*)?\) = 3 <\d+\.\d{6}>$/m,
		/"\/etc\/nope", O_RDONLY.* = -1 ENOENT </m,
		/"\/t\\n\\x1b\[31m"/,
		/mkdir\("\/tmp\/\\xc3\\xbc", 0777\) = /,
	])
		t.match(text, wanted);
	t.notMatch(text, /[^\n -~]/, 'nothing that steers a terminal');
	for (const line of text.trim().split('\n')) t.match(line, /^\[pid \d+\] \w*\(?.* = (\?|0x[0-9a-f]+|-?\d+( \w+)?) <\d+\.\d{6}>$/);
	t.match(bench.isopod(['run', '--trace', '/no/such/folder/file', 'c1']), { code: 1, stderr: /Open the file for the trace.*ENOENT/ });
	t.match(bench.isopod(['run', '--detach', '--trace', 'calls', 'c1']), { code: 1, stderr: /--trace/ });
	t.strictSame(bench.leftovers, []);
});

test('trace shows a running container, filtered by call, path and process; off again, it costs and shows nothing', async (t, bench) => {
	bench.configure(['sh', '-c', 'while read line; do cat /etc/passwd > /dev/null; mkdir "/tmp/$line"; echo "$line"; done'], {
		mounts: [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }],
	});
	const run = bench.start(['run', 'c1']);
	const end = ending(run);
	const step = async (word: string): Promise<void> => {
		const done = printed(run, word);
		run.stdin?.write(`${word}\n`);
		await done;
	};
	await step('first');
	// A debug has a connection, too, each time.
	const connections = (): number => (JSON.parse(bench.isopod(['debug', '-f', 'json', 'c1']).stdout) as SandboxReport).queues.endpoints;
	const before = connections();
	const filters: readonly (readonly [string[], RegExp])[] = [
		[['-e', 'mkdir,mkdirat'], /^\[pid \d+\] mkdir/],
		[['-P', '/tmp/second'], /"\/tmp\/second/],
		[['-p', '1'], /^\[pid 1\] /],
		[['-e', 'mkdir', '-P', '/nowhere'], /^never$/],
	];
	const all = bench.start(['trace', '-o', 'all', 'c1']);
	const ends = filters.map(([args]) => ending(bench.start(['trace', ...args, 'c1'])));
	await until(() => connections() === before + filters.length + 1);
	await step('second');
	run.stdin?.end();
	t.equal((await end).code, 0);
	for (const [i, [args, wanted]] of filters.entries()) {
		const { code, stdout } = await ends[i]!;
		t.equal(code, 0, args.join(' '));
		const lines = stdout.split('\n').filter((line) => line !== '');
		for (const line of lines) t.match(line, wanted);
		t.equal(lines.length > 0, i < 3, args.join(' '));
	}
	await until(() => all.exitCode !== null);
	t.match(readText(join(bench.bundle, 'all')), /mkdir\("\/tmp\/second", 0777\) = 0 </);
	t.match(bench.isopod(['trace', '--help']).stdout, /native/);
	t.match(bench.isopod(['trace', 'c1']), { code: 1, stderr: /container does not exist/ });
});

test('a reader of a trace that stops reading loses lines and is told how many; the container goes on', async (t, bench) => {
	bench.configure(['sh', '-c', 'i=0; while [ $i -lt 40000 ]; do test -e /etc/passwd$i; i=$((i+1)); done; echo done; sleep 1000']);
	const run = bench.start(['create', 'c1'], { stdio: ['pipe', 'pipe', 'pipe'] });
	await until(() => run.exitCode !== null);
	const report = (): SandboxReport => JSON.parse(bench.isopod(['debug', '-f', 'json', 'c1']).stdout) as SandboxReport;
	const before = report().queues.endpoints;
	const trace = bench.start(['trace', '-o', 'lines', 'c1']);
	await until(() => existsSync(join(bench.bundle, 'lines')));
	await until(() => report().queues.endpoints > before);
	trace.kill('SIGSTOP');
	bench.isopod(['start', 'c1']);
	await printed(run, 'done');
	trace.kill('SIGCONT');
	await until(() => / lines were lost/.test(readText(join(bench.bundle, 'lines'))));
	const text = readText(join(bench.bundle, 'lines'));
	t.match(text, /\.\.\. [1-9]\d* lines were lost/);
	t.match(text, /"\/etc\/passwd0"/);
	trace.kill('SIGKILL');
	t.equal(bench.isopod(['exec', 'c1', 'true']).code, 0, 'without its reader');
});

function readText(file: string): string {
	try {
		return readFileSync(file, 'latin1');
	} catch {
		return '';
	}
}
