import { closeSync, lstatSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { NATIVE_CWD, NativeRoot } from './native-root.js';

function make(t: { teardown(clean: () => void): void }): { root: NativeRoot; folder: string } {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-native-'));
	const fd = openSync(folder, 'r');
	t.teardown(() => {
		closeSync(fd);
		rmSync(folder, { recursive: true, force: true });
	});
	return { root: new NativeRoot(fd), folder };
}

t.test('every path that exec names leads to the loader, relative ones from the working directory', async (t) => {
	const { root, folder } = make(t);
	for (const path of ['/bin/sh', '//usr/./bin/../bin/env', 'a/b', '../up', '../../../../../../../../../../../../../../../../../../top']) {
		t.equal(root.ensure(path), 0, path);
		t.equal(root.ensure(path), 0, 'again');
	}
	for (const path of ['bin/sh', 'usr/bin/env', `${NATIVE_CWD}/a/b`, join(NATIVE_CWD, '../up'), 'top'])
		t.equal(readlinkSync(join(folder, path)), '/x', path);
});

t.test('a folder where a file was, and a file where a folder was, replace it', async (t) => {
	const { root, folder } = make(t);
	t.equal(root.ensure('/a'), 0);
	t.equal(root.ensure('/a/b'), 0);
	t.equal(readlinkSync(join(folder, 'a/b')), '/x');
	t.equal(root.ensure('/a'), 0);
	t.equal(readlinkSync(join(folder, 'a')), '/x');
});

t.test('paths are forgotten, oldest first, and their folders with them', async (t) => {
	const { root, folder } = make(t);
	for (let i = 0; i < 2050; i++) root.ensure(`/d${i}/f`);
	t.equal(readdirSync(folder).filter((name) => name.startsWith('d')).length, 2048);
	t.throws(() => lstatSync(join(folder, 'd0')));
	t.ok(lstatSync(join(folder, NATIVE_CWD)).isDirectory());
});
