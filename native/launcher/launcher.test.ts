import { execFileSync, spawn } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readlinkSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

const native = resolve('native');
const launcher = join(native, 'build/isopod-launcher');
const loader = join(native, 'build/isopod-loader');
const folder = mkdtempSync(join(tmpdir(), 'isopod-launcher-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const inside = join(folder, 'inside');

const ID_BASE = 300000;
const REPORT_FD = 3;
/** CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETFCAP. */
const KEPT_CAPABILITIES = '000000008000001f';
const NONE = '0000000000000000';

if (process.getuid?.() !== 0) t.bailout('the launcher is for real root');
execFileSync('make', ['-s', '-C', native]);
execFileSync('gcc', [
	'-std=gnu17',
	'-O1',
	'-static',
	'-Wall',
	'-Wextra',
	'-Werror',
	'-o',
	inside,
	join(native, 'launcher/testdata/inside.c'),
]);
writeFileSync(join(folder, 'file'), 'contents\n');

interface Launch {
	/** The launcher's exit status. */
	readonly status: number | null;
	/** What it reported, null for nothing. */
	readonly pid: number | null;
	readonly stderr: string;
	/** The program's output, when it and all its children have closed it. */
	readonly output: Promise<string>;
}

async function launch(args: readonly string[], extraFds: readonly number[] = []): Promise<Launch> {
	const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...extraFds] });
	const texts = ['', '', '', ''];
	for (const fd of [1, 2, REPORT_FD]) {
		const stream = child.stdio[fd] as NodeJS.ReadableStream;
		stream.setEncoding('utf8').on('data', (text: string) => (texts[fd] += text));
	}
	const output = new Promise<string>((resolve) => child.on('close', () => resolve(texts[1]!)));
	const reported = new Promise<void>((resolve) => (child.stdio[REPORT_FD] as NodeJS.ReadableStream).on('end', () => resolve()));
	const status = await new Promise<number | null>((resolve) => child.on('exit', resolve));
	await reported;
	return { status, pid: texts[REPORT_FD] === '' ? null : Number(texts[REPORT_FD]), stderr: texts[2]!, output };
}

const basic = ['--report-fd', String(REPORT_FD), '--id-base', String(ID_BASE), '--loader', loader, '--file', `${inside}:/bin/inside`];

/** Launches the test program and returns its lines, by their first word. */
async function run(options: readonly string[], args: readonly string[], extraFds: readonly number[] = []): Promise<Map<string, string[]>> {
	const launched = await launch([...basic, ...options, '--', '/bin/inside', ...args], extraFds);
	if (launched.status !== 0) throw new Error(launched.stderr);
	const lines = new Map<string, string[]>();
	for (const line of (await launched.output).split('\n')) {
		const [name = '', ...rest] = line.split(' ');
		lines.set(name, [...(lines.get(name) ?? []), rest.join(' ')]);
	}
	lines.delete('');
	return lines;
}

/** Is it gone? A child of this process may be left as a zombie, which Node.js doesn't reap. */
function isGone(pid: number): boolean {
	try {
		return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
	} catch {
		return true;
	}
}

async function waitGone(pid: number): Promise<boolean> {
	for (let tries = 0; tries < 200 && !isGone(pid); tries++) await sleep(10);
	return isGone(pid);
}

t.test('the program has its own ids, exactly the kept capabilities, and nothing inherited', async (t) => {
	const state = await run(['--env', 'A=b', '--env', 'C=d=e', '--rlimit', 'NPROC=10:20'], ['state', '', 'x y']);
	const expected: Record<string, string[]> = {
		CapInh: [NONE],
		CapPrm: [KEPT_CAPABILITIES],
		CapEff: [KEPT_CAPABILITIES],
		CapBnd: [KEPT_CAPABILITIES],
		CapAmb: [NONE],
		NoNewPrivs: ['1'],
		SigBlk: [NONE],
		SigIgn: [NONE],
		SigCgt: [NONE],
		argv: ['/bin/inside', 'state', '', 'x y'],
		env: ['A=b', 'C=d=e'],
		uids: ['0 0 0'],
		gids: ['0 0 0'],
		groups: ['0'],
		pid: ['1'],
		ppid: ['0'],
		sid: ['1'],
		hostname: ['isopod'],
		cwd: ['/'],
		umask: ['022'],
		nofile: ['at its hard limit'],
		core: ['1 1'],
		nproc: ['10 20'],
		dumpable: ['1'],
		pdeathsig: ['0'],
	};
	for (const [name, values] of Object.entries(expected)) t.same(state.get(name), values, name);
});

