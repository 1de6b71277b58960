import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { pack } from 'tar-stream';
import { extract, parsePlace } from './copy.js';

type Member = Parameters<ReturnType<typeof pack>['entry']>[0];

function archive(...members: readonly [header: Member, text?: string][]): AsyncIterable<Uint8Array> {
	const tar = pack();
	for (const [header, text] of members) tar.entry(header, text ?? '');
	tar.finalize();
	return tar as AsyncIterable<Uint8Array>;
}

t.test('hostile archives', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-copy-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const outside = join(folder, 'outside');
	mkdirSync(outside);
	let count = 0;
	const fresh = (): string => join(folder, `target${count++}`);
	for (const name of ['../outside/x', './d/../../outside/x', '/etc/x', `${outside}/x`, '..', './d/..'])
		await t.rejects(extract(archive([{ name }, 'x']), './d', fresh()), { code: 'EBADMSG' }, name);
	const target = fresh();
	const copied = await extract(
		archive(
			[{ name: './d', type: 'directory' }],
			[{ name: './d/link', type: 'symlink', linkname: outside }],
			[{ name: './d/link/x' }, 'through the link'],
			[{ name: './d/hard', type: 'link', linkname: '/etc/passwd' }],
			[{ name: './d/device', type: 'character-device', devmajor: 1, devminor: 1 }],
			[{ name: './d/suid', mode: 0o6777 }, 'x'],
		),
		'./d',
		target,
	);
	t.equal(copied, 3);
	t.same(readdirSync(outside), [], 'nothing went through the link');
	t.ok(lstatSync(join(target, 'link')).isDirectory());
	t.notOk(existsSync(join(target, 'hard')) || existsSync(join(target, 'device')));
	t.equal(statSync(join(target, 'suid')).mode & 0o7000, 0);
	const mine = fresh();
	mkdirSync(mine);
	symlinkSync(outside, join(mine, 'dir'));
	symlinkSync(join(outside, 'file'), join(mine, 'file'));
	await t.rejects(
		extract(archive([{ name: './d/dir/x' }, 'x']), './d', mine),
		{ code: 'ENOTDIR' },
		"the user's own links are not followed either",
	);
	await t.rejects(extract(archive([{ name: './d/file' }, 'x']), './d', mine), { code: 'ELOOP' });
	t.same(readdirSync(outside), []);
});

t.test('one file, a folder, bytes that are no UTF-8', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-copy-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	t.equal(await extract(archive([{ name: './file' }, 'text']), './file', join(folder, 'renamed')), 1);
	t.equal(readFileSync(join(folder, 'renamed'), 'utf8'), 'text');
	t.equal(await extract(archive([{ name: './a/b/c' }, 'deep']), './a', join(folder, 'tree')), 1);
	t.equal(readFileSync(join(folder, 'tree/b/c'), 'utf8'), 'deep');
});

t.test('parsePlace()', async (t) => {
	t.same(parsePlace('web:/x'), { name: 'web', path: '/x' });
	t.same(parsePlace('web/main:x:y'), { name: 'web/main', path: 'x:y' });
	t.same(parsePlace('./a:b'), { name: null, path: './a:b' });
	t.same(parsePlace('/a:b'), { name: null, path: '/a:b' });
	t.throws(() => parsePlace('web:'), /NAME:PATH/);
	t.throws(() => parsePlace(':/x'), /NAME:PATH/);
});
