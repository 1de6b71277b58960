import t from 'tap';
import { native } from '../../../native.js';
import {
	EACCES,
	EEXIST,
	EFBIG,
	EISDIR,
	ELOOP,
	ENODATA,
	ENOENT,
	ENOSPC,
	ENOTDIR,
	ENOTEMPTY,
	ENXIO,
	EOPNOTSUPP,
	EPERM,
} from '../../abi/errno.js';
import {
	FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE,
	O_APPEND,
	O_RDONLY,
	O_RDWR,
	O_WRONLY,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	SEEK_DATA,
	SEEK_END,
	SEEK_HOLE,
	SEEK_SET,
	XATTR_CREATE,
	XATTR_REPLACE,
} from '../../abi/fcntl.js';
import { RLIMIT_FSIZE } from '../../abi/resource.js';
import { SIGXFSZ } from '../../abi/signal-numbers.js';
import { S_IFSOCK, UTIME_NOW, UTIME_OMIT } from '../../abi/stat-constants.js';
import { Stat } from '../../vfs/stat.js';
import { entries, fakeTask, made, names, opened, pathOf, read, write } from '../testing.js';
import type { TmpDirectory } from './tmp-directory.js';
import { TmpFileSystem } from './tmp-file-system.js';

const { task } = fakeTask();
const stat = new Stat();
const numbers = new Float64Array(10);

const used: TmpFileSystem[] = [];
t.afterEach(() => {
	for (const fs of used.splice(0)) fs.dispose();
});

function tmpfs(sizeBytes = 1 << 20, inodes = 1000): TmpFileSystem {
	const fs = new TmpFileSystem({ sizeBytes, inodes, mode: 0o1777, uid: 0, gid: 0 });
	used.push(fs);
	return fs;
}

/** Free pages and free inodes. */
function free(fs: TmpFileSystem): [number, number] {
	fs.statfs(numbers);
	return [numbers[3]!, numbers[6]!];
}

t.test('contents are the same in a buffer and in a memory file', async (t) => {
	const fs = tmpfs();
	const file = opened(fs, fs.root.create('f', 0o600, 0, 0), O_RDWR, task);
	t.equal(read(file, 5, task), '');
	t.equal(write(file, 'hello', task), 5);
	t.equal(write(file, 'end', task, 8), 3);
	t.equal(read(file, 20, task, 0), 'hello\0\0\0end');
	t.equal(file.truncate(3), 0);
	t.equal(file.truncate(6), 0);
	t.equal(read(file, 20, task, 0), 'hel\0\0\0');
	const fd = file.openForMapping();
	t.ok(fd > 2, 'mapped');
	t.equal(native.pwrite(fd, Buffer.from('HE'), 0, 2, 0), 2);
	t.equal(read(file, 20, task, 0), 'HEl\0\0\0', 'one page cache');
	t.equal(write(file, 'L', task, 2), 1);
	const bytes = Buffer.alloc(6);
	native.pread(fd, bytes, 0, 6, 0);
	t.equal(bytes.latin1Slice(), 'HEL\0\0\0');
	native.close(fd);
	t.match(file.inode.mappingKey(), /^[0-9a-f]{2,}:[0-9a-f]{2,} \d+$/);
	t.equal(file.seek(0, SEEK_END), 6);
	const appending = opened(fs, file.inode, O_WRONLY | O_APPEND, task);
	t.equal(write(appending, '!', task), 1);
	t.equal(appending.offset, 7);
	t.equal(appending.openForMapping(), -EACCES);
	file.stat(stat);
	t.match(stat, { sizeBytes: 7, blocks: 8, nlink: 1, mode: 0o100600 });
	file.release();
	appending.release();
});

t.test('a file grows out of its buffer', async (t) => {
	const fs = tmpfs();
	const file = opened(fs, fs.root.create('f', 0o600, 0, 0), O_RDWR, task);
	const line = 'x'.repeat(1000);
	for (let i = 0; i < 100; i++) t.equal(write(file, line, task), 1000);
	file.stat(stat);
	t.match(stat, { sizeBytes: 100_000, blocks: 25 * 8 });
	t.equal(read(file, 200_000, task, 0), line.repeat(100));
	t.same(free(fs), [256 - 25, 998]);
	t.equal(file.truncate(5000), 0);
	t.same(free(fs), [256 - 2, 998]);
	file.release();
});

