import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'tap';
import { decompress, LayerMeter } from './layer-stream.js';
import { TarReader } from './tar-reader.js';
import { type TestEntry, tarOf, testFolder, zstd } from './testing.js';
import { unpackLayer } from './unpack.js';

async function unpack(folder: string, entries: readonly TestEntry[], lower: string | null = null): Promise<void> {
	mkdirSync(folder, { recursive: true });
	await unpackLayer(Readable.from([await tarOf(entries)]), folder, lower);
}

test('unpackLayer() makes files, folders, links, devices, owners, modes, times', async (t) => {
	const folder = join(testFolder(t), 'fs');
	await unpack(folder, [
		{ name: './', type: 'directory', mode: 0o751 },
		{ name: 'a/', type: 'directory', mode: 0o1777, uid: 7, gid: 8 },
		{ name: 'a/file', mode: 0o4755, uid: 1, gid: 2, body: 'text' },
		{ name: 'a/hard', type: 'link', linkname: 'a/file' },
		{ name: 'a/soft', type: 'symlink', linkname: '/etc/passwd' },
		{ name: 'a/fifo', type: 'fifo', mode: 0o600 },
		{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
		{ name: `long/${'x'.repeat(200)}`, body: 'long' },
		{ name: 'implied/folder/file', body: 'x' },
		{ name: 'a/file2', body: 'first' },
		{ name: 'a/file2', body: 'second' },
	]);
	t.equal(lstatSync(folder).mode & 0o7777, 0o751);
	const a = lstatSync(join(folder, 'a'));
	t.match({ mode: a.mode & 0o7777, uid: a.uid, gid: a.gid, time: a.mtimeMs }, { mode: 0o1777, uid: 7, gid: 8, time: 1_600_000_000_000 });
	const file = lstatSync(join(folder, 'a/file'));
	t.match(
		{ mode: file.mode & 0o7777, uid: file.uid, nlink: file.nlink, time: file.mtimeMs },
		{ mode: 0o4755, uid: 1, nlink: 2, time: 1_600_000_000_000 },
	);
	t.equal(readFileSync(join(folder, 'a/hard'), 'utf8'), 'text');
	t.equal(readlinkSync(join(folder, 'a/soft')), '/etc/passwd');
	t.ok(lstatSync(join(folder, 'a/fifo')).isFIFO());
	t.equal(lstatSync(join(folder, 'null')).rdev, 0x103);
	t.equal(readFileSync(join(folder, 'long', 'x'.repeat(200)), 'utf8'), 'long');
	t.equal(lstatSync(join(folder, 'implied')).mode & 0o7777, 0o755);
	t.equal(readFileSync(join(folder, 'a/file2'), 'utf8'), 'second');
});

test('unpackLayer() refuses what no layer may hold, and nothing leaves the tree', async (t) => {
	const cases: readonly (readonly [what: string, code: string, entries: readonly TestEntry[]])[] = [
		['a name with ..', 'EINVAL', [{ name: '../outside', body: 'x' }]],
		['.. behind a folder', 'EINVAL', [{ name: 'a/../../outside', body: 'x' }]],
		['a link that leads out', 'EINVAL', [{ name: 'l', type: 'link', linkname: '../secret' }]],
		['a link to nothing', 'ENOENT', [{ name: 'l', type: 'link', linkname: 'nothing' }]],
		[
			'a link to a folder',
			'EPERM',
			[
				{ name: 'd/', type: 'directory' },
				{ name: 'l', type: 'link', linkname: 'd' },
			],
		],
		[
			'a link through a symlink to the host',
			'ENOENT',
			[
				{ name: 's', type: 'symlink', linkname: '../..' },
				{ name: 'l', type: 'link', linkname: 's/secret' },
			],
		],
		['a disk', 'EPERM', [{ name: 'sda', type: 'block-device', devmajor: 8, devminor: 0 }]],
		['memory', 'EPERM', [{ name: 'mem', type: 'character-device', devmajor: 1, devminor: 1 }]],
		["overlayfs's whiteout in disguise", 'EPERM', [{ name: 'gone', type: 'character-device', devmajor: 0, devminor: 0 }]],
		["overlayfs's own attribute", 'EPERM', [{ name: 'd', type: 'directory', pax: { 'SCHILY.xattr.trusted.overlay.redirect': '/x' } }]],
		[
			'a loop of symlinks',
			'ELOOP',
			[
				{ name: 'a', type: 'symlink', linkname: 'b' },
				{ name: 'b', type: 'symlink', linkname: 'a' },
				{ name: 'a/x', body: 'x' },
			],
		],
		[
			'a folder below a file',
			'ENOTDIR',
			[
				{ name: 'f', body: 'x' },
				{ name: 'f/x', body: 'x' },
			],
		],
		['a deep folder', 'ENAMETOOLONG', [{ name: `${'d/'.repeat(500)}x`, body: 'x' }]],
		['a whiteout of ..', 'EINVAL', [{ name: '.wh...', body: '' }]],
	];
	for (const [what, code, entries] of cases) {
		const outside = testFolder(t);
		writeFileSync(join(outside, 'secret'), 'secret');
		await t.rejects(unpack(join(outside, 'fs'), entries), { code }, what);
		t.strictSame(execFileSync('ls', [outside], { encoding: 'utf8' }), 'fs\nsecret\n', `${what} leaves nothing beside the tree`);
	}
});

test("unpackLayer() follows symlinks within the image's own root", async (t) => {
	const outside = testFolder(t);
	const folder = join(outside, 'fs');
	await unpack(folder, [
		{ name: 'up', type: 'symlink', linkname: '../../../..' },
		{ name: 'up/climbed', body: 'x' },
		{ name: 'absolute', type: 'symlink', linkname: '/usr/lib' },
		{ name: 'absolute/file', body: 'x' },
		{ name: '/rooted', body: 'x' },
	]);
	for (const name of ['climbed', 'usr/lib/file', 'rooted']) t.ok(existsSync(join(folder, name)), name);
	t.strictSame(execFileSync('ls', [outside], { encoding: 'utf8' }), 'fs\n');
	// A symlink is replaced, not written through, when the entry itself has its name.
	const victim = join(outside, 'victim');
	writeFileSync(victim, 'kept');
	await unpack(join(outside, 'second'), [
		{ name: 'link', type: 'symlink', linkname: victim },
		{ name: 'link', body: 'changed' },
	]);
	t.equal(readFileSync(victim, 'utf8'), 'kept');
	t.equal(readFileSync(join(outside, 'second/link'), 'utf8'), 'changed');
});

test('unpackLayer() over lower layers: whiteouts, opaque folders, links across layers, attributes of implied folders', async (t) => {
	const root = testFolder(t);
	const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(root, name)) as [
		string,
		string,
		string,
		string,
	];
	await unpack(lower, [
		{ name: 'kept/', type: 'directory', mode: 0o700, uid: 5, gid: 6 },
		{ name: 'kept/file', body: 'below' },
		{ name: 'kept/gone', body: 'below' },
		{ name: 'opaque/a', body: 'below' },
		{ name: 'whole/a', body: 'below' },
		{ name: 'dir', type: 'symlink', linkname: 'kept' },
	]);
	await unpack(
		upper,
		[
			{ name: 'kept/new', body: 'above' },
			{ name: 'kept/.wh.gone', body: '' },
			{ name: 'opaque/b', body: 'above' },
			{ name: 'opaque/.wh..wh..opq', body: '' },
			{ name: '.wh.whole', body: '' },
			{ name: 'linked', type: 'link', linkname: 'kept/file' },
			{ name: 'dir/through', body: 'above' },
			{ name: '.wh.never', body: '' },
		],
		lower,
	);
	for (const folder of [work, merged]) mkdirSync(folder);
	execFileSync('mount', ['-t', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, 'overlay', merged]);
	t.teardown(() => execFileSync('umount', ['-l', merged]));
	const list = execFileSync('find', ['.', '!', '-type', 'd', '-printf', '%P\n'], { cwd: merged, encoding: 'utf8' })
		.trim()
		.split('\n')
		.sort();
	t.strictSame(list, ['dir', 'kept/file', 'kept/new', 'kept/through', 'linked', 'opaque/b']);
	const kept = lstatSync(join(merged, 'kept'));
	t.match({ mode: kept.mode & 0o7777, uid: kept.uid, gid: kept.gid }, { mode: 0o700, uid: 5, gid: 6 });
	t.equal(lstatSync(join(merged, 'linked')).nlink, 2);
});

