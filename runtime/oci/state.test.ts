import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { type ContainerRecord, idBase, processStart, StateStore } from './state.js';

function store(t: { teardown(clean: () => void): void }): StateStore {
	const root = mkdtempSync(join(tmpdir(), 'isopod-state-'));
	t.teardown(() => rmSync(root, { recursive: true, force: true }));
	return new StateStore(root);
}

function record(id: string, changes: Partial<ContainerRecord> = {}): ContainerRecord {
	const fixed = {
		ociVersion: '1.2.0',
		bundle: '/b',
		rootfs: '/r',
		hasRootfsMounts: false,
		created: '2026-01-01T00:00:00Z',
		owner: 'root',
		annotations: {},
	};
	const started = { handler: 'isopod' as const, treesPid: 0, pid: 0, pidStart: '', initPid: 0, initStart: '', idSlot: -1 };
	return { ...fixed, ...started, id, sandboxId: id, status: 'creating', cgroupsPath: null, ...changes };
}

t.test('a record is found again, an id is taken once, and ids are folder names', async (t) => {
	const containers = store(t);
	containers.create(record('a'), '{"process":{"cwd":"/"}}');
	t.match(containers.load('a'), { id: 'a', status: 'creating' });
	t.strictSame(containers.config('a'), { process: { cwd: '/' } });
	t.throws(() => containers.create(record('a'), '{}'), /container with given ID already exists/);
	for (const id of ['', '.', '..', '../a', 'a/b', 'a b', 'x'.repeat(1025)])
		t.throws(() => containers.load(id), /invalid container ID format/, id);
	t.throws(() => containers.load('b'), /container does not exist/);
	t.strictSame(
		containers.list().map(({ id }) => id),
		['a'],
	);
});

t.test('a container whose sandbox process is gone is stopped, also when its number has another process', async (t) => {
	const containers = store(t);
	const pidStart = processStart(process.pid);
	t.match(pidStart, /^\d+$/);
	containers.create(record('alive', { status: 'running', pid: process.pid, pidStart }), '{}');
	containers.create(record('reused', { status: 'running', pid: process.pid, pidStart: '1' }), '{}');
	containers.create(record('gone', { status: 'created', pid: 2 ** 22 + 1, pidStart: '1' }), '{}');
	t.equal(containers.load('alive').status, 'running');
	t.equal(containers.load('reused').status, 'stopped');
	t.equal(containers.load('gone').status, 'stopped');
});

t.test('no two containers have one range of ids; a removed one gives its own back', async (t) => {
	const containers = store(t);
	for (const id of ['a', 'b', 'c']) containers.create(record(id), '{}');
	t.strictSame(
		['a', 'b', 'c'].map((id) => containers.takeSlot(id)),
		[0, 1, 2],
	);
	t.ok(idBase(1) - idBase(0) >= 65536);
	containers.remove('b');
	containers.create(record('d'), '{}');
	t.equal(containers.takeSlot('d'), 1);
	rmSync(containers.folder('a'), { recursive: true });
	containers.create(record('e'), '{}');
	t.equal(containers.takeSlot('e'), 0, 'what an interrupted removal left is free');
	for (const id of ['c', 'd', 'e']) containers.remove(id);
	containers.remove('never');
	t.strictSame(readdirSync(containers.root), ['.ids']);
	t.strictSame(readdirSync(join(containers.root, '.ids')), []);
});

/** Takes slots for containers of its own, leaves stale ones behind, and tells when one that it has becomes another's. */
const RIVAL = `
import { mkdirSync, readlinkSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
const { StateStore } = await import(process.argv[2]);
const [, , , root, name] = process.argv;
const store = new StateStore(root);
for (let i = 0; i < 1200; i++) {
	const id = name + '-' + i;
	mkdirSync(join(root, id), { recursive: true });
	const slot = store.takeSlot(id);
	for (let look = 0; look < 5; look++) {
		if (readlinkSync(join(root, '.ids', String(slot))) !== join('..', id)) throw new Error('slot ' + slot + ' of ' + id + ' is taken');
	}
	// Most end as an interrupted removal does.
	if (i % 8) rmSync(join(root, id), { recursive: true });
	else store.remove(id);
}
`;

t.test('of rivals that clear up the same stale slots none loses the one that it has', async (t) => {
	const { root } = store(t);
	const script = join(root, '.rival.mjs');
	mkdirSync(root, { recursive: true });
	writeFileSync(script, RIVAL);
	const state = new URL('./state.js', import.meta.url).href;
	const env = { ...process.env, ISOPOD_ADDON: resolve('build/Release/isopod.node') };
	const rivals = [1, 2, 3, 4].map(
		(n) =>
			new Promise((done) => {
				execFile(process.execPath, [script, state, root, `r${n}`], { env }, (error, _, stderr) => done(error === null ? '' : stderr));
			}),
	);
	t.strictSame(await Promise.all(rivals), ['', '', '', '']);
});
