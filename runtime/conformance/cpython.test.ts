// CPython's own tests of what programs ask of a kernel, on the host in a chroot and in the guest kernel: what passes there passes here.

import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'tap';
import { conformanceFolder, runInChroot, runProgramInGuest } from './sides.js';

/** A module that hangs ends here; the longest takes half of it. */
const moduleSeconds = 110;

/** Tests that pass on the host and don't in the guest kernel, and what their error says where it matters. */
const knownDifferences: readonly (readonly [tests: RegExp, reason: string, error?: RegExp])[] = [
	[/UDPLITE/, 'There is no UDP-Lite: Linux removes it in 7.0.'],
	[/^test\.test_fcntl\..*test_fcntl_64_bit$/, 'There is no F_NOTIFY (dnotify), which inotify replaced.'],
	[/\.PidfdSignalTest\.test_pidfd_send_signal$/, 'A folder of /proc is no pidfd; pidfd_open gives one.'],
	[
		/^test\.test_signal\.StressTest\.test_stress_delivery_simultaneous$/,
		'The host ends a call that the guest kernel has not received yet with EINTR when a handler without SA_RESTART interrupts it; here a timer of 10 µs.',
		/^InterruptedError\(4,/,
	],
];

const groups: readonly { readonly user: 'root' | 'nobody'; readonly modules: readonly string[] }[] = [
	{ user: 'root', modules: ['os', 'posix', 'fcntl', 'pty', 'select', 'mmap', 'tempfile', 'pathlib', 'shutil', 'threading', 'selectors'] },
	{ user: 'nobody', modules: ['os', 'posix', 'fcntl', 'pty', 'mmap', 'tempfile', 'pathlib', 'shutil'] },
	{ user: 'root', modules: ['subprocess', 'signal'] },
	{ user: 'root', modules: ['socket'] },
	{
		user: 'root',
		modules: [
			'events',
			'subprocess',
			'unix_events',
			'streams',
			'sock_lowlevel',
			'server',
			'sendfile',
			'base_events',
			'selector_events',
		].map((part) => `asyncio.test_${part}`),
	},
];

const folder = mkdtempSync(join(tmpdir(), 'isopod-cpython-'));
after(() => rmSync(folder, { recursive: true, force: true }));
// For nobody, too.
chmodSync(folder, 0o755);
for (const file of ['cpython.py', 'cpython.sh']) copyFileSync(join(conformanceFolder, file), join(folder, file));

for (const { user, modules } of groups) {
	test(`${modules.join(', ')} as ${user}`, async (t) => {
		const args = ['/bin/sh', '/mnt/cpython.sh', user, `${moduleSeconds}`, ...modules.map((module) => `test.test_${module}`)];
		const [host, guest] = await Promise.all([
			runInChroot(folder, 'ro', args, 'python'),
			runProgramInGuest(folder, args, 'python', 200_000),
		]);
		const expected = parse(host.stdout);
		const found = parse(guest.stdout);
		for (const [module, tests] of expected) {
			const inside = found.get(module) ?? new Map<string, Outcome>();
			t.ok(tests.has(''), `${module} comes to its end on the host`);
			t.ok(inside.has(''), `${module} comes to its end in the guest kernel: ${[...inside.keys()].at(-1)}${guest.log.slice(-2000)}`);
			let passed = 0;
			let total = 0;
			for (const [name, { outcome }] of tests) {
				if (name === '' || outcome !== 'ok') continue;
				total++;
				const here = inside.get(name);
				if (here?.outcome === 'ok') passed++;
				else if (!knownDifferences.some(([known, , error]) => known.test(name) && (error ?? /^/).test(here?.note ?? '')))
					t.fail(`${name}: ${here?.outcome ?? 'not run'} ${here?.note ?? ''}`);
			}
			t.comment(`${module} as ${user}: ${passed} of ${total} tests that pass on the host`);
		}
		t.equal(expected.size, modules.length, host.stderr.toString().slice(-2000));
	});
}

interface Outcome {
	readonly outcome: string;
	readonly note: string;
}

/** The tests' outcomes by module and name. A module that came to its end has one of the empty name. */
function parse(bytes: Buffer): Map<string, Map<string, Outcome>> {
	const result = new Map<string, Map<string, Outcome>>();
	let tests = new Map<string, Outcome>();
	for (const line of bytes.toString().split('\n')) {
		const module = /^=MODULE (\S+)$/.exec(line)?.[1];
		const [outcome = '', name, note = ''] = line.split('\t');
		if (module !== undefined) {
			tests = new Map();
			result.set(module, tests);
		} else if (name !== undefined && tests.get(name)?.outcome !== 'failed') tests.set(name, { outcome, note });
	}
	return result;
}