test('unpackLayer() takes what GNU tar writes: xattrs with any bytes, names that are no UTF-8', async (t) => {
	const root = testFolder(t);
	const from = join(root, 'from');
	mkdirSync(from);
	const odd = Buffer.concat([Buffer.from(`${from}/`), Buffer.from([0x66, 0xff, 0xfe])]);
	writeFileSync(odd, 'odd');
	writeFileSync(join(from, 'capable'), 'x', { mode: 0o755 });
	const capability = '0100000280fe0000'.padEnd(40, '0');
	const set = "import os,sys; os.setxattr(sys.argv[1], 'security.capability', bytes.fromhex(sys.argv[2]))";
	execFileSync('python3', ['-c', set, join(from, 'capable'), capability]);
	symlinkSync('target', join(from, 'link'));
	const archive = execFileSync('tar', ['--xattrs', '--xattrs-include=*', '--format=posix', '-C', from, '-c', '.'], { maxBuffer: 1 << 26 });
	const folder = join(root, 'to');
	mkdirSync(folder);
	await unpackLayer(Readable.from([archive]), folder, null);
	t.equal(readFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'utf8'), 'odd');
	const get = "import os,sys; print(os.getxattr(sys.argv[1], 'security.capability').hex(), end='')";
	t.equal(execFileSync('python3', ['-c', get, join(folder, 'capable')], { encoding: 'utf8' }), capability);
});