t.test('ENOSPC when the pages are used up, counted as they are written', async (t) => {
	const fs = tmpfs(16 * 4096);
	const file = opened(fs, fs.root.create('f', 0o600, 0, 0), O_RDWR, task);
	t.equal(file.truncate(1 << 30), 0, 'a hole costs nothing');
	t.equal(write(file, 'x'.repeat(8 * 4096), task, 1 << 20), 8 * 4096);
	t.equal(write(file, 'x'.repeat(20 * 4096), task, 0), 8 * 4096, 'what there is room for');
	t.equal(write(file, 'x', task, 1 << 25), -ENOSPC);
	t.equal(write(file, 'y'.repeat(100), task, (1 << 20) + 50), 100, 'over what is there');
	const other = opened(fs, fs.root.create('g', 0o600, 0, 0), O_RDWR, task);
	t.equal(write(other, 'x', task), -ENOSPC);
	t.equal(file.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 4 * 4096), 0);
	t.equal(write(other, 'x', task), 1);
	t.same(free(fs)[0], 3);
	t.equal(file.fallocate(0, 0, 30 * 4096), -ENOSPC);
	t.equal(file.fallocate(0, 8 * 4096, 2 * 4096), 0);
	t.same(free(fs)[0], 1);
	t.equal(file.fallocate(8, 0, 4096), -EOPNOTSUPP);
	t.equal(file.seek(0, SEEK_HOLE), 8 * 4096, 'reserved, not written');
	t.equal(file.seek(10 * 4096, SEEK_DATA), (1 << 20) + 4 * 4096);
	t.equal(file.seek(1 << 30, SEEK_DATA), -ENXIO);
	fs.root.unlink('f', file.inode);
	t.same(free(fs)[0], 1, 'open files keep their pages');
	t.ok(String(read(file, 3, task, 0)).startsWith('xxx'));
	file.release();
	t.same(free(fs), [15, 998]);
	other.release();
});

