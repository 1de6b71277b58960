import { mkdtempSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import t from 'tap';
import { EACCES, ENETUNREACH, ENOSYS, EPERM, EROFS, ESRCH } from '../../kernel/abi/errno.js';
import { SYSCALLS } from '../../kernel/syscalls/table.js';
import { native } from '../../native.js';
import { launchSandbox, sandboxFiles } from '../launch.js';
import { ownRules } from './confinement.js';
import type { ProbeReport } from './confinement-probe.js';
import { OWN_SYSCALLS } from './own-syscalls.js';

/** An id range that no container of this machine has: the highest slot. */
const ID_SLOT = 4000;

t.test('the list names each call once, by a name that Linux has', (t) => {
	const names = OWN_SYSCALLS.map(({ name }) => name);
	t.strictSame([...new Set(names)], names);
	for (const name of names)
		t.ok(
			SYSCALLS.some((call) => call.name === name),
			name,
		);
	t.ok(native.compileFilter(ownRules(), 1) instanceof Uint8Array);
	t.end();
});

t.test("from inside a sandbox process the host's files, network, processes and mounts are out of reach", async (t) => {
	const { report, files } = await probe();
	const folders = ['dev', 'guest', 'memory', 'memory-noexec', 'proc'];
	t.strictSame(report.root, [...new Set([...folders, ...files.map((file) => file.split('/')[1]!)])].sort());
	// Itself and the spawner, whose name is Node's, too.
	t.equal(report.processes.length, 2, report.processes.join());
	for (const [name, id] of Object.entries(report.namespaces)) {
		t.match(id, new RegExp(`^${name}:\\[\\d+\\]$`));
		t.not(id, readlinkSync(`/proc/self/ns/${name}`), `a ${name} namespace of its own`);
	}
	t.strictSame(report.networkDevices, ['lo']);
	const points = report.mounts.trim().split('\n');
	const own = ['/', '/dev/null', '/dev/urandom', '/guest', '/memory', '/memory-noexec', '/proc'];
	t.strictSame(points.map((line) => line.split(' ')[1]).sort(), [...own, ...files].sort());
	for (const line of points) if (!/ \/(guest|memory|memory-noexec|proc) /.test(line)) t.match(line, / ro,/);
	t.strictSame(report.attempts, {
		hostFile: 'ENOENT',
		hostFileByParent: 'ENOENT',
		hostProcessRoot: 'ENOENT',
		writeRoot: -EROFS,
		writeSysctl: -EACCES,
		execute: 'EPERM',
		fork: -EPERM,
		userNamespace: -EPERM,
		clone3: -ENOSYS,
		unixSocket: -EPERM,
		packetSocket: -EPERM,
		auditSocket: -EPERM,
		hostConnection: -ENETUNREACH,
		killHost: -ESRCH,
		traceAttach: -EPERM,
		readHostMemory: -ESRCH,
		terminalInput: -EPERM,
		cloneTree: -EPERM,
		priority: -EPERM,
	});
	for (const [name, result] of Object.entries(report.unlisted)) t.equal(result, -EPERM, name);
	t.ok(Object.keys(report.unlisted).length > 150);
});

/** Launches the probe as a sandbox process is launched: what it found, and the files that it was given, by their paths inside. */
async function probe(): Promise<{ report: ProbeReport; files: string[] }> {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-confinement-'));
	try {
		const bundle = join(folder, 'probe.cjs');
		await build({
			entryPoints: [resolve('runtime/sandbox/process/confinement-probe.ts')],
			outfile: bundle,
			bundle: true,
			platform: 'node',
			format: 'cjs',
			external: ['*.node'],
			logLevel: 'silent',
		});
		writeFileSync(join(folder, 'host-pid'), String(process.pid));
		const files = sandboxFiles(realpathSync('.')).map((file) => (file.endsWith(':/sandbox.cjs') ? `${bundle}:/sandbox.cjs` : file));
		files.push(`${join(folder, 'host-pid')}:/host-pid`, `${realpathSync('build/Release/raw-syscall.node')}:/raw-syscall.node`);
		// The package is found from the command that runs.
		process.argv[1] = resolve('dist/isopod.js');
		const log = join(folder, 'log');
		const { pid } = launchSandbox(join(folder, 'control.sock'), log, ID_SLOT, null, files);
		for (let i = 0; i < 500 && native.reap(pid) < 0; i++) await sleep(20);
		const text = readFileSync(log, 'latin1');
		if (!text.startsWith('{')) throw new Error(`The probe wrote: ${text}`);
		return { report: JSON.parse(text) as ProbeReport, files: files.map((file) => file.slice(file.lastIndexOf(':') + 1)) };
	} finally {
		rmSync(folder, { recursive: true });
	}
}