t.test('the host is out of reach', async (t) => {
	const reach = await run(['--file', `${join(folder, 'file')}:/data/file`], ['reach', String(process.pid)]);
	const expected: Record<string, string> = {
		kill: 'ESRCH',
		'write-root': 'EROFS',
		'write-file': 'EACCES',
		mount: 'EPERM',
		umount: 'EPERM',
		remount: 'EPERM',
		chroot: 'EPERM',
		'unshare-mounts': 'EPERM',
		'unshare-network': 'EPERM',
		sethostname: 'EPERM',
		'setuid-host': 'EINVAL',
		mknod: 'EPERM',
		guest: 'ok',
		sysctl: 'EACCES',
		null: 'ok',
		urandom: 'ok',
		connect: 'ENETUNREACH',
		'raw-socket': 'EPERM',
		keyring: 'ok',
	};
	for (const [name, value] of Object.entries(expected)) t.same(reach.get(name), [value], name);

	t.same([...(await run([], ['list', '/'])).keys()].sort(), ['bin', 'dev', 'guest', 'memory', 'memory-noexec', 'proc']);
	t.same([...(await run([], ['list', '/dev'])).keys()].sort(), ['null', 'urandom']);
	t.same([...(await run([], ['list', '/guest'])).keys()], ['x']);
	t.same(
		[...(await run([], ['list', '/proc'])).keys()].filter((name) => /^\d+$/.test(name)),
		['1'],
	);
	const interfaces = (await launch([...basic, '--', '/bin/inside', 'read', '/proc/net/dev'])).output;
	t.same(
		[...(await interfaces).matchAll(/^ *(\w+):/gm)].map((match) => match[1]),
		['lo'],
	);
});

t.test('the mounts are those asked for, read-only but for the guests’ root and tmpfs', async (t) => {
	const { output } = await launch([
		...basic,
		'--tmpfs',
		'/run',
		'--file',
		`${folder}:/folder`,
		'--',
		'/bin/inside',
		'read',
		'/proc/mounts',
	]);
	const mounts = (await output)
		.trim()
		.split('\n')
		.map((line) => line.split(' '));
	const flags = new Map(mounts.map(([, target, type, options]) => [target, `${type} ${options!.split(',').slice(0, 4).join(',')}`]));
	t.same([...flags.keys()].sort(), [
		'/',
		'/bin/inside',
		'/dev/null',
		'/dev/urandom',
		'/folder',
		'/guest',
		'/memory',
		'/memory-noexec',
		'/proc',
		'/run',
	]);
	t.match(flags.get('/'), /^tmpfs ro,nosuid,nodev/);
	t.match(flags.get('/bin/inside'), /^\w+ ro,nosuid,nodev/);
	t.match(flags.get('/folder'), /^\w+ ro,nosuid,nodev/);
	t.match(flags.get('/dev/null'), /^\w+ ro,nosuid,noexec/);
	t.match(flags.get('/guest'), /^tmpfs rw,nosuid,nodev,relatime/);
	t.match(flags.get('/memory'), /^tmpfs rw,nosuid,nodev,relatime/);
	t.match(flags.get('/memory-noexec'), /^tmpfs rw,nosuid,nodev,noexec/);
	t.match(flags.get('/run'), /^tmpfs rw,nosuid,nodev,noexec/);
	t.match(flags.get('/proc'), /^proc rw,nosuid,nodev,noexec/);
});

t.test('--file reaches below folders that only root may enter, and through symlinks of the host', async (t) => {
	const closed = join(folder, 'closed');
	mkdirSync(closed, { mode: 0o700 });
	writeFileSync(join(closed, 'secret:file'), 'below\n');
	symlinkSync('closed/secret:file', join(folder, 'link'));
	for (const source of [join(closed, 'secret:file'), join(folder, 'link')]) {
		const { output } = await launch([...basic, '--file', `${source}:/a/b/c`, '--', '/bin/inside', 'read', '/a/b/c']);
		t.equal(await output, 'below\n', source);
	}
});

t.test('--file targets do not follow symlinks', async (t) => {
	const trap = join(folder, 'trap');
	mkdirSync(trap);
	symlinkSync('/etc', join(trap, 'away'));
	const { status, stderr, pid } = await launch([
		...basic,
		'--file',
		`${trap}:/t`,
		'--file',
		`${inside}:/t/away/hostname`,
		'--',
		'/bin/inside',
		'state',
	]);
	t.equal(status, 1);
	t.equal(stderr, 'isopod-launcher: make target: /t/away/hostname: Not a directory\n');
	t.equal(pid, null);
});