t.test('limits of sizes', async (t) => {
	const fs = tmpfs(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
	const file = opened(fs, fs.root.create('f', 0o600, 0, 0), O_RDWR, task);
	t.equal(file.truncate(2 ** 53), -EFBIG);
	t.equal(write(file, 'x', task, 2 ** 52), -EFBIG);
	const limited = fakeTask();
	limited.limits.soft[RLIMIT_FSIZE] = 4;
	t.equal(write(file, 'abcdef', limited.task), 4);
	t.equal(write(file, 'abcdef', limited.task), -EFBIG);
	t.same(limited.signals, [SIGXFSZ]);
	t.same(free(fs), [0, 0]);
	file.release();
});

t.test('inode slots: files, directories and further names take one each', async (t) => {
	const fs = tmpfs(1 << 20, 5);
	const a = made(fs.root.create('a', 0o600, 0, 0));
	made(fs.root.mkdir('d', 0o700, 0, 0));
	t.equal(fs.root.link('b', a), 0);
	made(fs.root.symlink('l', 'target', 0, 0));
	t.equal(fs.root.create('x', 0o600, 0, 0), -ENOSPC);
	t.equal(fs.root.link('x', a), -ENOSPC);
	t.equal(fs.root.createUnnamed(0o600, 0, 0), -ENOSPC);
	fs.root.unlink('a', a);
	const unnamed = made(fs.root.createUnnamed(0o600, 0, 0));
	const file = opened(fs, unnamed, O_RDWR, task);
	t.equal(fs.root.link('u', unnamed), 0, 'its first name needs no further slot');
	file.release();
	fs.root.unlink('u', unnamed);
	t.equal(fs.root.link('u', unnamed), -ENOENT);
	t.equal(unnamed.open(pathOf(fs, unnamed), O_RDONLY, task), -ENOENT);
	fs.root.unlink('b', a);
	fs.root.unlink('l', a);
	fs.root.rmdir('d', a);
	t.equal(free(fs)[1], 4);
});

t.test('link counts, sizes and removal of directories', async (t) => {
	const fs = tmpfs();
	const d = made(fs.root.mkdir('d', 0o2755, 3, 4)) as TmpDirectory;
	const e = made(d.mkdir('e', 0o755, 0, 0)) as TmpDirectory;
	d.stat(stat);
	t.match(stat, { nlink: 3, uid: 3, gid: 4, mode: 0o42755, sizeBytes: 60 });
	t.equal(fs.root.rmdir('d', d), -ENOTEMPTY);
	t.equal(d.unlink('e', e), -EISDIR);
	t.equal(d.rmdir('e', e), 0);
	e.stat(stat);
	t.equal(stat.nlink, 0);
	t.equal(e.create('x', 0o600, 0, 0), -ENOENT);
	const file = made(d.create('f', 0o600, 0, 0));
	t.equal(d.rmdir('f', file), -ENOTDIR);
	t.equal(d.lookup('e'), -ENOENT);
	t.equal(d.create('f', 0o600, 0, 0), -EEXIST);
	t.equal(d.link('g', d), -EPERM);
});

t.test('rename: moves, replaces, exchanges', async (t) => {
	const fs = tmpfs();
	const root = fs.root;
	const a = made(root.create('a', 0o600, 0, 0));
	const b = made(root.create('b', 0o600, 0, 0));
	const d = made(root.mkdir('d', 0o700, 0, 0)) as TmpDirectory;
	const e = made(root.mkdir('e', 0o700, 0, 0)) as TmpDirectory;
	t.equal(root.rename('a', a, root, 'b', b, RENAME_NOREPLACE), -EEXIST);
	t.equal(root.rename('a', a, root, 'd', d, 0), -EISDIR);
	t.equal(root.rename('d', d, root, 'a', a, 0), -ENOTDIR);
	t.equal(root.rename('a', a, root, 'b', b, 0), 0);
	t.equal(root.lookup('a'), -ENOENT);
	t.equal(root.lookup('b'), a);
	t.equal((b as unknown as { nlink: number }).nlink, 0);
	t.equal(root.rename('d', d, e, 'd2', null, 0), 0);
	t.equal(d.parent, e);
	t.equal(root.nlink, 3);
	t.equal(e.nlink, 3);
	t.equal(root.rename('b', a, e, 'd2', d, RENAME_EXCHANGE), 0);
	t.equal(root.lookup('b'), d);
	t.equal(e.lookup('d2'), a);
	t.equal(root.nlink, 4);
	t.equal(e.nlink, 2);
	t.equal(root.rename('b', d, root, 'e', e, 0), -ENOTEMPTY);
	t.equal(root.link('same', a), 0);
	t.equal(root.rename('same', a, e, 'd2', a, 0), 0, 'two names of one file: both stay');
	t.equal(root.lookup('same'), a);
	e.unlink('d2', a);
	t.equal(root.rename('b', d, root, 'e', e, 0), 0);
	t.equal(root.nlink, 3);
	t.ok(e.isRemoved);
});

t.test('reading a directory while it changes neither repeats nor skips what stays', async (t) => {
	const fs = tmpfs(1 << 20, 100_000);
	for (let i = 0; i < 1000; i++) made(fs.root.create(`f${i}`, 0o600, 0, 0));
	const directory = opened(fs, fs.root, O_RDONLY, task);
	t.equal(read(directory, 1, task), -EISDIR);
	const seen = new Map<string, number>();
	let round = 0;
	for (;;) {
		const part = entries(directory, task, 7);
		if (part.length === 0) break;
		for (const { name } of part) {
			seen.set(name, (seen.get(name) ?? 0) + 1);
			if (name.startsWith('f') && Number(name.slice(1)) % 2 === 1) fs.root.unlink(name, fs.root);
		}
		if (round++ < 50) made(fs.root.create(`new${round}`, 0o600, 0, 0));
	}
	for (let i = 0; i < 1000; i++) if (seen.get(`f${i}`) !== 1) t.fail(`f${i} was seen ${seen.get(`f${i}`)} times`);
	t.equal(seen.get('.'), 1);
	t.equal(seen.get('..'), 1);
	directory.seek(0, SEEK_SET);
	t.equal(names(directory, task).length, 2 + 500 + 50);
	directory.seek(0, SEEK_SET);
	const [, , third] = entries(directory, task, 3);
	const [fourth] = entries(directory, task, 1);
	directory.seek(third!.next, SEEK_SET);
	t.equal(entries(directory, task, 1)[0]!.name, fourth!.name);
	directory.release();
});

t.test('times follow Linux', async (t) => {
	const fs = tmpfs();
	const inode = made(fs.root.create('f', 0o600, 0, 0));
	inode.stat(stat);
	t.equal(stat.btimeSec, stat.mtimeSec);
	inode.setTimes({ atimeSec: 10, atimeNsec: 1, mtimeSec: 20, mtimeNsec: 2 });
	inode.stat(stat);
	t.match(stat, { atimeSec: 10, atimeNsec: 1, mtimeSec: 20, mtimeNsec: 2 });
	t.ok(stat.ctimeSec > 1e9);
	const file = opened(fs, inode, O_RDWR, task);
	write(file, 'x', task);
	inode.stat(stat);
	t.ok(stat.mtimeSec > 1e9);
	t.equal(stat.atimeSec, 10);
	read(file, 1, task, 0);
	inode.stat(stat);
	t.ok(stat.atimeSec > 1e9, 'relatime: older than mtime');
	inode.setTimes({ atimeSec: 10, atimeNsec: 1, mtimeSec: 0, mtimeNsec: UTIME_OMIT });
	inode.setTimes({ atimeSec: 0, atimeNsec: UTIME_OMIT, mtimeSec: 0, mtimeNsec: UTIME_NOW });
	inode.stat(stat);
	t.equal(stat.atimeSec, 10);
	t.ok(stat.mtimeSec > 1e9);
	file.release();
});

t.test('modes, owners and set-id bits', async (t) => {
	const fs = tmpfs();
	const inode = made(fs.root.create('f', 0o6755, 1, 1));
	t.equal(inode.mode, 0o106755);
	inode.chown(2, -1);
	t.match(inode, { uid: 2, gid: 1, mode: 0o100755 });
	inode.chmod(0o6711);
	const file = opened(fs, inode, O_RDWR, task);
	write(file, 'x', fakeTask(1000).task);
	t.equal(inode.mode, 0o100711);
	file.release();
});

t.test('extended attributes are bounded and checked', async (t) => {
	const fs = tmpfs();
	const inode = made(fs.root.create('f', 0o600, 0, 0));
	const value = Buffer.from('value');
	t.equal(inode.setxattr('user.a', value, XATTR_REPLACE), -ENODATA);
	t.equal(inode.setxattr('user.a', value, XATTR_CREATE), 0);
	t.equal(inode.setxattr('user.a', value, XATTR_CREATE), -EEXIST);
	value.fill(0);
	t.same(Buffer.from(inode.getxattr('user.a') as Uint8Array).toString(), 'value');
	t.same(inode.listxattr(), ['user.a']);
	t.equal(inode.setxattr('trusted.a', value, 0), 0, 'the caller has looked at CAP_SYS_ADMIN');
	t.equal(inode.removexattr('trusted.a'), 0);
	t.equal(inode.setxattr('security.other', value, 0), -EOPNOTSUPP);
	for (const change of [() => inode.truncate(3), () => inode.chown(1, 1)]) {
		t.equal(inode.setxattr('security.capability', value, 0), 0);
		change();
		t.equal(inode.getxattr('security.capability'), -ENODATA, 'file capabilities end with a change');
	}
	t.equal(made(fs.root.symlink('l', 'x', 0, 0)).setxattr('user.a', value, 0), -EPERM);
	const large = Buffer.alloc(65536);
	let count = 0;
	while (inode.setxattr(`user.large${count}`, large, 0) === 0) count++;
	t.equal(count, 255);
	t.equal(inode.setxattr('user.x', large, 0), -ENOSPC);
	fs.root.unlink('f', inode);
	const other = made(fs.root.create('f', 0o600, 0, 0));
	t.equal(other.setxattr('user.x', large, 0), 0, 'given back');
	t.equal(other.removexattr('user.x'), 0);
	t.equal(other.removexattr('user.x'), -ENODATA);
});

t.test('memory files are bounded, small files need none', async (t) => {
	const fs = tmpfs(1 << 30, 100_000);
	const big = 'x'.repeat(20_000);
	let count = 0;
	for (let i = 0; i < 4200; i++) {
		const file = opened(fs, fs.root.create(`f${i}`, 0o600, 0, 0), O_WRONLY, task);
		const bytes = write(file, big, task);
		if (bytes > 0) count++;
		else t.equal(bytes, -ENOSPC);
		file.release();
	}
	t.equal(count, 4096);
	const small = opened(fs, fs.root.create('small', 0o600, 0, 0), O_WRONLY, task);
	t.equal(write(small, 'x'.repeat(16_384), task), 16_384);
	small.release();
	for (let i = 0; i < 4200; i++) fs.root.unlink(`f${i}`, fs.root);
	t.equal(free(fs)[0], (1 << 18) - 4);
});

t.test('a file system that is disposed of gives back what isn’t open', async (t) => {
	const fs = tmpfs();
	const directory = made(fs.root.mkdir('d', 0o700, 0, 0)) as TmpDirectory;
	const inode = made(directory.create('f', 0o600, 0, 0));
	const file = opened(fs, inode, O_RDWR, task);
	native.close(file.openForMapping());
	write(file, 'text', task);
	fs.dispose();
	t.equal(directory.lookup('f'), -ENOENT);
	t.equal(fs.root.create('x', 0o600, 0, 0), -ENOENT);
	t.equal(read(file, 4, task, 0), 'text');
	file.release();
	t.equal(inode.open(pathOf(fs, inode), O_RDWR, task), -ENOENT);
	t.equal(free(fs)[0], 256);
});

t.test('nodes and symlinks', async (t) => {
	const fs = tmpfs();
	const socket = made(fs.root.mknod('s', S_IFSOCK | 0o755, 0, 0, 0));
	t.equal(socket.open(pathOf(fs, socket), O_RDWR, task), -ENXIO);
	const link = made(fs.root.symlink('l', 'some/where', 0, 0));
	t.equal(link.readlink(task), 'some/where');
	t.equal(link.open(pathOf(fs, link), O_RDONLY, task), -ELOOP);
	link.stat(stat);
	t.match(stat, { sizeBytes: 10, mode: 0o120777 });
});
