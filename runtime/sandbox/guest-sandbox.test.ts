import { spawnSync } from 'node:child_process';
import {
	closeSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { findHierarchies } from '../oci/cgroup/hierarchies.js';
import { parseConfig } from '../oci/config.js';
import { processStart, StateStore } from '../oci/state.js';
import { findHandler } from './handlers.js';
import type { ContainerSpec, Sandbox } from './sandbox.js';

const PACKAGE = resolve(import.meta.dirname, '../../..');
const handler = findHandler('isopod');
let lastNumber = 0;

interface Changes {
	readonly process?: object;
	readonly linux?: object;
	readonly mounts?: readonly object[];
	readonly annotations?: Readonly<Record<string, string>>;
	readonly stdio?: readonly number[];
}

/** Folders of a test: records, and a root file system of busybox. */
class Host {
	readonly folder = mkdtempSync(join(tmpdir(), 'isopod-pod-'));
	readonly rootfs = join(this.folder, 'rootfs');
	readonly store = new StateStore(join(this.folder, 'state'));
	readonly id = `pod-${process.pid}-${lastNumber++}`;

	constructor() {
		for (const folder of ['bin', 'dev', 'proc', 'tmp', 'volume']) mkdirSync(join(this.rootfs, folder), { recursive: true });
		const busybox = ['/bin/busybox', join(PACKAGE, '.isopod/rootfs/base/bin/busybox')].find((file) => existsSync(file));
		copyFileSync(busybox!, join(this.rootfs, 'bin/busybox'));
		for (const applet of ['sh', 'sleep', 'cat', 'stty', 'echo', 'ps', 'tail', 'head', 'ls', 'awk'])
			symlinkSync('busybox', join(this.rootfs, 'bin', applet));
	}

	spec(
		id: string,
		args: readonly string[],
		{ stdio = [-1, -1, -1], process, linux, mounts = [], annotations = {} }: Changes = {},
	): ContainerSpec {
		const config = {
			ociVersion: '1.2.0',
			process: { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, ...process },
			root: { path: this.rootfs, readonly: true },
			annotations,
			mounts: [
				{ destination: '/proc', type: 'proc', source: 'proc' },
				{ destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
				{ destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666', 'mode=0620'] },
				{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' },
				...mounts,
			],
			linux: { namespaces: ['pid', 'ipc', 'uts', 'network', 'mount'].map((type) => ({ type })), ...linux },
		};
		return { id, bundle: this.folder, rootfs: this.rootfs, config: parseConfig(config), text: JSON.stringify(config), stdio };
	}

	make(args: readonly string[] = ['sleep', '1000'], changes: Changes = {}): Promise<Sandbox> {
		return handler.make(this.store, this.spec(this.id, args, changes));
	}

	member(sandbox: Sandbox, id: string, script: string, changes: Changes = {}, pid?: string): Promise<void> {
		const path = (type: string): string => `/proc/${sandbox.pid}/ns/${type}`;
		const namespaces = [
			{ type: 'network', path: path('net') },
			{ type: 'ipc', path: path('ipc') },
			{ type: 'uts', path: path('uts') },
			pid === undefined ? { type: 'pid' } : { type: 'pid', path: pid },
		];
		return sandbox.create(this.spec(id, ['sh', '-c', script], { ...changes, linux: { ...changes.linux, namespaces } }));
	}

	/** Everything that the store, the host's processes and its mounts have of this test. */
	get leftovers(): string[] {
		const { root } = this.store;
		if (!existsSync(root)) return [];
		const slots = join(root, '.ids');
		return [...readdirSync(root).filter((name) => name !== '.ids'), ...(existsSync(slots) ? readdirSync(slots) : [])];
	}
}

function test(name: string, body: (t: Test, host: Host) => Promise<void>): void {
	t.test(name, async (t) => {
		const host = new Host();
		t.teardown(async () => {
			if (existsSync(join(host.store.root, host.id))) {
				const sandbox = await handler.open(host.store, host.id);
				await sandbox.shutdown();
			}
			rmSync(host.folder, { recursive: true, force: true });
		});
		await body(t, host);
	});
}

/** A FIFO of the test's, open both ways so that nobody waits for anybody and nobody's end is the other's. */
function fifo(folder: string, name: string): number {
	const path = join(folder, name);
	if (spawnSync('mkfifo', [path]).status !== 0) throw new Error(`Make the fifo ${path}`);
	return openSync(path, 'r+');
}

async function until<T>(look: () => T | Promise<T>, isGood: (seen: T) => boolean): Promise<T> {
	for (let tries = 0; tries < 500; tries++) {
		const seen = await look();
		if (isGood(seen)) return seen;
		await sleep(20);
	}
	return look();
}

test('an end is told to who asked before the start, to several, to who asks later, and to another front end', async (t, host) => {
	const sandbox = await host.make();
	await sandbox.start(host.id);
	await host.member(sandbox, 'one', 'sleep 0.3; exit 7');
	const before = [sandbox.wait('one', ''), sandbox.wait('one', '')];
	const { pid } = await sandbox.start('one');
	t.type(pid, 'number');
	t.match(await Promise.all(before), [{ status: 7 }, { status: 7 }]);
	t.match(await sandbox.wait('one', ''), { status: 7 });
	t.equal(await sandbox.status('one'), 'stopped');
	sandbox.close();
	const other = await handler.open(host.store, 'one');
	t.equal(other.id, host.id);
	const exit = await other.wait('one', '');
	t.match(exit, { status: 7 });
	t.ok(exit.atMs > Date.now() - 60_000 && exit.atMs <= Date.now());
	t.same(other.containers(), [host.id, 'one']);
	await other.delete('one');
	t.same(other.containers(), [host.id]);
	await t.rejects(other.wait('one', ''));
	await other.shutdown();
	t.same(host.leftovers, []);
});

test("the pod's end is known when nobody listened, with its status; what was killed with the pod has a reason", async (t, host) => {
	const sandbox = await host.make(['sh', '-c', 'cat; exit 9'], { stdio: [fifo(host.folder, 'in'), -1, -1] });
	await sandbox.start(host.id);
	await host.member(sandbox, 'one', 'sleep 1000');
	await sandbox.start('one');
	const pid = sandbox.pid;
	const { ended } = sandbox;
	await sandbox.exec(
		host.id,
		'killer',
		{
			args: ['sh', '-c', 'for p in /proc/[0-9]*; do read name < $p/comm; [ "$name" = cat ] && kill ${p#/proc/}; done'],
			cwd: '/',
			env: ['PATH=/bin'],
			user: { uid: 0, gid: 0 },
		},
		[-1, -1, -1],
	);
	await ended;
	sandbox.close();
	await until(
		() => processStart(pid) !== '',
		(isThere) => !isThere,
	);
	const later = await handler.open(host.store, host.id);
	t.equal(later.pid, 0);
	t.ok((await later.ended).length > 0);
	t.match(await later.wait(host.id, ''), { status: 9, reason: undefined });
	t.match(await later.wait('one', ''), { status: 137, reason: /sandbox process has ended/ });
	t.equal(await later.status('one'), 'stopped');
	await t.rejects(later.start('one'));
	await t.rejects(host.member(later, 'two', 'true'));
	await later.shutdown();
	t.same(host.leftovers, []);
	await later.shutdown();
});

test('execs have ids of the front end, several waiters, and are forgotten', async (t, host) => {
	const sandbox = await host.make();
	await sandbox.start(host.id);
	const program = (script: string) => ({ args: ['sh', '-c', script], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } });
	const { id } = host;
	t.ok((await sandbox.exec(id, 'e', program('sleep 1000'), [-1, -1, -1])) > 0);
	await t.rejects(sandbox.exec(id, 'e', program('true'), [-1, -1, -1]), /is there already/);
	await t.rejects(sandbox.deleteExec(id, 'e'), /is running/);
	const ends = Promise.all([sandbox.wait(id, 'e'), sandbox.wait(id, 'e')]);
	t.equal((await sandbox.processes(id)).length, 2);
	await sandbox.signal(id, 'e', 9, false);
	t.match(await ends, [{ status: 137 }, { status: 137 }]);
	await sandbox.deleteExec(id, 'e');
	await t.rejects(sandbox.wait(id, 'e'), /has no exec/);
	await sandbox.exec(id, 'e', program('exit 3'), [-1, -1, -1]);
	t.match(await sandbox.wait(id, 'e'), { status: 3 });
	await t.rejects(sandbox.exec(id, 'f', program('true'), [-1, -1, -1]).then(() => sandbox.exec(id, 'f', program('true'), [-1, -1, -1])));
	await sandbox.shutdown();
});

test('a container that was not started ends by a signal', async (t, host) => {
	const sandbox = await host.make();
	await sandbox.start(host.id);
	await host.member(sandbox, 'one', 'true');
	const end = sandbox.wait('one', '');
	await sandbox.signal('one', '', 28, false);
	t.equal(await sandbox.status('one'), 'created');
	await sandbox.signal('one', '', 15, false);
	t.match(await end, { status: 143 });
	t.equal(await sandbox.status('one'), 'stopped');
	await t.rejects(sandbox.start('one'), /has stopped/);
	await sandbox.delete('one');
	t.equal(await sandbox.status(host.id), 'running');
	await sandbox.shutdown();
});

test("a terminal of FIFOs has the size that is told, goes on when its front end is gone, and ends with the program's output", async (t, host) => {
	const [input, output] = [fifo(host.folder, 'in'), fifo(host.folder, 'out')];
	const sandbox = await host.make();
	await sandbox.start(host.id);
	await host.member(
		sandbox,
		'one',
		'stty size; trap "stty size" WINCH; while :; do read line || continue; echo "got $line"; [ "$line" = end ] && exit 5; done',
		{
			process: { terminal: true },
			stdio: [input, output, -1],
		},
	);
	await sandbox.resize('one', '', { rows: 33, columns: 101 });
	await sandbox.start('one');
	let seen = '';
	const shown = (text: string): Promise<string> => {
		const bytes = Buffer.alloc(4096);
		while (!seen.includes(text)) seen += bytes.latin1Slice(0, readSync(output, bytes));
		return Promise.resolve(seen);
	};
	t.match(await shown('\n'), '33 101\r\n');
	sandbox.close();
	const later = await handler.open(host.store, host.id);
	writeSync(input, 'typed\n');
	t.match(await shown('got typed'), 'typed\r\ngot typed');
	await later.resize('one', '', { rows: 7, columns: 8 });
	await shown('7 8\r\n');
	writeSync(input, 'end\n');
	await shown('got end');
	t.match(await later.wait('one', ''), { status: 5 });
	await t.rejects(later.resize(host.id, '', { rows: 1, columns: 1 }), /no terminal/);
	closeSync(input);
	closeSync(output);
	await later.shutdown();
});

test('a container that runs out of memory is told, before its end if it ends by that, and its neighbour goes on', async (t, host) => {
	const sandbox = await host.make();
	await sandbox.start(host.id);
	const told: string[] = [];
	sandbox.onOom((id) => told.push(id));
	const limit = { cgroupsPath: `/isopod-test-${process.pid}/eater`, resources: { memory: { limit: 24 << 20 } } };
	await host.member(sandbox, 'eater', 'head -c 400m /dev/zero | tail -c 300m; exit 0', { linux: limit });
	await host.member(sandbox, 'neighbour', 'sleep 1000');
	await sandbox.start('neighbour');
	const end = sandbox.wait('eater', '').then((exit) => ({ ...exit, told: [...told] }));
	await sandbox.start('eater');
	t.match(await end, { told: ['eater'] });
	t.ok(sandbox.oomKills('eater') > 0);
	const other = { ...limit, cgroupsPath: `/isopod-test-${process.pid}/survivor` };
	// It takes the memory by its own faults: in the midst of a copy of the guest kernel's into it, the host would kill the shell, too.
	const grow = `awk 'BEGIN { for (x = "x"; ; ) x = x x }'`;
	await host.member(sandbox, 'survivor', `${grow}; sleep 1000`, { linux: other });
	await sandbox.start('survivor');
	t.ok(await until(() => told.includes('survivor'), Boolean), 'while it goes on');
	t.equal(await sandbox.status('survivor'), 'running');
	t.equal(sandbox.oomKills('neighbour'), 0);
	t.equal(await sandbox.status('neighbour'), 'running');
	t.ok((await sandbox.stats('neighbour')).pids.current > 0);
	await sandbox.shutdown();
	t.same(host.leftovers, []);
});

test('a container that comes and goes leaves nothing in the sandbox process; each has its own score', async (t, host) => {
	const sandbox = await host.make();
	await sandbox.start(host.id);
	const count = (): number => readdirSync(`/proc/${sandbox.pid}/fd`).length;
	const cycle = async (round: number): Promise<void> => {
		const id = `again-${round}`;
		const linux = { cgroupsPath: `/isopod-test-${process.pid}/${id}` };
		await host.member(sandbox, id, 'sleep 1000', {
			linux,
			process: { oomScoreAdj: round },
			mounts: [{ destination: '/volume', type: 'bind', source: host.folder, options: ['rbind'] }],
		});
		const { pid } = await sandbox.start(id);
		t.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1').trim(), `${round}`);
		await sandbox.exec(id, 'e', { args: ['ls', '/volume'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } }, [-1, -1, -1]);
		t.match(await sandbox.wait(id, 'e'), { status: 0 });
		await sandbox.delete(id);
		t.notOk(existsSync(`/proc/${pid}`));
	};
	for (let round = 1; round <= 4; round++) await cycle(round);
	const before = await until(count, () => true);
	for (let round = 5; round <= 16; round++) await cycle(round);
	t.ok((await until(count, (now) => now <= before)) <= before, `${before} descriptors stay as many: ${count()}`);
	await sandbox.shutdown();
	t.same(host.leftovers, []);
});

test('one container reaches neither the files nor the processes of another, nor can it signal or trace them', async (t, host) => {
	const output = fifo(host.folder, 'out');
	const sandbox = await host.make();
	await sandbox.start(host.id);
	await host.member(sandbox, 'victim', 'echo secret >/tmp/secret; cd /tmp; exec 9</tmp/secret; sleep 1000');
	const { pid } = await sandbox.start('victim');
	const inside = /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
	t.equal(inside, '1');
	const script = [
		'cat /tmp/secret /proc/1/root/tmp/secret /proc/*/cwd/secret /proc/*/fd/9 /proc/*/root/tmp/secret',
		...[`kill -9 ${pid}`, 'kill -9 -1'],
		'for n in 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do [ $n = $$ ] || kill -9 $n; done',
		'echo done',
	].join('; ');
	await host.member(sandbox, 'attacker', `(${script}) 2>/dev/null; echo end`, { stdio: [-1, output, -1] });
	await sandbox.start('attacker');
	await sandbox.wait('attacker', '');
	const bytes = Buffer.alloc(65536);
	t.equal(bytes.latin1Slice(0, readSync(output, bytes)).includes('secret'), false);
	t.equal(await sandbox.status('victim'), 'running');
	t.equal(await sandbox.status(host.id), 'running');
	closeSync(output);
	await sandbox.shutdown();
});

test("a container may join another's PID namespace, of its own pod", async (t, host) => {
	const output = fifo(host.folder, 'out');
	const sandbox = await host.make();
	await sandbox.start(host.id);
	await host.member(sandbox, 'target', 'sleep 777');
	const { pid } = await sandbox.start('target');
	await host.member(sandbox, 'debugger', 'ps', { stdio: [-1, output, output] }, `/proc/${pid}/ns/pid`);
	await sandbox.start('debugger');
	t.match(await sandbox.wait('debugger', ''), { status: 0 });
	const bytes = Buffer.alloc(65536);
	const text = bytes.latin1Slice(0, readSync(output, bytes));
	t.match(text, /sleep 777/);
	t.notMatch(text, /sleep 1000/);
	closeSync(output);
	await sandbox.shutdown();
});

test("a pod of Kubernetes gets no namespace of the host's", async (t, host) => {
	const annotations = { 'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': host.id };
	const without = (missing: string) => ({
		namespaces: ['pid', 'ipc', 'uts', 'network'].filter((type) => type !== missing).map((type) => ({ type })),
	});
	for (const [type, name] of [
		['network', 'hostNetwork'],
		['pid', 'hostPID'],
		['ipc', 'hostIPC'],
	] as const)
		await t.rejects(host.make(['sleep', '1'], { annotations, linux: without(type) }), new RegExp(`${name} is not honoured`));
	t.same(host.leftovers, []);
});

t.test('a handler is found by its name', async (t) => {
	t.equal(handler.name, 'isopod');
	t.throws(() => findHandler('nothing'), /no handler is called "nothing"/);
});

t.teardown(() => {
	for (const point of new Set(findHierarchies().mounts.values())) {
		const folder = join(point, `isopod-test-${process.pid}`);
		if (existsSync(folder)) rmdirSync(folder);
	}
});

t.test('nothing of these tests is mounted any more', async (t) => {
	t.notMatch(readFileSync('/proc/self/mountinfo', 'latin1'), 'isopod-pod-');
});