t.test('descriptors are exactly those given, at their numbers', async (t) => {
	const names = ['one', 'two'];
	const fds = names.map((name) => {
		writeFileSync(join(folder, name), `${name}\n`);
		return openSync(join(folder, name), 'r');
	});
	t.same([...(await run([], ['list', '/proc/self/fd'], fds)).keys()], ['0', '1', '2']);
	// Crosswise, onto each other's and the report's numbers.
	const moves = ['--fd', '4:5', '--fd', '5:4', '--fd', '4:3', '--fd', '5:90'];
	t.same([...(await run(moves, ['list', '/proc/self/fd'], fds)).keys()], ['0', '1', '2', '3', '4', '5', '90']);
	for (const [number, text] of [
		[3, 'one'],
		[4, 'two'],
		[5, 'one'],
		[90, 'two'],
	] as const) {
		for (const name of names) fds[names.indexOf(name)] = openSync(join(folder, name), 'r');
		t.same([...(await run(moves, ['descriptor', String(number)], fds)).keys()], [text], `descriptor ${number}`);
	}
	t.same([...(await run(['--fd', '4:0'], ['descriptor', '0'], [openSync(join(folder, 'one'), 'r')])).keys()], ['one']);
});

t.test('namespaces, ids, cgroup and parent are as asked, seen from the host', async (t) => {
	const cgroupRoot = existsSync('/sys/fs/cgroup/cgroup.controllers') ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids';
	const cgroup = join(cgroupRoot, `isopod-launcher-test-${process.pid}`);
	let cgroupOptions: string[] = [];
	try {
		mkdirSync(cgroup);
		cgroupOptions = ['--cgroup', join(cgroup, 'cgroup.procs')];
	} catch {
		t.comment('no cgroup can be made here');
	}
	const options = [...basic, ...cgroupOptions, '--id-count', '10', '--hostname', 'pod', '--oom-score-adj', '7'];
	const launched = await launch([...options, '--', '/bin/inside', 'sleep']);
	t.equal(launched.status, 0, launched.stderr);
	const pid = launched.pid!;
	const status = readFileSync(`/proc/${pid}/status`, 'utf8');
	t.match(status, new RegExp(`^PPid:\t${process.pid}$`, 'm'), 'a child of the launcher’s parent');
	t.match(status, new RegExp(`^Uid:\t${Array(4).fill(ID_BASE).join('\t')}$`, 'm'));
	t.match(status, new RegExp(`^Gid:\t${Array(4).fill(ID_BASE).join('\t')}$`, 'm'));
	t.match(status, /^NSpid:\t\d+\t1$/m);
	for (const file of ['uid_map', 'gid_map']) {
		t.match(readFileSync(`/proc/${pid}/${file}`, 'utf8'), new RegExp(`^ *0 +${ID_BASE} +10\n$`), file);
	}
	for (const kind of ['user', 'pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup']) {
		t.not(readlinkSync(`/proc/${pid}/ns/${kind}`), readlinkSync(`/proc/self/ns/${kind}`), `its own ${kind} namespace`);
	}
	t.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'), '7\n');
	if (cgroupOptions.length > 0)
		t.match(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), new RegExp(`:/isopod-launcher-test-${process.pid}$`, 'm'));

	const joined = await launch([...basic, '--netns', `/proc/${pid}/ns/net`, '--', '/bin/inside', 'sleep']);
	t.equal(joined.status, 0, joined.stderr);
	t.equal(readlinkSync(`/proc/${joined.pid}/ns/net`), readlinkSync(`/proc/${pid}/ns/net`));
	for (const one of [pid, joined.pid!]) {
		process.kill(one, 'SIGKILL');
		t.ok(await waitGone(one));
	}
	if (cgroupOptions.length > 0) {
		for (let tries = 0; tries < 200; tries++) {
			try {
				rmdirSync(cgroup);
				break;
			} catch {
				await sleep(10);
			}
		}
		t.notOk(existsSync(cgroup));
	}
});

