import t from 'tap';
import { native } from '../../../native.js';
import { makeDevice } from '../../abi/device-number.js';
import { EINVAL, ENODEV, ENOSPC, ENXIO } from '../../abi/errno.js';
import { O_RDONLY, O_RDWR, SEEK_SET } from '../../abi/fcntl.js';
import { S_IFCHR } from '../../abi/stat-constants.js';
import { Stat } from '../../vfs/stat.js';
import { fakeTask, made, names, opened, pathOf, read, write } from '../testing.js';
import { createDevFileSystem } from './dev-file-system.js';
import { openDevice } from './devices.js';

const { task } = fakeTask();
const fs = createDevFileSystem();
const open = (name: string) => opened(fs, fs.root.lookup(name), O_RDWR, task);

t.test('/dev has what other runtimes put there', async (t) => {
	const directory = opened(fs, fs.root, O_RDONLY, task);
	const expected = [
		'.',
		'..',
		'fd',
		'full',
		'mqueue',
		'null',
		'ptmx',
		'pts',
		'random',
		'shm',
		'stderr',
		'stdin',
		'stdout',
		'tty',
		'urandom',
		'zero',
	];
	t.same(names(directory, task), expected);
	directory.release();
	const stat = new Stat();
	made(fs.root.lookup('urandom')).stat(stat);
	t.match(stat, { mode: S_IFCHR | 0o666, rdev: 0x109, uid: 0 });
	t.equal(made(fs.root.lookup('stdin')).readlink(task), '/proc/self/fd/0');
	t.equal(makeDevice(0x123, 0x45678), 0x45612378);
});

t.test('/dev/null', async (t) => {
	const file = open('null');
	t.equal(read(file, 5, task), '');
	t.equal(write(file, 'hello', task), 5);
	t.equal(file.seek(5, SEEK_SET), 0);
	t.equal(file.openForMapping(), -ENODEV);
	file.release();
});

t.test('/dev/zero', async (t) => {
	const file = open('zero');
	t.equal(read(file, 200_000, task), '\0'.repeat(200_000));
	t.equal(write(file, 'hello', task), 5);
	const fd = file.openForMapping();
	t.ok(fd > 2);
	const bytes = Buffer.from('abc');
	t.equal(native.pread(fd, bytes, 0, 3, 2 ** 40), 3);
	t.same(bytes, Buffer.alloc(3));
	native.close(fd);
	file.release();
});

t.test('/dev/full', async (t) => {
	const file = open('full');
	t.equal(read(file, 3, task), '\0\0\0');
	t.equal(write(file, 'hello', task), -ENOSPC);
	t.equal(file.openForMapping(), -ENODEV);
	file.release();
});

t.test('/dev/urandom', async (t) => {
	const file = open('urandom');
	const first = read(file, 100_000, task);
	t.equal(String(first).length, 100_000);
	t.not(read(file, 100_000, task), first);
	t.equal(write(file, 'hello', task), 5);
	t.equal(file.ioctl(task, 0x5401, 0), -EINVAL);
	file.release();
});

t.test('/dev/tty is nobody’s who has no controlling terminal', async (t) => {
	const inode = made(fs.root.lookup('tty'));
	t.equal(inode.open(pathOf(fs, inode), O_RDWR, task), -ENXIO);
	t.equal(openDevice(makeDevice(1, 1), pathOf(fs, inode), inode, O_RDONLY, task), -ENXIO);
});
