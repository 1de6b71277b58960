import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

const testdata = resolve('native/loader/testdata');
const native = resolve('native');
const loader = join(native, 'build/isopod-loader');
// Not below a folder that tap cleans: the supervisor's guests execute from here.
const folder = mkdtempSync('/tmp/isopod-loader-');
t.teardown(() => rmSync(folder, { recursive: true }));

const supervisor = join(folder, 'supervisor');
const warnings = ['-Wall', '-Wextra', '-Werror'];

function compile(compiler: string, name: string, source: string, flags: readonly string[]): string {
	const output = join(folder, name);
	execFileSync(compiler, ['-std=gnu17', '-O1', ...warnings, '-o', output, join(testdata, source), ...flags]);
	return output;
}

function script(name: string, line: string): string {
	const path = join(folder, name);
	writeFileSync(path, `${line}\n`);
	chmodSync(path, 0o755);
	return path;
}

interface Outcome {
	readonly status: number;
	readonly output: string;
}

function outcome(command: string, args: readonly string[]): Outcome {
	const env = { LC_ALL: 'C', PATH: '/usr/bin:/bin', A: 'b' };
	const { status, signal, stdout, stderr } = spawnSync(command, args, { env, encoding: 'utf8', timeout: 60_000 });
	return { status: signal === 'SIGSEGV' ? 139 : (status ?? -1), output: stdout + stderr };
}

const onHost = (program: string, ...args: string[]): Outcome => outcome(program, args);
const loaded = (program: string, ...args: string[]): Outcome => outcome(supervisor, [loader, program, ...args]);
const loadedWith = (options: string[], program: string, ...args: string[]): Outcome =>
	outcome(supervisor, [...options, loader, program, ...args]);

if (process.getuid?.() !== 0) t.bailout('the loader is tried in a mount namespace and a chroot of its own: this test needs root');
execFileSync('make', ['-s', '-C', native, 'build/isopod-loader']);
compile('gcc', 'supervisor', 'supervisor.c', ['-Wno-format-truncation']);

const check = ['-pthread', '-DALIGNMENT=64'];
const builds: [name: string, compiler: string, flags: string[]][] = [
	['pie', 'gcc', [...check, '-pie', '-fpie']],
	['non-pie', 'gcc', [...check, '-no-pie', '-fno-pie', '-mcmodel=medium']],
	['static', 'gcc', [...check, '-static']],
	['static-pie', 'gcc', [...check, '-static-pie', '-fpie']],
	['executable-stack', 'gcc', [...check, '-pie', '-fpie', '-z', 'execstack']],
	['aligned', 'gcc', ['-pthread', '-DALIGNMENT=2097152', '-pie', '-fpie', '-Wl,-z,max-page-size=2097152']],
];
if (existsSync('/usr/bin/musl-gcc')) builds.push(['musl', 'musl-gcc', check], ['musl-static', 'musl-gcc', [...check, '-static']]);

for (const [name, compiler, flags] of builds) {
	t.test(`a ${name} program sees what it sees on the host`, async (t) => {
		const program = compile(compiler, name, 'check.c', flags);
		for (const args of [['args'], ['args', 'a', '', 'c d'], ['heap'], ['memory'], ['stack'], ['thread', program, 'args', 'x']]) {
			const expected = onHost(program, ...args);
			t.same(loaded(program, ...args), expected, `${args[0]}, placed by the host`);
			t.same(loadedWith(['-f'], program, ...args), expected, `${args[0]}, placed by the guest kernel`);
		}
		t.match(loaded(program, 'heap').output, /^room for 64 GiB 1\n1 GiB by brk 1\nnot zero: 0\n(malloc from brk 1\n)?$/);
	});
}

t.test('the stack is executable only for a program that asks', async (t) => {
	t.same(loaded(join(folder, 'executable-stack'), 'stack'), { status: 0, output: 'code on the stack: 42 42\n' });
	t.equal(loaded(join(folder, 'pie'), 'stack').status, 139);
});

t.test('a program starts with the registers that execve leaves', async (t) => {
	for (const flags of [['-static'], ['-static-pie', '-fpie']]) {
		const program = compile('gcc', 'entry', 'entry.c', [...flags, '-nostdlib', '-fno-stack-protector']);
		t.same(loaded(program), onHost(program), flags.join(' '));
	}
});

t.test('heaps have room on any stack limit', async (t) => {
	for (const limit of ['unlimited', '1024', '64000000']) {
		const program = join(folder, 'pie');
		const { output } = outcome('/bin/bash', ['-c', `ulimit -s ${limit} && exec ${supervisor} ${loader} ${program} heap`]);
		t.match(output, /^room for 64 GiB 1\n1 GiB by brk 1\n/, limit);
	}
});

