import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ending, HANDLER, PROGRAM, printed, until, Workbench } from './testing.js';

/** A test with a workbench that is cleaned up whatever happens. */
function test(name: string, body: (t: Test, bench: Workbench) => void | Promise<void>): void {
	t.test(name, async (t) => {
		const bench = new Workbench();
		t.teardown(() => bench.clean());
		await body(t, bench);
	});
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

test('a container is created, started, looked at, killed and deleted as runc does it', (t, bench) => {
	bench.configure(['sleep', '1000'], { annotations: { 'org.example.a': 'b' } });
	t.equal(bench.leave(['create', '--pid-file', 'pid', 'c1']), 0);
	const created = JSON.parse(bench.isopod(['state', 'c1']).stdout) as Record<string, unknown>;
	t.match(created, {
		ociVersion: '1.2.0',
		id: 'c1',
		status: 'created',
		bundle: bench.bundle,
		rootfs: bench.rootfs,
		annotations: { 'org.example.a': 'b' },
		owner: '',
	});
	t.equal(readFileSync(join(bench.bundle, 'pid'), 'utf8'), `${created['pid']}`);
	const again = bench.isopod(['create', 'c1']);
	t.match(again, { code: 1, stderr: /container with given ID already exists/ });
	t.match(bench.isopod(['exec', 'c1', 'true']), { code: 255, stderr: /not running/ });
	t.equal(bench.isopod(['start', 'c1']).code, 0);
	t.match(bench.isopod(['start', 'c1']), { code: 1, stderr: /cannot start an already running container/ });
	t.equal(bench.state('c1').status, 'running');
	t.match(bench.isopod(['list']).stdout, /^ID {10}PID {9}STATUS {6}BUNDLE .*\nc1 {10}\d+ +running +\S+ +\S+ +\w+\n$/);
	t.equal(bench.isopod(['list', '--quiet']).stdout, 'c1\n');
	t.match(JSON.parse(bench.isopod(['list', '--format', 'json']).stdout), [{ id: 'c1', status: 'running', pid: created['pid'] }]);
	const pids = JSON.parse(bench.isopod(['ps', '--format', 'json', 'c1']).stdout) as number[];
	t.equal(pids.length, 1);
	t.ok(isAlive(pids[0]!), "the host's pids");
	t.match(bench.isopod(['ps', 'c1']).stdout, /^PID +NSPID +CMD\n\d+ +1 +sleep 1000\n$/);
	t.match(bench.isopod(['delete', 'c1']), { code: 1, stderr: /cannot delete container c1 that is not stopped: running/ });
	t.match(bench.isopod(['kill', 'c1', 'FOO']), { code: 1, stderr: /unknown signal "FOO"/ });
	t.equal(bench.isopod(['kill', 'c1', 'sigkill']).code, 0);
	return until(() => bench.state('c1').status === 'stopped').then(() => {
		t.equal(bench.state('c1').pid, 0);
		t.match(bench.isopod(['kill', 'c1']), { code: 1, stderr: /container not running/ });
		t.match(bench.isopod(['start', 'c1']), { code: 1, stderr: /cannot start a container that has stopped/ });
		t.match(bench.isopod(['exec', 'c1', 'true']), { code: 255, stderr: /cannot exec in a stopped container/ });
		t.equal(bench.isopod(['ps', '--format', 'json', 'c1']).stdout, '[]\n');
		t.equal(bench.isopod(['delete', 'c1']).code, 0);
		t.strictSame(bench.leftovers, []);
		t.notOk(isAlive(pids[0]!));
	});
});

test('commands about a container that is not there fail as in runc', (t, bench) => {
	for (const command of ['state', 'start', 'kill', 'delete', 'ps'])
		t.match(bench.isopod([command, 'nope']), { code: 1, stderr: /container does not exist/ }, command);
	t.match(bench.isopod(['exec', 'nope', 'sh']), { code: 255, stderr: /exec failed: container does not exist/ });
	t.equal(bench.isopod(['delete', '--force', 'nope']).code, 0);
	t.match(bench.isopod(['state', '../nope']), { code: 1, stderr: /invalid container ID format/ });
	t.equal(bench.isopod(['list']).stdout.trimEnd(), 'ID          PID         STATUS      BUNDLE      CREATED     OWNER');
	t.equal(bench.isopod(['list', '--format', 'json']).stdout, 'null\n');
	t.not(bench.isopod(['list', '--format', 'xml']).code, 0);
	t.not(bench.isopod(['run', '--frobnicate', 'x']).code, 0);
	t.match(bench.isopod(['run', 'x']), { code: 1, stderr: /config\.json: ENOENT/ });
});

test('spec writes a config.json that runs, and overwrites none', (t, bench) => {
	t.equal(bench.isopod(['spec']).code, 0);
	t.match(bench.isopod(['spec']), { code: 1, stderr: /config\.json exists\. Remove it first/ });
	t.match(bench.isopod(['run', 'x'], 'echo $((6 * 7))\n'), { code: 0, stdout: '42\n' });
});

test("run ends with the program's status", (t, bench) => {
	t.equal(bench.run(['true']).code, 0);
	t.equal(bench.run(['sh', '-c', 'exit 77']).code, 77);
	t.strictSame(bench.leftovers, []);
});

test('a program that is not there leaves nothing, and is named', (t, bench) => {
	t.match(bench.run(['nope']), { code: 1, stderr: /run failed: .*exec: "nope": executable file not found in \$PATH/ });
	t.match(bench.run(['/nope']), { code: 1, stderr: /exec: "\/nope": stat \/nope: no such file or directory/ });
	t.match(bench.run(['/tmp']), { code: 1, stderr: /exec: "\/tmp": permission denied/ });
	t.match(bench.run(['true'], { process: { cwd: '/nope' } }), { code: 1, stderr: /process\.cwd: "\/nope"/ });
	t.strictSame(bench.leftovers, []);
	const log = join(bench.folder, 'log');
	bench.configure(['nope']);
	bench.isopod(['--log', log, '--log-format', 'json', 'run', 'x']);
	const last = JSON.parse(readFileSync(log, 'utf8').trim().split('\n').at(-1)!) as { level: string; msg: string };
	t.match(last, { level: 'error', msg: /executable file not found/ });
});

test('a create that fails half-way leaves no process, folder or id', (t, bench) => {
	const source = join(bench.folder, 'no-such-source');
	const missing = bench.run(['true'], { mounts: [{ destination: '/data', source, options: ['bind'] }] });
	t.match(missing, { code: 1, stderr: new RegExp(`${source}: ENOENT`) });
	writeFileSync(join(bench.rootfs, 'etc/file'), '');
	const inTheWay = bench.run(['true'], { mounts: [{ destination: '/etc/file/x', type: 'tmpfs', source: 'tmpfs' }] });
	t.match(inTheWay, { code: 1, stderr: /\/etc\/file\/x/ });
	t.match(bench.run(['true'], { root: { path: 'nowhere' } }), { code: 1, stderr: /root\.path: .*nowhere is no directory/ });
	t.strictSame(bench.leftovers, []);
});

test('exec runs programs in a container: arguments, user, folder, environment, status, pid file', async (t, bench) => {
	bench.configure(['sleep', '1000'], { process: { env: ['PATH=/bin', 'A=old'] } });
	t.equal(bench.leave(['run', '--detach', 'c1']), 0);
	const exec = (...args: string[]) => bench.isopod(['exec', ...args]);
	t.match(exec('c1', 'sh', '-c', 'exit 9'), { code: 9 });
	t.match(exec('c1', 'sh', '-c', 'kill -9 $$'), { code: 137 });
	t.match(exec('c1', 'nope'), { code: 255, stderr: /executable file not found in \$PATH/ });
	t.match(exec('c1'), { code: 255, stderr: /process args cannot be empty/ });
	t.match(exec('--tty', '--detach', 'c1', 'sh'), { code: 255, stderr: /cannot allocate tty if isopod will detach/ });
	t.equal(exec('--user', '3:4', '-g', '5', 'c1', 'id').stdout, 'uid=3 gid=4 groups=5\n');
	t.equal(exec('--cwd', '/tmp', '--env', 'A=new', '-e', 'B=2', 'c1', 'sh', '-c', 'echo $PWD $A $B').stdout, '/tmp new 2\n');
	t.match(exec('--user', 'root', 'c1', 'id'), { code: 255, stderr: /--user: want a number/ });
	const capabilities = (text: string) => /CapEff:\s*(\w+)/.exec(text)?.[1];
	const before = capabilities(exec('c1', 'cat', '/proc/self/status').stdout);
	const after = capabilities(exec('--cap', 'CAP_SYS_ADMIN', 'c1', 'cat', '/proc/self/status').stdout);
	t.equal(BigInt(`0x${after}`) ^ BigInt(`0x${before}`), 1n << 21n);
	const process = join(bench.folder, 'process.json');
	writeFileSync(process, JSON.stringify({ args: ['/bin/pwd'], cwd: '/etc', env: [], user: {} }));
	t.equal(exec('--process', process, 'c1').stdout, '/etc\n');
	t.equal(bench.leave(['exec', '--detach', '--pid-file', 'pid', 'c1', 'sleep', '1000']), 0);
	const pid = Number(readFileSync(join(bench.bundle, 'pid'), 'utf8'));
	t.ok(isAlive(pid));
	const guests = (): number => (JSON.parse(bench.isopod(['ps', '-f', 'json', 'c1']).stdout) as number[]).length;
	t.equal(guests(), 2);
	globalThis.process.kill(pid, 'SIGTERM');
	await until(() => !isAlive(pid));
	t.equal(guests(), 1, 'the signal went to the program');
	t.equal(bench.leave(['exec', '--detach', '--pid-file', 'pid', 'c1', 'sleep', '1000']), 0);
	const second = Number(readFileSync(join(bench.bundle, 'pid'), 'utf8'));
	t.match(bench.isopod(['exec', '--detach', 'c1', 'nothing']), { code: 255, stderr: /executable file not found/ });
	for (let i = 0; i < 12; i++) t.equal(exec('c1', 'echo', `${i}`).stdout, `${i}\n`, 'an exec that ends takes nothing along');
	t.equal(bench.isopod(['delete', '--force', 'c1']).code, 0);
	await until(() => !isAlive(second));
	t.strictSame(bench.leftovers, []);
});

test('signals to run and exec go to the program', async (t, bench) => {
	bench.configure(['sh', '-c', `trap "trap 'exit 5' INT; echo got" INT; echo ready; while :; do sleep 0.1; done`]);
	const run = bench.start(['run', 'c1']);
	const end = ending(run);
	await printed(run, 'ready');
	run.kill('SIGINT');
	await printed(run, 'got');
	run.kill('SIGINT');
	t.match(await end, { code: 5, stdout: 'ready\ngot\n' });
	t.strictSame(bench.leftovers, []);
	bench.configure(['sleep', '1000']);
	bench.leave(['run', '-d', 'c2']);
	const exec = bench.start(['exec', 'c2', 'sh', '-c', 'trap "exit 6" TERM; echo ready; while :; do sleep 0.1; done']);
	const execEnd = ending(exec);
	await printed(exec, 'ready');
	exec.kill('SIGTERM');
	t.equal((await execEnd).code, 6);
	t.equal(bench.state('c2').status, 'running');
});

test('a signal that the first program does not catch does nothing: it is an init, and its call goes on', async (t, bench) => {
	bench.configure(['sh', '-c', 'echo ready; read line; echo "$line"']);
	const run = bench.start(['run', 'c1']);
	const end = ending(run);
	await printed(run, 'ready');
	for (let i = 0; i < 3; i++) t.equal(bench.isopod(['kill', 'c1', 'TERM']).code, 0);
	run.stdin?.write('through\n');
	t.match(await end, { code: 0, stdout: 'ready\nthrough\n' });
});

test('a run that is killed leaves its container running; delete --force removes it', async (t, bench) => {
	bench.configure(['sh', '-c', 'echo ready; sleep 1000']);
	const run = bench.start(['run', 'c1']);
	const end = ending(run);
	await printed(run, 'ready');
	const [pid] = JSON.parse(bench.isopod(['ps', '-f', 'json', 'c1']).stdout) as number[];
	run.kill('SIGKILL');
	await until(() => run.signalCode !== null);
	t.match(bench.state('c1'), { status: 'running' });
	t.ok(isAlive(pid!));
	t.equal(bench.isopod(['delete', '--force', 'c1']).code, 0);
	await end;
	t.notOk(isAlive(pid!));
	t.strictSame(bench.leftovers, []);
});

test('a sandbox process that is killed takes its container along: stopped, and run ends with 137', async (t, bench) => {
	bench.configure(['sh', '-c', 'echo ready; sleep 1000']);
	const run = bench.start(['run', '--keep', 'c1']);
	const end = ending(run);
	await printed(run, 'ready');
	const [guest] = JSON.parse(bench.isopod(['ps', '-f', 'json', 'c1']).stdout) as number[];
	process.kill(bench.state('c1').pid, 'SIGKILL');
	t.equal((await end).code, 137);
	t.match(bench.state('c1'), { status: 'stopped', pid: 0 });
	await until(() => !isAlive(guest!));
	t.equal(bench.isopod(['delete', 'c1']).code, 0);
	t.strictSame(bench.leftovers, []);
});

const confined = 'a sandbox process is confined, every thread of it, before its container starts';
// A machine's monitor is confined otherwise.
if (HANDLER === 'isopod')
	test(confined, async (t, bench) => {
		bench.configure(['true']);
		t.equal(bench.leave(['create', 'c1']), 0);
		const tasks = `/proc/${bench.state('c1').pid}/task`;
		const threads = readdirSync(tasks);
		t.ok(threads.length > 1);
		for (const thread of threads) {
			const status = readFileSync(join(tasks, thread, 'status'), 'latin1');
			t.match(status, /^NoNewPrivs:\t1\nSeccomp:\t2$/m);
			t.match(status, /^CapEff:\t000000008000001f$/m);
		}
		t.equal(bench.isopod(['delete', '--force', 'c1']).code, 0);
	});

test('of two creates of one id one wins; two containers run side by side', async (t, bench) => {
	bench.configure(['sleep', '1000']);
	const rivals = [1, 2].map(() => bench.start(['create', 'same'], { stdio: 'ignore' }));
	const codes = await Promise.all(rivals.map(async (rival) => (await ending(rival)).code));
	t.strictSame(codes.sort(), [0, 1]);
	t.equal(bench.state('same').status, 'created');
	t.equal(bench.leave(['run', '-d', 'other']), 0);
	t.equal(bench.isopod(['start', 'same']).code, 0);
	t.equal(bench.isopod(['exec', 'same', 'echo', '1']).stdout, '1\n');
	t.equal(bench.isopod(['exec', 'other', 'echo', '2']).stdout, '2\n');
	t.equal(bench.isopod(['list', '-q']).stdout, 'other\nsame\n');
	t.equal(bench.isopod(['--root', join(bench.folder, 'elsewhere'), 'list', '-q']).stdout, '', 'another --root knows nothing of them');
	bench.isopod(['kill', 'other', '9']);
	await until(() => bench.state('other').status === 'stopped');
	t.equal(bench.isopod(['exec', 'same', 'echo', '3']).stdout, '3\n', 'a neighbour goes on');
	t.equal(bench.isopod(['delete', 'other']).code, 0);
});

test('a created container ends by a signal and is deleted without --force', async (t, bench) => {
	bench.configure(['sleep', '1000']);
	bench.leave(['create', 'c1']);
	t.equal(bench.isopod(['kill', 'c1', 'WINCH']).code, 0);
	t.equal(bench.state('c1').status, 'created');
	t.equal(bench.isopod(['kill', 'c1', 'TERM']).code, 0);
	await until(() => bench.state('c1').status === 'stopped');
	t.equal(bench.isopod(['delete', 'c1']).code, 0);
	bench.leave(['create', 'c2']);
	const { pid } = bench.state('c2');
	t.equal(bench.isopod(['delete', 'c2']).code, 0);
	t.notOk(isAlive(pid));
	t.strictSame(bench.leftovers, []);
});

test('stdin from a pipe, a file, /dev/null and nowhere', async (t, bench) => {
	const bytes = randomBytes(10 << 20);
	t.ok(bench.run(['cat'], {}, bytes).stdout === bytes.toString('latin1'), 'ten megabytes pass unchanged');
	bench.configure(['cat']);
	const file = join(bench.folder, 'input');
	writeFileSync(file, 'from a file\n');
	for (const [path, wanted] of [
		[file, 'from a file\n'],
		['/dev/null', ''],
	] as const) {
		const fd = openSync(path, 'r');
		t.match(await ending(bench.start(['run', 'c1'], { stdio: [fd, 'pipe', 'pipe'] })), { code: 0, stdout: wanted });
		closeSync(fd);
	}
	const closed = bench.start(['run', 'c1'], { stdio: 'pipe' });
	closed.stdin?.end();
	t.match(await ending(closed), { code: 0, stdout: '' });
});

test('a reader that goes away ends the program by SIGPIPE', (t, bench) => {
	// Linux ends no init of a PID namespace by SIGPIPE: its child.
	bench.configure(['sh', '-c', 'yes; exit $?']);
	// A real pipe: Node gives its children sockets, whose writers get other errors.
	const script = '{ "$0" "$1" --root "$2" --handler "$3" run c1; echo $? > code; } | head -n 1';
	const { stdout } = spawnSync('sh', ['-c', script, process.execPath, PROGRAM, bench.root, HANDLER], {
		cwd: bench.bundle,
		timeout: 30_000,
	});
	t.equal(stdout.toString(), 'y\n');
	t.equal(readFileSync(join(bench.bundle, 'code'), 'utf8'), '141\n');
	t.strictSame(bench.leftovers, []);
});

test('the process has what config.json says: user, umask, limits, capabilities, environment, folder, names', (t, bench) => {
	const script = 'id; umask; pwd; echo $A; hostname; ulimit -n; ulimit -Hn; grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status';
	const { stdout, code } = bench.run(['sh', '-c', script], {
		hostname: 'some-name',
		process: {
			user: { uid: 7, gid: 8, umask: 0o027, additionalGids: [9, 10] },
			env: ['PATH=/bin', 'A=b c'],
			cwd: '/etc',
			capabilities: {
				bounding: ['CAP_KILL'],
				effective: ['CAP_KILL'],
				permitted: ['CAP_KILL'],
				inheritable: ['CAP_KILL'],
				ambient: ['CAP_KILL'],
			},
			rlimits: [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }],
			noNewPrivileges: true,
		},
	});
	t.equal(code, 0);
	t.strictSame(
		stdout
			.trim()
			.split('\n')
			.map((line) => line.replace(/\s+/g, ' ')),
		[
			'uid=7 gid=8 groups=9,10',
			'0027',
			'/etc',
			'b c',
			'some-name',
			'100',
			'200',
			'CapEff: 0000000000000020',
			'CapBnd: 0000000000000020',
			'NoNewPrivs: 1',
		],
	);
});

