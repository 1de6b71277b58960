import {
	chmodSync,
	closeSync,
	linkSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { native } from '../../../native.js';
import { EACCES, EEXIST, EFBIG, EISDIR, ELOOP, ENODATA, ENOENT, ENOTDIR, ENOTEMPTY, ENXIO, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import {
	O_APPEND,
	O_PATH,
	O_RDONLY,
	O_RDWR,
	O_WRONLY,
	RENAME_EXCHANGE,
	RENAME_NOREPLACE,
	SEEK_CUR,
	SEEK_DATA,
	SEEK_END,
	SEEK_HOLE,
	SEEK_SET,
} from '../../abi/fcntl.js';
import { RLIMIT_FSIZE } from '../../abi/resource.js';
import { SIGXFSZ } from '../../abi/signal-numbers.js';
import { S_IFCHR, S_IFIFO, S_IFSOCK, UTIME_OMIT } from '../../abi/stat-constants.js';
import { Stat } from '../../vfs/stat.js';
import { entries, fakeTask, made, names, opened, pathOf, read, write } from '../testing.js';
import { HostFileSystem } from './host-file-system.js';

const isRoot = process.getuid?.() === 0;
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const { task } = fakeTask();
const stat = new Stat();

function tree(
	test: { teardown(after: () => void): unknown },
	isExclusive = true,
	isReadOnly = false,
): { fs: HostFileSystem; folder: string } {
	const folder = mkdtempSync(join(tmpdir(), 'host-fs-'));
	test.teardown(() => rmSync(folder, { recursive: true, force: true }));
	const fd = native.openat2(-100, folder, O_PATH, 0, 0);
	return { fs: new HostFileSystem(fd, 'ext4', isExclusive, isReadOnly), folder };
}

t.test('a file is made, written, read and appended to', async (t) => {
	const { fs, folder } = tree(t);
	const inode = made(fs.root.create('a\xe9', 0o4751, uid, gid));
	t.equal(inode.mode & 0o7777, 0o4751, 'whatever the umask');
	const file = opened(fs, inode, O_RDWR, task);
	t.equal(write(file, 'hello', task), 5);
	t.equal(write(file, 'J', task, 0), 1);
	t.equal(file.offset, 5, 'pwrite leaves the offset');
	t.equal(read(file, 10, task), '');
	t.equal(file.seek(1, SEEK_SET), 1);
	t.equal(read(file, 10, task), 'ello');
	const appending = opened(fs, inode, O_WRONLY | O_APPEND, task);
	t.equal(write(appending, '!', task), 1);
	t.equal(appending.offset, 6);
	t.equal(file.seek(-1, SEEK_END), 5);
	t.equal(file.seek(0, SEEK_CUR), 5);
	t.equal(readFileSync(Buffer.from(`${folder}/a\xe9`, 'latin1'), 'latin1'), 'Jello!');
	t.equal(file.stat(stat), 0);
	t.match(stat, { dev: fs.dev, sizeBytes: 6, nlink: 1, uid, gid });
	file.release();
	appending.release();
	t.equal(fs.root.create('a\xe9', 0o600, uid, gid), -EEXIST);
});

t.test('holes, lengths and fallocate', async (t) => {
	const { fs } = tree(t);
	const file = opened(fs, fs.root.create('f', 0o600, uid, gid), O_RDWR, task);
	t.equal(file.truncate(1 << 20), 0);
	t.equal(write(file, 'x', task, 1 << 19), 1);
	t.equal(file.seek(0, SEEK_DATA), 1 << 19);
	t.equal(file.seek(0, SEEK_HOLE), 0);
	t.equal(file.seek(1 << 20, SEEK_DATA), -ENXIO);
	t.equal(file.fallocate(0, 0, 2 << 20), 0);
	file.stat(stat);
	t.equal(stat.sizeBytes, 2 << 20);
	t.equal(file.sync(false), 0);
	t.equal(file.inode.truncate(3), 0);
	file.stat(stat);
	t.equal(stat.sizeBytes, 3);
	file.release();
});

t.test('RLIMIT_FSIZE ends a write, then refuses it', async (t) => {
	const { fs } = tree(t);
	const limited = fakeTask();
	limited.limits.soft[RLIMIT_FSIZE] = 4;
	const file = opened(fs, fs.root.create('f', 0o600, uid, gid), O_RDWR, task);
	t.equal(write(file, 'abcdef', limited.task), 4);
	t.equal(write(file, 'ef', limited.task), -EFBIG);
	t.same(limited.signals, [SIGXFSZ]);
	file.release();
});

t.test('a write takes set-id bits away from who may not set them', async (t) => {
	const { fs } = tree(t);
	const inode = made(fs.root.create('f', 0o6755, uid, gid));
	const file = opened(fs, inode, O_RDWR, task);
	write(file, 'a', task);
	t.equal(inode.mode & 0o7777, 0o6755);
	write(file, 'a', fakeTask(1000).task);
	t.equal(inode.mode & 0o7777, 0o755);
	file.release();
});

t.test('two names of a file are one inode, whichever of them goes first', async (t) => {
	const { fs } = tree(t);
	const root = fs.root;
	const inode = made(root.create('a', 0o600, uid, gid));
	const directory = made(root.mkdir('d', 0o700, uid, gid));
	t.equal(directory.link('b', inode), 0);
	t.equal(made(directory.lookup('b', task)), inode);
	inode.stat(stat);
	t.equal(stat.nlink, 2);
	t.equal(root.unlink('a', inode), 0);
	inode.stat(stat);
	t.equal(stat.nlink, 1);
	t.equal(inode.chmod(0o640), 0, 'by the name that is left');
	t.equal(directory.unlink('b', inode), 0);
	inode.stat(stat);
	t.match(stat, { nlink: 0, ino: inode.ino });
	t.equal(root.lookup('a', task), -ENOENT);
});

t.test('a removed file that is open keeps its contents and attributes', async (t) => {
	const { fs } = tree(t);
	const inode = made(fs.root.create('f', 0o600, uid, gid));
	const file = opened(fs, inode, O_RDWR, task);
	write(file, 'text', task);
	t.equal(fs.root.unlink('f', inode), 0);
	t.equal(inode.chmod(0o640), 0);
	file.stat(stat);
	t.match(stat, { nlink: 0, sizeBytes: 4, mode: 0o100640 });
	const again = opened(fs, inode, O_RDONLY, task);
	t.equal(read(again, 9, task), 'text', 'as /proc/self/fd/N opens it');
	const other = made(fs.root.create('f', 0o600, uid, gid));
	t.not(other, inode);
	again.release();
	file.release();
});

t.test('an unnamed file can be given a name', async (t) => {
	const { fs, folder } = tree(t);
	const inode = made(fs.root.createUnnamed(0o600, uid, gid));
	const file = opened(fs, inode, O_RDWR, task);
	write(file, 'text', task);
	file.stat(stat);
	t.equal(stat.nlink, 0);
	t.equal(fs.root.link('f', inode), 0);
	t.equal(readFileSync(join(folder, 'f'), 'latin1'), 'text');
	file.release();
	t.equal(made(fs.root.lookup('f')), inode);
});

t.test('rename moves inodes along, exchanges and replaces', async (t) => {
	const { fs, folder } = tree(t);
	const root = fs.root;
	const a = made(root.create('a', 0o600, uid, gid));
	const d = made(root.mkdir('d', 0o700, uid, gid));
	const e = made(d.mkdir('e', 0o700, uid, gid));
	const x = made(e.create('x', 0o600, uid, gid));
	t.equal(d.rename('e', e, root, 'e2', null, 0), 0);
	t.equal(x.chmod(0o644), 0, 'its directory has moved');
	t.equal(lstatSync(join(folder, 'e2/x')).mode & 0o777, 0o644);
	t.equal(root.rename('a', a, e, 'x', x, RENAME_NOREPLACE), -EEXIST);
	t.equal(root.rename('a', a, e, 'x', x, RENAME_EXCHANGE), 0);
	t.equal(made(root.lookup('a', task)), x);
	t.equal(made(e.lookup('x', task)), a);
	t.equal(e.rename('x', a, root, 'a', x, 0), 0);
	x.stat(stat);
	t.equal(stat.nlink, 0);
	t.equal(made(root.lookup('a', task)), a);
	t.equal(root.rmdir('e2', e), 0);
	e.stat(stat);
	t.match(stat, { nlink: 0, ino: e.ino });
	t.equal(e.create('y', 0o600, uid, gid), -ENOENT);
	made(d.mkdir('f', 0o700, uid, gid));
	t.equal(root.rmdir('d', d), -ENOTEMPTY);
});

t.test('symlinks, fifos, sockets and devices are nodes that the host is never asked to open', async (t) => {
	const { fs, folder } = tree(t);
	const root = fs.root;
	const link = made(root.symlink('l', '/etc/\xffpasswd', uid, gid));
	t.equal(link.readlink(task), '/etc/\xffpasswd');
	link.stat(stat);
	t.equal(stat.sizeBytes, 12);
	t.equal(link.open(pathOf(fs, link), O_RDONLY, task), -ELOOP);
	const socket = made(root.mknod('s', S_IFSOCK | 0o600, 0, uid, gid));
	t.equal(socket.open(pathOf(fs, socket), O_RDWR, task), -ENXIO);
	t.equal(made(root.mknod('p', S_IFIFO | 0o622, 0, uid, gid)).mode, S_IFIFO | 0o622);
	symlinkSync('/etc', join(folder, 'etc'));
	const etc = made(root.lookup('etc'));
	t.equal(etc.lookup('passwd', task), -ENOTDIR, 'a symlink leads nowhere');
	if (isRoot) {
		const node = made(root.mknod('zero', S_IFCHR | 0o666, 0x105, uid, gid));
		const file = opened(fs, node, O_RDONLY, task);
		t.equal(read(file, 3, task), '\0\0\0');
		t.equal(file.hostFd, -1);
		file.release();
		const disk = made(root.mknod('mem', S_IFCHR | 0o666, 0x101, uid, gid));
		t.equal(disk.open(pathOf(fs, disk), O_RDONLY, task), -ENXIO);
		t.equal(node.open(pathOf(fs, node, 4), O_RDONLY, task), -EACCES, 'nodev');
	}
});

t.test('owners, times and extended attributes', async (t) => {
	const { fs, folder } = tree(t);
	const inode = made(fs.root.create('f', 0o600, isRoot ? 7 : uid, isRoot ? 8 : gid));
	if (isRoot) {
		t.match(statSync(join(folder, 'f')), { uid: 7, gid: 8 });
		inode.chmod(0o4755);
		t.equal(inode.chown(9, -1), 0);
		t.match(inode, { uid: 9, gid: 8, mode: 0o100755 });
	}
	t.equal(inode.setTimes({ atimeSec: 0, atimeNsec: UTIME_OMIT, mtimeSec: 12, mtimeNsec: 34 }), 0);
	inode.stat(stat);
	t.match(stat, { mtimeSec: 12, mtimeNsec: 34 });
	const value = Buffer.from('v');
	if (inode.setxattr('user.a', value, 0) !== -EOPNOTSUPP) {
		t.same(inode.getxattr('user.a'), Uint8Array.from(value));
		t.same(inode.listxattr(), ['user.a']);
		t.equal(inode.removexattr('user.a'), 0);
		t.equal(inode.getxattr('user.a'), -ENODATA);
	}
	t.equal(inode.setxattr('trusted.a', value, 0), -EPERM);
	t.equal(inode.getxattr('trusted.overlay.opaque'), -ENODATA);
	t.equal(inode.setxattr('security.capability', value, 0), -EPERM);
	t.equal(inode.getxattr('nonsense'), -EOPNOTSUPP);
});

t.test('a directory of many entries is read, sought in and rewound', async (t) => {
	const { fs, folder } = tree(t);
	const count = 10_000;
	for (let i = 0; i < count; i++) closeSync(openSync(join(folder, `file-${i}`), 'w'));
	const directory = opened(fs, fs.root, O_RDONLY, task);
	t.equal(read(directory, 1, task), -EISDIR);
	const order: string[] = [];
	for (;;) {
		const part = entries(directory, task, 777);
		if (part.length === 0) break;
		for (const { name, next } of part) {
			order.push(name);
			if (next !== order.length) t.fail(`position ${next} behind entry ${order.length}`);
		}
	}
	t.equal(new Set(order).size, count + 2);
	t.ok(order.includes('.') && order.includes('..'));
	for (const at of [9999, 1, 5001, 4096, 0, 8193]) {
		directory.seek(at, SEEK_SET);
		t.equal(entries(directory, task, 1)[0]?.name, order[at], `entry ${at}`);
		t.equal(entries(directory, task, 1)[0]?.name, order[at + 1]);
	}
	directory.seek(20_000, SEEK_SET);
	t.same(entries(directory, task), []);
	closeSync(openSync(join(folder, 'new'), 'w'));
	directory.seek(0, SEEK_SET);
	t.ok(names(directory, task).includes('new'));
	directory.release();
});

t.test('directories beyond the number of descriptors are opened again', async (t) => {
	const { fs } = tree(t);
	const directories = [];
	let parent = fs.root;
	for (let i = 0; i < 50; i++) parent = made(parent.mkdir('deep', 0o700, uid, gid)) as typeof parent;
	for (let i = 0; i < 2500; i++) directories.push(made(fs.root.mkdir(`d${i}`, 0o700, uid, gid)) as typeof parent);
	t.equal(parent.directoryFd, -1, 'given up');
	t.not(fs.root.directoryFd, -1);
	made(parent.create('f', 0o600, uid, gid));
	t.not(parent.directoryFd, -1);
	let failures = 0;
	for (let i = 1; i < directories.length; i++) {
		const from = directories[i - 1]!;
		if (i === 1) made(from.create('x', 0o600, uid, gid));
		if (from.rename('x', made(from.lookup('x')), directories[i]!, 'x', null, 0) !== 0) failures++;
	}
	t.equal(failures, 0);
});

t.test('a tree that the host changes too is asked each time', async (t) => {
	const { fs, folder } = tree(t, false);
	mkdirSync(join(folder, 'd'));
	writeFileSync(join(folder, 'd/a'), 'one');
	const d = made(fs.root.lookup('d'));
	const a = made(d.lookup('a'));
	t.equal(made(d.lookup('a')), a);
	chmodSync(join(folder, 'd/a'), 0o640);
	linkSync(join(folder, 'd/a'), join(folder, 'd/b'));
	t.equal(made(d.lookup('b')), a);
	t.equal(a.mode & 0o777, 0o640);
	writeFileSync(join(folder, 'd/new'), 'two');
	renameSync(join(folder, 'd/new'), join(folder, 'd/a'));
	const replaced = made(d.lookup('a'));
	t.not(replaced, a);
	const file = opened(fs, replaced, O_RDONLY, task);
	t.equal(read(file, 9, task), 'two');
	file.release();
	renameSync(join(folder, 'd'), join(folder, 'e'));
	t.equal(made(made(fs.root.lookup('e')).lookup('a')), replaced);
	rmSync(join(folder, 'e/a'));
	t.equal(replaced.open(pathOf(fs, replaced), O_RDONLY, task), -ENOENT);
});

t.test('a descriptor for mapping has the rights of the description', async (t) => {
	const { fs } = tree(t);
	const inode = made(fs.root.create('f', 0o600, uid, gid));
	const file = opened(fs, inode, O_RDONLY, task);
	const fd = file.openForMapping();
	t.ok(fd > 2);
	t.ok(native.pwrite(fd, Buffer.from('x'), 0, 1, 0) < 0);
	native.close(fd);
	const writing = opened(fs, inode, O_WRONLY, task);
	t.equal(writing.openForMapping(), -EACCES);
	t.match(inode.mappingKey(), /^[0-9a-f]{2,}:[0-9a-f]{2,} \d+$/);
	file.release();
	writing.release();
});

t.test('a tree that is disposed of has no names and no descriptors any more', async (t) => {
	const { fs } = tree(t);
	const inode = made(fs.root.create('f', 0o600, uid, gid));
	const file = opened(fs, inode, O_RDWR, task);
	const directory = made(fs.root.mkdir('d', 0o700, uid, gid)) as typeof fs.root;
	fs.dispose();
	t.equal(directory.directoryFd, -1);
	t.equal(fs.root.lookup('f'), -ENOENT);
	t.equal(directory.create('x', 0o600, uid, gid), -ENOENT);
	t.equal(write(file, 'text', task), 4);
	file.release();
});

t.test('a single file can be a tree', async (t) => {
	const { folder } = tree(t);
	writeFileSync(join(folder, 'hosts'), 'localhost');
	const fs = new HostFileSystem(native.openat2(-100, join(folder, 'hosts'), O_PATH, 0, 0), 'ext4', false);
	rmSync(join(folder, 'hosts'));
	const file = opened(fs, fs.root, O_RDWR, task);
	t.equal(read(file, 20, task), 'localhost');
	t.equal(fs.root.chmod(0o644), 0);
	t.equal(fs.root.truncate(5), 0);
	t.equal(fs.root.stat(stat), 0);
	t.match(stat, { sizeBytes: 5, mode: 0o100644, nlink: 0 });
	t.equal(fs.root.lookup('x'), -ENOTDIR);
	const fd = fs.root.openForMapping(O_RDONLY, false);
	t.ok(fd > 2);
	native.close(fd);
	file.release();
	fs.dispose();
});