t.test('#! puts its interpreter, argument and path in place of the first argument', async (t) => {
	const program = join(folder, 'pie');
	let path = script('script-0', `#!${program} args  with spaces \t`);
	const paths = [path, script('plain', `#! ${join(folder, 'static')}`)];
	for (let level = 1; level < 7; level++) {
		path = script(`script-${level}`, `#!${path}${level % 2 === 0 ? ' inner argument' : ''}`);
		paths.push(path);
	}
	// With an argv[0] that is not the path: it is what gets lost.
	const run = ['-e', 'my $path = shift; exec {$path} @ARGV or print "$!\\n"'];
	for (const path of paths) {
		for (const args of [['zeroth', 'x', 'y'], ['zeroth']]) {
			t.same(loaded('/usr/bin/perl', ...run, path, ...args), onHost('/usr/bin/perl', ...run, path, ...args), `${path} ${args.join(' ')}`);
		}
	}
});

t.test('the auxiliary vector says what the plan says', async (t) => {
	const program = join(folder, 'pie');
	const { output } = loadedWith(['-u', '100', '-s', '-x', '/dev/fd/7'], program, 'args');
	t.match(output, /\nids 100 101 102 103\n/);
	t.match(output, /secure 1,/);
	t.match(output, /\nexecfn \/dev\/fd\/7\n/);
	t.match(output, /^argc 2\n/);
	t.match(loadedWith(['-x', '/dev/fd/7'], join(folder, 'plain'), 'q').output, /\nexecfn \/dev\/fd\/7\n/);
});

t.test('the loader dies of SIGSEGV when it cannot follow its plan', async (t) => {
	t.equal(loadedWith(['-v', '2'], join(folder, 'pie')).status, 139);
});

t.test('the loader exits with 127 where nobody answers', async (t) => {
	t.same(onHost(loader), { status: 127, output: '' });
});

t.test('real programs run', async (t) => {
	const python = "import subprocess, threading, sqlite3\nprint(subprocess.run(['/bin/echo', 'sub'], capture_output=True))";
	const commands = [
		['/bin/dash', '-c', 'echo a | /bin/cat; (exit 3); echo $?; exec /bin/echo last'],
		['/bin/bash', '-c', 'for i in 1 2 3; do x=$(/bin/echo $i | /usr/bin/tr 1 4); echo $x; done; wait; kill -9 $$'],
		['/bin/ls', '-l', '/usr'],
		['/usr/bin/python3', '-c', python],
		['/usr/bin/busybox', 'sh', '-c', 'busybox seq 3 | busybox sort -r'],
	];
	for (const [program, ...args] of commands) {
		if (!existsSync(program!)) continue;
		const host = onHost(program!, ...args);
		t.same(loaded(program!, ...args), host.status === -1 ? { ...host, status: 137 } : host, [program, ...args].join(' '));
	}
});

t.test('sanitizers find room for their shadow memory', async (t) => {
	for (const sanitizer of ['address', 'thread']) {
		const program = join(folder, sanitizer);
		const source = join(folder, 'empty.c');
		writeFileSync(source, '#include <stdlib.h>\nint main(void) { free(malloc(100)); return 42; }\n');
		// Its library may be missing.
		if (spawnSync('gcc', [`-fsanitize=${sanitizer}`, '-o', program, source]).status !== 0) continue;
		const expected = onHost(program);
		t.equal(expected.status, 42);
		t.same(loaded(program), expected, sanitizer);
		t.same(loadedWith(['-f'], program), expected, sanitizer);
	}
});

t.test('the loader file is two page-aligned segments, none writable and executable, and the gate', async (t) => {
	const headers = execFileSync('readelf', ['-lW', loader], { encoding: 'utf8' });
	t.same(
		[...headers.matchAll(/^ {2}LOAD.* ([R ][W ][E ]) 0x(\w+)$/gm)].map((match) => [match[1], match[2]]),
		[
			['R E', '1000'],
			['RW ', '1000'],
		],
	);
	t.match(headers, /GNU_STACK.* RW /);
	const constants = execFileSync('gcc', ['-E', '-dM', '-x', 'c', join(native, 'plan.h')], { encoding: 'utf8' });
	const gate = /ISOPOD_GATE_IP 0x(\w+)/.exec(constants)![1];
	const code = execFileSync('objdump', ['-d', loader], { encoding: 'utf8' });
	const lines = code.split('\n');
	const at = lines.findIndex((line) => line.includes(`${gate}:`));
	t.match(lines[at - 1], /syscall/);
	t.match(lines[at], /ret/);
});
