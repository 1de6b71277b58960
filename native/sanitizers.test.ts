import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';

// What of the native parts runs without Node and without a sandbox, under AddressSanitizer and UndefinedBehaviorSanitizer: libFuzzer's targets for what reads a guest's
// bytes (scripts/fuzz.mjs runs them for longer), and the programs that read an operator's.
const SANITIZE = ['-g', '-O1', '-Wall', '-Wextra', '-Werror', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const FUZZ_SECONDS = 10;

const native = resolve('native');
const folder = mkdtempSync(join(tmpdir(), 'isopod-sanitizers-'));
t.teardown(() => rmSync(folder, { recursive: true }));

function compile(name: string, ...sources: readonly string[]): string {
	const program = join(folder, name);
	const files = sources.map((source) => join(native, source));
	execFileSync('gcc', ['-std=gnu17', '-DISOPOD_VERSION="test"', ...SANITIZE, '-o', program, ...files]);
	return program;
}

for (const target of ['filter', 'loader', 'calls', 'agent']) {
	t.test(`nothing is found by ${FUZZ_SECONDS} seconds of fuzzing: ${target}`, (t) => {
		const { status, stderr } = spawnSync(process.execPath, ['scripts/fuzz.mjs', `${FUZZ_SECONDS}`, target], { encoding: 'utf8' });
		t.equal(status, 0, stderr.slice(-8000));
		t.match(stderr, /stat::number_of_executed_units: [1-9]\d{2,}/);
		t.end();
	});
}

t.test('the launcher refuses every kind of bad argument without a fault', (t) => {
	const launcher = compile('launcher', 'launcher/launcher.c');
	const long = 'x'.repeat(5000);
	const bad: readonly (readonly string[])[] = [
		[],
		['--'],
		['--', 'relative'],
		['--id-base'],
		['--id-base', ''],
		['--id-base', '0', '--', '/x'],
		['--id-base', '99999999999999999999', '--', '/x'],
		['--id-base', '4294967290', '--id-count', '4294967290', '--', '/x'],
		['--id-count', '0', '--', '/x'],
		['--file', ':', '--', '/x'],
		['--file', '/a:', '--', '/x'],
		['--file', '/a:/b/../c', '--', '/x'],
		['--file', `/a:/${long}`, '--', '/x'],
		['--file', `/etc/passwd:/${'y'.repeat(300)}`, '--', '/x'],
		['--file', `/${long}:/b`, '--', '/x'],
		['--tmpfs', '', '--', '/x'],
		['--loader', long, '--', '/x'],
		['--fd', '3', '--', '/x'],
		['--fd', '1:99999', '--', '/x'],
		['--fd', '999:4', '--', '/x'],
		['--fd', '1:4', '--fd', '2:4', '--', '/x'],
		['--env', long, '--', '/x'],
		['--netns', long, '--', '/x'],
		['--netns', '/etc/passwd', '--', '/x'],
		['--cgroup', '/no/such/file', '--', '/x'],
		['--rlimit', long, '--', '/x'],
		['--rlimit', 'nofile=1', '--', '/x'],
		['--rlimit', 'nofile=2:1', '--', '/x'],
		['--rlimit', '=:', '--', '/x'],
		['--rlimit', 'nofile=18446744073709551615:18446744073709551615', '--', '/x'],
		['--oom-score-adj', '', '--', '/x'],
		['--oom-score-adj', '-', '--', '/x'],
		['--hostname', '', '--', '/x'],
		['--hostname', long, '--', '/x'],
		['--report-fd', '77', '--', '/x'],
		['--capabilities', '', '--', '/x'],
		['--capabilities', 'xyz', '--', '/x'],
		['--death-signal', '65', '--', '/x'],
		['--unknown', 'x', '--', '/x'],
		[...Array.from({ length: 300 }, () => ['--env', 'A=b']).flat(), '--', '/x'],
		['--', '/no/such/program'],
	];
	for (const args of bad) {
		const { status, stderr } = spawnSync(launcher, args, { encoding: 'utf8' });
		t.equal(status, 1);
		t.match(stderr, /^isopod-launcher: .+: .+\n$/, args.join(' ').slice(0, 60));
		t.notMatch(stderr, /Sanitizer|runtime error/);
	}
	t.end();
});

t.test('the front passes any command line on, and cleans up after a launcher that is not there', (t) => {
	mkdirSync(join(folder, 'native/build'), { recursive: true });
	mkdirSync(join(folder, 'dist'));
	const front = compile('native/build/isopod', 'front/front.c', 'front/early.c');
	const state = join(folder, 'state');
	const long = 'x'.repeat(9000);
	const lines: readonly (readonly string[])[] = [
		[],
		['--root'],
		['--root', long, 'run', 'a'],
		['--root', join(folder, 'y'.repeat(200)), 'run', 'a'],
		[`--root=${join(folder, 'z/z')}`, 'create'],
		['--root=', 'run'],
		['--log-format'],
		['--debug', '--root', state, '--log-format=text', 'run', 'a'],
		Array.from({ length: 500 }, () => '-x'),
	];
	for (const [list, wanted] of [
		[null, { status: 1, stderr: 'isopod: run node: No such file or directory\n' }],
		['', { status: 1, stderr: 'isopod: run node: No such file or directory\n' }],
		['/bin/true\n', { status: 0, stderr: '' }],
		[`/bin/true\n${'/a:/b\n'.repeat(200)}`, { status: 0, stderr: '' }],
		[`/bin/true\n${long.repeat(5)}`, { status: 1, stderr: 'isopod: run node: No such file or directory\n' }],
	] as const) {
		if (list !== null) writeFileSync(join(folder, 'dist/sandbox-files'), list);
		for (const args of lines) t.match(spawnSync(front, args, { encoding: 'utf8', env: { PATH: join(folder, 'dist') } }), wanted);
	}
	// Those whose launcher could not be started are the command line's to discard, which here is /bin/true.
	for (const name of readdirSync(state)) t.match(name, /^\.(ids|early-\d+)$/);
	t.end();
});

t.test('the shim takes any command line and any config.json', (t) => {
	const root = join(folder, 'shim');
	mkdirSync(join(root, 'native/build'), { recursive: true });
	mkdirSync(join(root, 'dist'));
	mkdirSync(join(root, 'bundle'));
	// In Node's place: nothing is to be served.
	writeFileSync(join(root, 'dist/sandbox-files'), '/bin/true\n');
	const shim = compile('shim/native/build/containerd-shim-isopod-v1', 'shim/shim.c', 'shim/bootstrap.c', 'front/early.c');
	const namespace = `test-${process.pid}`;
	t.teardown(() => {
		for (const name of readdirSync('/run/containerd/s')) if (name.includes(namespace)) rmSync(join('/run/containerd/s', name));
		rmSync(`/run/containerd/isopod/${namespace}`, { recursive: true, force: true });
	});
	const run = (args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } =>
		spawnSync(shim, args, { cwd: join(root, 'bundle'), encoding: 'utf8' });
	const ours = ['-namespace', namespace];
	for (const [args, wanted] of [
		[[], /want -id/],
		[['-id'], /want -id/],
		[['-id', 'a/b', '-namespace', 'x', 'start'], /want -id/],
		[['-id', 'a', 'start'], /want -namespace/],
		[['--id=a', ...ours, 'x'.repeat(9000)], /want start, delete or -info/],
		[['-id', 'a', ...ours], /want start, delete or -info/],
		[['-id', 'a', ...ours, 'start'], /open config.json of the bundle/],
		[['-id', 'y'.repeat(300), ...ours, 'delete'], /too long/],
	] as const) {
		const { status, stderr } = run(args);
		t.equal(status, 1, args.join(' ').slice(0, 60));
		t.match(stderr, wanted);
		t.notMatch(stderr, /Sanitizer|runtime error/);
	}
	const key = '"io.kubernetes.cri.sandbox-id"';
	for (const [config, group] of [
		['', 'a'],
		['{', 'a'],
		[`{"annotations":{${key}:"pod"}}`, 'pod'],
		[`{"annotations":{${key} :\n"pod"}}`, 'pod'],
		[`{"annotations":{${key}:"../pod"}}`, 'a'],
		[`{"annotations":{${key}:"po\\"d"}}`, 'a'],
		[`{"annotations":{${key}:"${'p'.repeat(5000)}"}}`, 'a'],
		[`{"annotations":{${key}:`, 'a'],
		[`{"annotations":{"x":${JSON.stringify(`${key}:"stolen"`)}}}`, 'a'],
		[key, 'a'],
		[`{"annotations":{"io.containerd.runc.v2.group":"group",${key}:"pod"}}`, 'group'],
		[' '.repeat(9 << 20), 'a'],
	] as const) {
		writeFileSync(join(root, 'bundle/config.json'), config);
		const { status, stdout, stderr } = run(['-id', 'a', ...ours, 'start']);
		t.equal(status, 0, stderr);
		t.equal(stdout, `unix:///run/containerd/s/isopod-${namespace}-${group}`, config.slice(0, 80));
		t.equal(readFileSync(join(root, 'bundle/address'), 'utf8'), stdout);
		t.notMatch(stderr, /Sanitizer|runtime error/);
	}
	t.end();
});
