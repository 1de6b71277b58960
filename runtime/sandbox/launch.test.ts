import { execFileSync, spawnSync } from 'node:child_process';
import {
	chmodSync,
	closeSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { SandboxClient } from './client.js';

const PACKAGE = resolve(import.meta.dirname, '../../..');
const LIMIT_MS = 30_000;
/** What of the package a start needs. */
const FILES = [
	'package.json',
	'dist/isopod.js',
	...['isopod', 'sandbox'].flatMap((name) => [`dist/${name}-start.cjs`, `dist/${name}.cjs`, `dist/${name}.cache`]),
	'dist/sandbox-files',
	'build/Release/isopod.node',
	'native/build/isopod',
	'native/build/isopod-launcher',
	'native/build/isopod-loader',
];
/** How a user starts it (a sandbox process comes up beside Node), and the command line alone. */
const WAYS = ['front', 'command line'] as const;

interface Ended {
	readonly code: number;
	readonly stderr: string;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** A copy of the package that a test breaks, with a bundle whose root holds one static program. */
class BrokenPackage {
	readonly folder = mkdtempSync(join(tmpdir(), 'isopod-launch-'));
	readonly bundle = join(this.folder, 'bundle');
	state = join(this.folder, 'state');

	constructor() {
		for (const file of FILES) {
			mkdirSync(join(this.folder, file, '..'), { recursive: true });
			copyFileSync(join(PACKAGE, file), join(this.folder, file));
		}
		const list = join(this.folder, 'dist/sandbox-files');
		writeFileSync(list, readFileSync(list, 'utf8').replaceAll(`${PACKAGE}/`, `${this.folder}/`));
		mkdirSync(join(this.bundle, 'rootfs/bin'), { recursive: true });
		copyFileSync(busybox(), join(this.bundle, 'rootfs/bin/busybox'));
		symlinkSync('busybox', join(this.bundle, 'rootfs/bin/true'));
		this.configure({});
	}

	configure(linux: object): void {
		const process = { args: ['/bin/true'], cwd: '/', env: [], user: { uid: 0, gid: 0 } };
		const config = { ociVersion: '1.2.0', process, root: { path: 'rootfs', readonly: true }, linux };
		writeFileSync(join(this.bundle, 'config.json'), JSON.stringify(config));
	}

	path(file: string): string {
		return join(this.folder, file);
	}

	isopod(way: (typeof WAYS)[number], args: readonly string[] = ['run', 'c1'], node: string = process.execPath): Ended {
		const command = way === 'front' ? [this.path('native/build/isopod')] : [node, this.path('dist/isopod.js')];
		const [program = '', ...rest] = [...command, '--root', this.state, ...args];
		const result = spawnSync(program, rest, { cwd: this.bundle, stdio: ['ignore', 'ignore', 'pipe'], timeout: LIMIT_MS, encoding: 'utf8' });
		return { code: result.status ?? 255, stderr: result.stderr ?? String(result.error) };
	}

	/** What is left of containers: entries of the state folder, and processes whose files are this package's. */
	leftovers(): string[] {
		// An early sandbox process that nobody adopted ends by itself, a moment later.
		for (let tries = 0; tries < 200 && processesOf(this.folder).length > 0; tries++) Atomics.wait(sleeper, 0, 0, 20);
		const entries = existsSync(this.state) ? (readdirSync(this.state, { recursive: true }) as string[]) : [];
		return [...entries.filter((name) => name !== '.ids'), ...processesOf(this.folder)];
	}

	clean(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}
}

async function until(isSo: () => boolean): Promise<void> {
	for (let tries = 0; !isSo(); tries++) {
		if (tries > 500) throw new Error(`Wait: it never came to be: ${isSo}`);
		await sleep(20);
	}
}

function busybox(): string {
	const found = ['/bin/busybox', join(PACKAGE, '.isopod/rootfs/base/bin/busybox')].find((file) => existsSync(file));
	if (found === undefined) throw new Error('Find busybox: install busybox-static');
	return found;
}

/** Living processes that were started from `folder`, or that have its files mounted: a sandbox process and its guests. */
function processesOf(folder: string): string[] {
	const read = (file: string): string => {
		try {
			return readFileSync(file, 'latin1');
		} catch {
			return '';
		}
	};
	return readdirSync('/proc').filter(
		(pid) =>
			/^\d+$/.test(pid) &&
			(read(`/proc/${pid}/cmdline`).includes(folder) || read(`/proc/${pid}/mountinfo`).includes(`${basename(folder)}/dist/`)),
	);
}

function test(name: string, body: (t: Test, broken: BrokenPackage, way: (typeof WAYS)[number]) => void): void {
	for (const way of WAYS) {
		t.test(`${name} (${way})`, (t) => {
			const broken = new BrokenPackage();
			t.teardown(() => broken.clean());
			body(t, broken, way);
			t.strictSame(broken.leftovers(), [], 'nothing is left over');
			t.end();
		});
	}
}

if (process.getuid?.() !== 0) t.bailout('sandbox processes are for real root');

test('a package that is whole runs its container', (t, broken, way) => {
	t.match(broken.isopod(way), { code: 0, stderr: '' });
});

for (const [file, wanted] of [
	['native/build/isopod-launcher', /Run the launcher .*isopod-launcher.*ENOENT/],
	['native/build/isopod-loader', /open loader: .*isopod-loader: No such file or directory/],
	['dist/sandbox.cjs', /find source: .*sandbox\.cjs: No such file or directory/],
] as const) {
	test(`${file} is missing: it is named`, (t, broken, way) => {
		rmSync(broken.path(file));
		t.match(broken.isopod(way), { code: 1, stderr: wanted });
	});
}

test('a launcher that is not executable is named', (t, broken, way) => {
	chmodSync(broken.path('native/build/isopod-launcher'), 0o644);
	t.match(broken.isopod(way), { code: 1, stderr: /Run the launcher .*isopod-launcher.*EACCES/ });
});

test('a sandbox process that dies during its start: its own words are the error', (t, broken, way) => {
	writeFileSync(broken.path('dist/sandbox.cjs'), "process.stderr.write('out of luck\\n'); process.exit(3);");
	t.match(broken.isopod(way), { code: 1, stderr: /run failed: .*\nout of luck/ });
	writeFileSync(broken.path('dist/sandbox.cjs'), 'process.kill(process.pid, 9); syntax error');
	t.match(broken.isopod(way), { code: 1, stderr: /run failed: .*\n(.*\n)*.*SyntaxError/ });
});

test('a network namespace path that leads to none is named', (t, broken, way) => {
	for (const [path, wanted] of [
		['/no/such/netns', /open network namespace: \/no\/such\/netns: No such file or directory/],
		['/etc/passwd', /enter network namespace: \/etc\/passwd: Invalid argument/],
		['/proc/self/ns/uts', /enter network namespace: \/proc\/self\/ns\/uts: Invalid argument/],
	] as const) {
		broken.configure({ namespaces: [{ type: 'network', path }] });
		t.match(broken.isopod(way), { code: 1, stderr: wanted });
	}
});

test('a state folder that can not be is named', (t, broken, way) => {
	writeFileSync(broken.path('file'), '');
	broken.state = broken.path('file/state');
	t.match(broken.isopod(way), { code: 1, stderr: /Make the container's folder: ENOTDIR.*file\/state/ });
	broken.state = '/proc/isopod';
	t.match(broken.isopod(way), { code: 1, stderr: /Make the container's folder: ENOENT.*\/proc\/isopod/ });
	broken.state = broken.path(`${'long/'.repeat(30)}state`);
	t.match(broken.isopod(way), { code: 0 }, 'a path that is too long for a socket is none for a state folder');
});

test('a state folder that is full or read-only is named', (t, broken, way) => {
	mkdirSync(broken.state);
	execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k,nr_inodes=16', 'isopod-test', broken.state]);
	t.teardown(() => spawnSync('umount', [broken.state]));
	// From one with no room for anything to one with room for nearly all of it, by inodes and by bytes.
	for (let free = 0; free < 10; free++) {
		for (let i = 0; i < 15 - free; i++) writeFileSync(join(broken.state, `.fill-${i}`), '');
		const ended = broken.isopod(way);
		if (ended.code !== 0) t.match(ended.stderr, /^isopod: run failed: .*(ENOSPC|No space).*/, `${free} inodes are free`);
		for (let i = 0; i < 15 - free; i++) rmSync(join(broken.state, `.fill-${i}`));
		t.strictSame(broken.leftovers(), []);
		rmSync(join(broken.state, '.ids'), { recursive: true, force: true });
	}
	writeFileSync(join(broken.state, '.fill'), Buffer.alloc(16384));
	t.match(broken.isopod(way), { code: 1, stderr: /Save the container's state in .*c1: .*ENOSPC/ });
	rmSync(join(broken.state, '.fill'));
	// No sandbox process has its log open any more.
	t.notOk(broken.leftovers().some((name) => /^\d+$/.test(name)));
	execFileSync('mount', ['-o', 'remount,ro', broken.state]);
	t.match(broken.isopod(way), { code: 1, stderr: /Make the container's folder: EROFS.*state/ });
});

t.test('a Node that is missing or not executable is named', (t) => {
	const broken = new BrokenPackage();
	t.teardown(() => broken.clean());
	const list = broken.path('dist/sandbox-files');
	const [, ...lines] = readFileSync(list, 'utf8').split('\n');
	const node = broken.path('node');
	copyFileSync(realpathSync(process.execPath), node);
	chmodSync(node, 0o644);
	for (const [path, reason] of [
		[broken.path('no-node'), 'No such file or directory'],
		[node, 'Permission denied'],
	] as const) {
		// The front falls back on the PATH's.
		writeFileSync(list, [path, ...lines].join('\n'));
		const { status, stderr } = spawnSync(broken.path('native/build/isopod'), ['--root', broken.state, 'run', 'c1'], {
			cwd: broken.bundle,
			env: { PATH: broken.bundle },
			encoding: 'utf8',
			timeout: LIMIT_MS,
		});
		t.equal(status, 1);
		t.match(stderr, /^isopod: run node: No such file or directory/, `${path}: ${reason}`);
	}
	t.strictSame(broken.leftovers(), []);
	t.end();
});

t.test('an exec that fails leaves the sandbox process with the descriptors it had', async (t) => {
	const broken = new BrokenPackage();
	t.teardown(() => broken.clean());
	const config = join(broken.bundle, 'config.json');
	const parsed = JSON.parse(readFileSync(config, 'utf8')) as { process: { args: string[] } };
	parsed.process.args = ['/bin/busybox', 'sleep', '1000'];
	writeFileSync(config, JSON.stringify(parsed));
	// Not through `isopod`: what goes on holds its ends of pipes.
	const run = [broken.path('dist/isopod.js'), '--root', broken.state, 'run', '--detach', 'c1'];
	t.equal(spawnSync(process.execPath, run, { cwd: broken.bundle, stdio: 'ignore' }).status, 0);
	const { pid } = JSON.parse(readFileSync(join(broken.state, 'c1/state.json'), 'utf8')) as { pid: number };
	const count = (): number => readdirSync(`/proc/${pid}/fd`).length;
	writeFileSync(join(broken.bundle, 'rootfs/bin/garbage'), '\x7fELF and no more', { mode: 0o755 });
	const exec = (...args: string[]): Ended => broken.isopod('command line', ['exec', ...args]);
	t.equal(exec('c1', '/bin/true').code, 0);
	const before = count();
	t.match(exec('c1', '/nope'), { code: 255, stderr: /no such file/ });
	t.match(exec('--cwd', '/nope', 'c1', '/bin/true'), { code: 255, stderr: /process\.cwd/ });
	// Its standard streams are the program's own when the program turns out to be none.
	t.not(exec('c1', '/bin/garbage').code, 0);
	await until(() => count() === before);
	const client = SandboxClient.connect(join(broken.state, 'c1/control.sock'));
	const stdio = [0, 1, 2].map(() => openSync('/dev/null', 'r+'));
	let connected = 0;
	for (let i = 0; i < 51; i++) {
		// What is opened once and kept (/proc, a folder of the tree) has been by then.
		if (i === 6) connected = count();
		const program = { args: [i % 3 === 2 ? '/bin/garbage' : i % 3 === 1 ? '/bin' : '/nope'], cwd: '/', env: [], user: { uid: 0, gid: 0 } };
		const exec = client.call({ exec: { containerId: 'c1', process: JSON.stringify(program) } }, stdio);
		if (i % 3 < 2) await t.rejects(exec, /no such file|permission denied/);
		else {
			const { execId } = await exec;
			t.not((await client.call({ wait: { containerId: 'c1', execId } })).status, 0);
		}
	}
	// The handle of the process that ended last goes with the next thing that happens.
	await client.call({ counts: { containerId: 'c1' } });
	await until(() => count() <= connected);
	client.close();
	for (const fd of stdio) closeSync(fd);
	t.equal(exec('c1', '/bin/true').code, 0);
	await until(() => count() === before);
	t.equal(broken.isopod('command line', ['delete', '--force', 'c1']).code, 0);
	t.strictSame(broken.leftovers(), []);
});