t.test('a killed program leaves no process and no mount', async (t) => {
	const before = readFileSync('/proc/self/mountinfo', 'utf8');
	const launched = await launch([...basic, '--', '/bin/inside', 'sleep']);
	t.equal(readFileSync('/proc/self/mountinfo', 'utf8'), before, 'nothing is mounted on the host meanwhile');
	const pid = launched.pid!;
	const childrenOf = (of: number): number[] =>
		readFileSync(`/proc/${of}/task/${of}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
	let family: number[] = [];
	for (let tries = 0; tries < 200 && family.length < 2; tries++) {
		await sleep(10);
		family = childrenOf(pid).flatMap((child) => [child, ...childrenOf(child)]);
	}
	t.equal(family.length, 2);
	process.kill(pid, 'SIGKILL');
	for (const one of [pid, ...family]) t.ok(await waitGone(one));
	t.equal(await launched.output, 'ready\n');
	t.equal(readFileSync('/proc/self/mountinfo', 'utf8'), before);
});

t.test('a guest’s native world can be made inside', async (t) => {
	const lines = await run([], ['guest']);
	for (const step of ['namespaces', 'setgroups', 'uid_map', 'gid_map', 'bind', 'read-only', 'chdir', 'pivot', 'detach']) {
		t.same(lines.get(step), ['ok'], step);
	}
	t.same(lines.get('loader'), ['127'], 'the loader runs, and finds no guest kernel');
});

t.test('bad arguments are named', async (t) => {
	const program = ['--', '/bin/inside'];
	const cases: [args: string[], message: string][] = [
		[[], '-- PROGRAM is missing'],
		[['--'], '-- PROGRAM is missing'],
		[['--', 'node'], '-- PROGRAM must be absolute, not node'],
		[['--unknown', 'x', ...program], '--unknown is unknown'],
		[['--id-base'], '--id-base lacks its value, or is no option'],
		[['--id-base', 'x', ...program], '--id-base x'],
		[['--id-base', '0', ...program], '--id-base, --id-count are out of range'],
		[['--id-base', '-1', ...program], '--id-base -1'],
		[['--id-base', '4294967290', '--id-count', '10', ...program], '--id-base, --id-count are out of range'],
		[['--file', '/etc/hostname', ...program], '--file /etc/hostname'],
		[['--file', '/etc/hostname:relative', ...program], '--file relative'],
		[['--file', '/etc/hostname:/a/../b', ...program], '--file /a/../b'],
		[['--file', '/etc/hostname:/a/', ...program], '--file /a/'],
		[['--tmpfs', '/', ...program], '--tmpfs /'],
		[['--fd', '1', ...program], '--fd 1'],
		[['--fd', '1:70000', ...program], '--fd 1:70000'],
		[['--fd', '1:5', '--fd', '2:5', ...program], '--fd gives one number twice'],
		[['--env', 'A', ...program], '--env A'],
		[['--rlimit', 'nofile=5', ...program], '--rlimit nofile=5'],
		[['--rlimit', 'nofile=6:5', ...program], '--rlimit nofile=6:5'],
		[['--rlimit', 'files=5:5', ...program], '--rlimit files=5:5'],
		[['--oom-score-adj', 'low', ...program], '--oom-score-adj low'],
		[['--hostname', '', ...program], '--hostname '],
	];
	for (const [args, message] of cases) {
		const { status, stderr, pid } = await launch(args);
		t.same({ status, stderr, pid }, { status: 1, stderr: `isopod-launcher: arguments: ${message}: Invalid argument\n`, pid: null });
	}
	const { stderr } = await launch(['--fd', '77:5', ...program]);
	t.equal(stderr, 'isopod-launcher: arguments: --fd 77:5: Bad file descriptor\n');
});

t.test('a step that fails is named, and nothing stays', async (t) => {
	const cases: [args: string[], message: string, isBorn: boolean][] = [
		[['--file', '/nowhere:/a'], 'find source: /nowhere: No such file or directory', false],
		[['--loader', '/nowhere'], 'open loader: /nowhere: No such file or directory', false],
		[['--netns', '/etc/hostname'], 'enter network namespace: /etc/hostname: Invalid argument', false],
		[['--cgroup', '/nowhere/cgroup.procs'], 'join cgroup: /nowhere/cgroup.procs: No such file or directory', false],
		[['--file', `${inside}:/bin/inside/below`], 'make target: /bin/inside/below: Not a directory', false],
		[[], 'execute: /nowhere: No such file or directory', true],
	];
	for (const [args, message, isBorn] of cases) {
		const { status, stderr, pid } = await launch([...basic, ...args, '--', '/nowhere']);
		t.same({ status, stderr }, { status: 1, stderr: `isopod-launcher: ${message}\n` });
		t.equal(pid !== null && pid < 0, isBorn, 'the negative pid of a process that its parent must reap');
		if (isBorn) t.ok(await waitGone(-pid!));
	}
});

t.test('Node.js runs inside', async (t) => {
	const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
	const files = [...libraries.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => ['--file', `${path}:${path}`]);
	const node = join(folder, 'node');
	symlinkSync(process.execPath, node);
	chmodSync(folder, 0o700);
	const script = 'console.log(process.pid, process.getuid(), require("fs").readdirSync("/").join(), Object.keys(process.env).length)';
	const started = process.hrtime.bigint();
	const launched = await launch([...basic, '--file', `${node}:/bin/node`, ...files, '--', '/bin/node', '-e', script]);
	t.comment(`launched after ${Number(process.hrtime.bigint() - started) / 1e6} ms`);
	t.equal(launched.status, 0, launched.stderr);
	t.match(await launched.output, /^1 0 bin,dev,guest,lib\S*,proc\S* 0\n$/);
});