test('the root is read-only when it says so, and mount points that are missing are made first', (t, bench) => {
	rmSync(join(bench.rootfs, 'sys'), { recursive: true });
	t.match(bench.run(['sh', '-c', 'touch /x; test -e /sys/kernel || test -d /sys']), { code: 0, stderr: /[Rr]ead-only file system/ });
	t.notOk(existsSync(join(bench.rootfs, 'x')));
	t.equal(bench.run(['touch', '/x'], { root: { readonly: false } }).code, 0);
	t.ok(existsSync(join(bench.rootfs, 'x')));
});

test('mounts: bind of folders and files, read-only and relative ones, tmpfs, masked and read-only paths', (t, bench) => {
	const data = join(bench.folder, 'data');
	mkdirSync(data);
	writeFileSync(join(data, 'file'), 'data\n');
	mkdirSync(join(bench.bundle, 'relative'));
	writeFileSync(join(bench.bundle, 'relative/file'), 'relative\n');
	const script = [
		'cat /rw/file && echo written > /rw/new',
		'echo no > /ro/new',
		'cat /one',
		'cat /relative/file',
		'stat -f -c %S:%b /small > /dev/null; stat -c %a:%u:%g /small',
		'dd if=/dev/zero of=/small/big bs=4096 count=100 2>&1 | grep -c "No space"',
		'cat /etc/secret; ls -A /hidden',
		'touch /fixed/x',
		'true',
	].join('\n');
	for (const folder of ['hidden', 'fixed']) mkdirSync(join(bench.rootfs, folder));
	writeFileSync(join(bench.rootfs, 'etc/secret'), 'secret');
	writeFileSync(join(bench.rootfs, 'hidden/secret'), 'secret');
	const { stdout, stderr, code } = bench.run(['sh', '-c', script], {
		root: { readonly: false },
		mounts: [
			{ destination: '/rw', source: data, options: ['rbind', 'rw'] },
			{ destination: '/ro', type: 'none', source: data, options: ['bind', 'ro', 'private'] },
			{ destination: '/one', source: join(data, 'file'), options: ['bind', 'ro'] },
			{ destination: '/relative', source: 'relative', options: ['bind'] },
			{ destination: '/small', type: 'tmpfs', source: 'tmpfs', options: ['size=64k', 'mode=1777', 'uid=3', 'gid=4'] },
		],
		linux: { maskedPaths: ['/etc/secret', '/hidden', '/not/there'], readonlyPaths: ['/fixed'] },
	});
	t.equal(code, 0);
	t.equal(stdout, 'data\ndata\nrelative\n1777:3:4\n1\n');
	t.match(stderr, /\/ro\/new: Read-only file system/);
	t.match(stderr, /\/fixed\/x: Read-only file system/);
	t.equal(readFileSync(join(data, 'new'), 'utf8'), 'written\n');
});