test('a broken archive is EBADMSG', async (t) => {
	const good = await tarOf([{ name: 'file', body: 'x'.repeat(5000) }]);
	const wrongSum = Buffer.from(good);
	wrongSum[0] = 0x41;
	const hugePax = Buffer.from(await tarOf([{ name: 'f', pax: { comment: 'x' } }]));
	hugePax.write('77777777777\0', 124, 'latin1');
	for (const [what, bytes] of [
		['truncated', good.subarray(0, 3000)],
		['a wrong checksum', wrongSum],
		['a huge header', hugePax],
		['nonsense', Buffer.alloc(4096, 'nonsense')],
	] as const) {
		const reader = new TarReader(Readable.from([bytes]));
		await t.rejects(
			async () => {
				while ((await reader.next()) !== null);
			},
			{ code: 'EBADMSG' },
			what,
		);
	}
});

test('decompress() takes gzip, zstd and plain layers and refuses bombs and truncated ones', async (t) => {
	const { gzipSync } = await import('node:zlib');
	const layer = await tarOf([{ name: 'file', body: Buffer.alloc(3 << 20, 'x') }]);
	const read = async (bytes: Buffer, maxBytes = 1 << 30): Promise<number> => {
		const meter = new LayerMeter(maxBytes);
		for await (const _ of meter.through(decompress(Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]))));
		return meter.bytes;
	};
	for (const bytes of [layer, gzipSync(layer), zstd(layer)]) t.equal(await read(bytes), layer.length);
	for (const bytes of [layer, gzipSync(layer), zstd(layer)]) await t.rejects(read(bytes, 1 << 20), { code: 'EFBIG' });
	for (const bytes of [gzipSync(layer), zstd(layer)]) await t.rejects(read(bytes.subarray(0, bytes.length >> 1)), { code: 'EBADMSG' });
	// A frame that asks for a window of 2 GiB.
	await t.rejects(read(Buffer.from('28b52ffd00a8010000', 'hex')), { code: 'EBADMSG' });
});
