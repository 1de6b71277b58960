import { spawnSync } from 'node:child_process';
import t from 'tap';
import { addon, addonPath, packageRoot } from './test-guests.js';

const SIGSYS = 'SIGSYS';

/** Runs a script in a Node process of its own, with `addon` and `rules(...forbidden)` at hand. */
function run(script: string): { signal: string | null; output: string } {
	const prelude = `
		const addon = require(${JSON.stringify(addonPath)});
		const rules = (...forbidden) => {
			const words = [];
			for (let number = 0; number < 470; number++) if (!forbidden.includes(number)) words.push(number, 0, 0);
			return Uint32Array.from(words);
		};
	`;
	// Only standard output: a test runner's hooks may complain about what they were forbidden.
	const { signal, stdout } = spawnSync(process.execPath, ['-e', prelude + script], { encoding: 'utf8', cwd: packageRoot });
	return { signal, output: stdout.trim() };
}

t.test('confine() forbids a call to every thread', async (t) => {
	// mkdir (83) and mkdirat (258): the first by this thread, the other by one of Node's pool.
	const { output } = run(`
		const before = require('fs').promises.stat('/');
		before.then(() => {
			console.log(addon.confine(rules(83, 258), 1));
			console.log(addon.mkdirat(-100, '/tmp/isopod-forbidden', 0o700));
			require('fs').promises.mkdir('/tmp/isopod-forbidden').catch((error) => console.log(error.code));
		});
	`);
	t.same(output.split('\n'), ['0', '-1', 'EPERM']);
});

t.test('confine() with 0 kills', async (t) => {
	const { signal } = run('addon.confine(rules(83, 258), 0); addon.mkdirat(-100, "/tmp/isopod-forbidden", 0o700);');
	t.equal(signal, SIGSYS);
});

t.test('spawn() after confine() makes a guest whose calls trap', async (t) => {
	// The private number and execve are not on the list; a guest that inherited it would see EPERM.
	const { output } = run(`
		const { mkdtempSync, writeFileSync } = require('fs');
		const { execFileSync } = require('child_process');
		const root = mkdtempSync('/tmp/isopod-confine-');
		execFileSync('gcc', ['-O1', '-static', '-o', root + '/x', 'native/addon/testdata/descriptors.c']);
		const batch = new Int32Array(64 * addon.RECORD_WORDS);
		addon.setBatch(batch);
		console.log(addon.confine(rules(59, 272, 165), 1));
		const filter = addon.compileFilter(Uint32Array.from([0x1500, 1, 0, 59, 1, 0]), 0);
		const rootFd = addon.openat2(-100, root, 0o200000, 0, 0);
		const { pid, failedStep } = addon.spawn({
			listener: 1, filter, rootFd, cwd: '/', path: '/x', argv: ['x'], envp: [], insideUid: 0, insideGid: 0,
			limits: [], joinPid: 0, netnsFd: -1, cookie: 0,
		});
		console.log(failedStep);
		for (const wanted of [59, 0x1500]) {
			addon.wait(2e9);
			console.log(batch[5] === wanted);
			addon.continueTrap(1, batch[2], batch[3]);
		}
		addon.unlinkat(rootFd, 'x', false);
		addon.unlinkat(-100, root, true);
		addon.sendSignal(pid, -1, 9);
	`);
	t.same(output.split('\n'), ['0', 'null', 'true', 'true']);
});

t.test('probeHost() finds this host good enough, and quickly', async (t) => {
	const start = performance.now();
	const probe = addon.probeHost();
	const spent = performance.now() - start;
	t.same(
		Object.entries(probe).filter(([, reason]) => reason !== null),
		[],
	);
	t.ok(spent < 1000, `${Math.round(spent)} ms`);
});
