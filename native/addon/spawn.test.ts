import { readFileSync, readlinkSync } from 'node:fs';
import t from 'tap';
import {
	addon,
	answer,
	buildGuest,
	ENDED,
	LISTENER_GONE,
	NR_EXECVE,
	reapWhenDone,
	runGuest,
	startGuest,
	TRAP,
	TRAP_A,
	trapping,
	waitEvents,
	waitFor,
} from './test-guests.js';

const NAMESPACES = ['user', 'pid', 'mnt', 'net', 'ipc', 'uts'];
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
const SIGKILL = 9;

const statusOf = (pid: number): Map<string, string> =>
	new Map(
		readFileSync(`/proc/${pid}/status`, 'utf8')
			.split('\n')
			.map((line) => [line.split(':')[0] ?? '', line.split(':')[1]?.trim() ?? '']),
	);

t.test('spawn() makes execve the first trap, of a process with nothing of its parent', async (t) => {
	const rootFd = buildGuest('descriptors');
	const trapEverything = addon.compileFilter(Uint32Array.from([72, 0, 0, 231, 0, 0]), 1) as Uint8Array;
	const guest = startGuest(rootFd, { filter: trapEverything, argv: ['x', 'last'], envp: ['A=b'], cookie: 4711 });
	const exec = waitFor(TRAP);
	t.equal(exec.number, NR_EXECVE);
	t.equal(exec.tid, guest.pid);
	const buffer = new Uint8Array(4096);
	t.equal(addon.readString(exec.tid, exec.args[0] ?? 0, buffer), 2);
	t.equal(Buffer.from(buffer.subarray(0, 2)).toString(), '/x');
	t.equal(addon.getCookie(guest.pid), 4711);
	t.equal(addon.setCookie(guest.pid, 4712), 0);
	t.equal(addon.getCookie(guest.pid), 4712);

	const status = statusOf(guest.pid);
	for (const set of ['CapPrm', 'CapEff', 'CapInh', 'CapBnd', 'CapAmb', 'SigBlk', 'SigIgn', 'SigCgt']) {
		t.equal(status.get(set), '0000000000000000', set);
	}
	t.equal(status.get('NoNewPrivs'), '1');
	t.match(status.get('NSpid'), /\t1$/);
	for (const kind of NAMESPACES) {
		t.not(readlinkSync(`/proc/${guest.pid}/ns/${kind}`), readlinkSync(`/proc/self/ns/${kind}`), `its own ${kind} namespace`);
	}
	const mounts = readFileSync(`/proc/${guest.pid}/mounts`, 'utf8').trim().split('\n');
	t.equal(mounts.length, 1, 'one mount');
	t.match(mounts[0], / \/ \S+ ro,nosuid,nodev/);
	addon.sendSignal(guest.pid, -1, SIGKILL);
	t.equal(reapWhenDone(guest.pid), SIGKILL);
	t.equal(addon.reap(guest.pid), -10);
	addon.close(rootFd);
	waitFor(LISTENER_GONE);
});

t.test('spawn() gives the program its arguments and no descriptor at all', async (t) => {
	// One that isn't close-on-exec, as a careless library might leave it.
	addon.setCloseOnExec(addon.dup(0), false);
	const guest = runGuest('descriptors', { argv: ['x', 'one', 'last'], envp: ['A=b'] });
	const report = waitFor(TRAP);
	t.equal(report.number, TRAP_A);
	t.equal(report.args[0], 0, 'open descriptors');
	t.equal(report.args[1], 3);
	const buffer = new Uint8Array(16);
	t.equal(addon.readString(report.tid, report.args[2] ?? 0, buffer), 4);
	t.equal(Buffer.from(buffer.subarray(0, 4)).toString(), 'last');
	t.equal(addon.readString(report.tid, report.args[3] ?? 0, buffer), 3);
	t.equal(Buffer.from(buffer.subarray(0, 3)).toString(), 'A=b');
	t.equal(addon.watchEnd(guest.pid, 5, false) > 2, true);
	answer(report, 0);
	const seen = new Set<number>();
	while (!seen.has(ENDED) || !seen.has(LISTENER_GONE)) for (const event of waitEvents()) seen.add(event.kind);
	t.equal(addon.reap(guest.pid), 7 << 8);
});

t.test('spawn() lowers limits to the hard ones there are, and -1 is no limit', async (t) => {
	const rootFd = buildGuest('descriptors');
	const guest = startGuest(rootFd, {
		limits: [
			[RLIMIT_CORE, 1, 1],
			[RLIMIT_NOFILE, -1, -1],
		],
	});
	const old = new Float64Array(2);
	t.equal(addon.prlimit(guest.pid, RLIMIT_CORE, null, old), 0);
	t.same([...old], [1, 1]);
	const mine = new Float64Array(2);
	addon.prlimit(0, RLIMIT_NOFILE, null, mine);
	addon.prlimit(guest.pid, RLIMIT_NOFILE, null, old);
	t.same([...old], [mine[1], mine[1]]);
	addon.sendSignal(guest.pid, -1, SIGKILL);
	reapWhenDone(guest.pid);
	addon.close(rootFd);
});

t.test('spawn() with joinPid puts the process into the namespaces of the other, as a child of this one', async (t) => {
	const rootFd = buildGuest('descriptors');
	const first = startGuest(rootFd);
	const second = startGuest(rootFd, { joinPid: first.pid });
	for (const kind of NAMESPACES) {
		t.equal(readlinkSync(`/proc/${second.pid}/ns/${kind}`), readlinkSync(`/proc/${first.pid}/ns/${kind}`), kind);
	}
	const namespaceFd = addon.openNamespace(first.pid, 'pid');
	t.equal(addon.translatePid(namespaceFd, first.pid, false, true), 1);
	t.equal(addon.translatePid(namespaceFd, second.pid, false, true), 2);
	t.equal(addon.translatePid(namespaceFd, 2, false, false), second.pid);
	t.equal(addon.translatePid(namespaceFd, 999, false, false), -3);
	addon.close(namespaceFd);
	addon.sendSignal(first.pid, -1, SIGKILL);
	t.equal(reapWhenDone(second.pid), SIGKILL, 'the end of the namespace ends it');
	t.equal(reapWhenDone(first.pid), SIGKILL);
	addon.close(rootFd);
});

t.test('spawn() into a given network namespace', async (t) => {
	const rootFd = buildGuest('descriptors');
	const netnsFd = addon.openNamespace(process.pid, 'net');
	const guest = startGuest(rootFd, { netnsFd });
	t.equal(readlinkSync(`/proc/${guest.pid}/ns/net`), readlinkSync('/proc/self/ns/net'));
	t.not(readlinkSync(`/proc/${guest.pid}/ns/user`), readlinkSync('/proc/self/ns/user'));
	addon.sendSignal(guest.pid, -1, SIGKILL);
	reapWhenDone(guest.pid);
	addon.close(netnsFd);
	addon.close(rootFd);
});

t.test('spawn() names the step that failed and leaves nothing behind', async (t) => {
	const rootFd = buildGuest('descriptors');
	const descriptors = readdirCount('/proc/self/fd');
	const options = {
		listener: 900,
		filter: trapping(),
		rootFd,
		cwd: '/nowhere',
		path: '/x',
		argv: ['x'],
		envp: [],
		insideUid: 0,
		insideGid: 0,
		limits: [],
		joinPid: 0,
		netnsFd: -1,
		cookie: 0,
	};
	t.same(addon.spawn(options), { pid: -2, failedStep: 'enter the root' });
	t.same(addon.spawn({ ...options, cwd: '/', filter: new Uint8Array(8) }), { pid: -22, failedStep: 'install the filter' });
	t.same(addon.spawn({ ...options, cwd: '/', rootFd: 9999 }), { pid: -9, failedStep: 'look at the root' });
	t.same(addon.spawn({ ...options, cwd: '/', joinPid: 0x3fffff }), { pid: -3, failedStep: 'find the process to join' });
	t.equal(addon.spawn({ ...options, cwd: '/', argv: ['a'.repeat(5 << 20)] }).pid, -7);
	t.throws(() => addon.spawn({ ...options, argv: [1] as unknown as string[] }), TypeError);
	t.equal(readdirCount('/proc/self/fd'), descriptors);
	addon.close(rootFd);
});

function readdirCount(path: string): number {
	const buffer = new Uint8Array(1 << 16);
	const fd = addon.openat2(-100, path, 0o200000, 0, 0);
	const bytes = addon.getdents64(fd, buffer);
	addon.close(fd);
	let count = 0;
	const view = new DataView(buffer.buffer);
	for (let at = 0; at < bytes; at += view.getUint16(at + 16, true)) count++;
	return count;
}
