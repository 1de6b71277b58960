import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { addon } from './test-guests.js';

const AT_FDCWD = -100;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const RESOLVE_IN_ROOT = 0x10;
const MODE = 2;
const NLINK = 3;
const SIZE = 7;
const MTIME_SECONDS = 12;
const BTIME_SECONDS = 16;
const UTIME_OMIT = 0x3ffffffe;

const folder = mkdtempSync(join(tmpdir(), 'isopod-files-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const dir = addon.openat2(AT_FDCWD, folder, O_PATH | O_DIRECTORY, 0, 0);
const bytes = (text: string): Buffer => Buffer.from(text);
const stat = new Float64Array(addon.STAT_FIELDS);

t.test('openat2() takes strings and bytes, and gives errno for what no path can be', async (t) => {
	const fd = addon.openat2(dir, Buffer.from('caf\xe9', 'latin1'), O_RDWR | O_CREAT, 0o640, 0);
	t.ok(fd > 2);
	t.equal(addon.fstat(fd, stat), 0);
	t.equal((stat[MODE] ?? 0) & 0o777, 0o640 & ~process.umask());
	t.match(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /flags:\t02[0-7]+/, 'close-on-exec');
	addon.close(fd);
	t.equal(addon.fstatat(dir, 'caf\xe9', stat), 0, 'a character of a string is a byte');
	t.equal(addon.openat2(dir, 'nothing', 0, 0, 0), -2);
	t.equal(addon.openat2(dir, '', 0, 0, 0), -2);
	t.equal(addon.openat2(dir, 'a\0b', 0, 0, 0), -22);
	t.equal(addon.openat2(dir, bytes('a\0b'), 0, 0, 0), -22);
	t.equal(addon.openat2(dir, 'x'.repeat(4096), 0, 0, 0), -36);
	t.equal(addon.openat2(dir, bytes('x'.repeat(4096)), 0, 0, 0), -36);
	t.equal(addon.openat2(dir, 'é'.repeat(100_000), 0, 0, 0), -36);
	t.equal(addon.openat2(dir, './'.repeat(2047), O_PATH, 0, 0) > 2, true, 'the longest path');
	t.equal(addon.openat2(dir, '/../..', O_PATH, 0, RESOLVE_IN_ROOT) > 2, true);
	t.equal(addon.openat2(AT_FDCWD, '/proc/self/fd/0', O_PATH, 0, 0), -40, 'no magic links');
	t.throws(() => addon.openat2(dir, 7 as unknown as string, 0, 0, 0), TypeError);
});

t.test('fstat() and fstatat() fill all fields as stat(2) does', async (t) => {
	writeFileSync(join(folder, 'file'), 'twelve bytes');
	const wanted = statSync(join(folder, 'file'));
	t.equal(addon.fstatat(dir, 'file', stat), 0);
	const [dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, atime, , mtime] = stat;
	t.same(
		{ dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks },
		{
			dev: wanted.dev,
			ino: wanted.ino,
			mode: wanted.mode,
			nlink: wanted.nlink,
			uid: wanted.uid,
			gid: wanted.gid,
			rdev: wanted.rdev,
			size: wanted.size,
			blksize: wanted.blksize,
			blocks: wanted.blocks,
		},
	);
	t.equal(atime, Math.floor(wanted.atimeMs / 1000));
	t.equal(mtime, Math.floor(wanted.mtimeMs / 1000));
	t.ok((stat[BTIME_SECONDS] ?? 0) > 1e9);
	t.equal(addon.fstatat(AT_FDCWD, '/dev/null', stat), 0);
	t.equal(stat[6], statSync('/dev/null').rdev);
	t.throws(() => addon.fstat(dir, new Float64Array(17)), RangeError);
	const statfs = new Float64Array(10);
	t.equal(addon.fstatfs(dir, statfs), 0);
	t.ok((statfs[1] ?? 0) > 0);
});

t.test('reading, writing, seeking and their errors', async (t) => {
	const fd = addon.openat2(dir, 'data', O_RDWR | O_CREAT, 0o600, 0);
	t.equal(addon.pwrite(fd, bytes('..hello..'), 2, 5, -1), 5);
	t.equal(addon.pwrite(fd, bytes('world'), 0, 5, 5), 5);
	const buffer = new Uint8Array(16);
	t.equal(addon.pread(fd, buffer, 1, 10, 0), 10);
	t.equal(Buffer.from(buffer.subarray(1, 11)).toString(), 'helloworld');
	t.equal(addon.lseek(fd, -3, 2), 7);
	t.equal(addon.pread(fd, buffer, 0, 16, -1), 3);
	t.equal(addon.lseek(fd, -1, 0), -22);
	t.equal(addon.ftruncate(fd, 4), 0);
	t.equal(addon.fallocate(fd, 0, 0, 100), 0);
	t.equal(addon.fsync(fd, true), 0);
	addon.fstat(fd, stat);
	t.equal(stat[SIZE], 100);
	const other = addon.memfdCreate('copy', 0);
	t.equal(addon.copyFileRange(fd, 0, other, 0, 4) === 4 || addon.copyFileRange(fd, 0, other, 0, 4) === -18, true);
	t.equal(addon.close(other), 0);
	t.equal(addon.close(fd), 0);
	t.equal(addon.close(fd), -9);
	t.equal(addon.pread(fd, buffer, 0, 1, 0), -9);
});

t.test('names: mkdirat(), symlinkat(), linkFd(), renameat2(), unlinkat(), getdents64()', async (t) => {
	t.equal(addon.mkdirat(dir, 'sub', 0o755), 0);
	t.equal(addon.mkdirat(dir, 'sub', 0o755), -17);
	t.equal(addon.symlinkat('file', dir, 'link'), 0);
	const buffer = new Uint8Array(4096);
	t.equal(addon.readlinkat(dir, 'link', buffer), 4);
	t.equal(addon.fstatat(dir, 'link', stat), 0);
	t.equal((stat[MODE] ?? 0) & 0o170000, 0o120000, 'the link itself');
	const file = addon.openat2(dir, 'file', O_PATH, 0, 0);
	t.equal(addon.linkFd(file, dir, 'hard'), 0);
	addon.fstat(file, stat);
	t.equal(stat[NLINK], 2);
	t.equal(addon.renameat2(dir, 'hard', dir, 'file', 1), -17, 'RENAME_NOREPLACE');
	t.equal(addon.renameat2(dir, 'hard', dir, 'harder', 0), 0);
	t.equal(addon.mknodat(dir, 'fifo', 0o010644, 0), 0);
	const listing = addon.openat2(dir, '.', O_DIRECTORY, 0, 0);
	const length = addon.getdents64(listing, buffer);
	const text = Buffer.from(buffer.subarray(0, length)).toString('latin1');
	for (const name of ['sub', 'link', 'harder', 'fifo']) t.ok(text.includes(`${name}\0`), name);
	t.equal(addon.getdents64(listing, buffer), 0);
	t.equal(addon.lseek(listing, 0, 0), 0);
	t.ok(addon.getdents64(listing, buffer) > 0);
	t.equal(addon.unlinkat(dir, 'sub', false), -21);
	t.equal(addon.unlinkat(dir, 'sub', true), 0);
	for (const name of ['link', 'harder', 'fifo']) t.equal(addon.unlinkat(dir, name, false), 0, name);
	addon.close(listing);
	addon.close(file);
});

t.test('metadata through O_PATH descriptors', async (t) => {
	const file = addon.openat2(dir, 'file', O_PATH, 0, 0);
	t.equal(addon.chownFd(file, -1, -1), 0);
	t.equal(addon.chmodFd(file, 0o4755), 0);
	t.equal(addon.utimensFd(file, 1, UTIME_OMIT, 123456789, 5), 0);
	addon.fstat(file, stat);
	t.equal((stat[MODE] ?? 0) & 0o7777, 0o4755);
	t.equal(stat[MTIME_SECONDS], 123456789);
	t.equal(stat[MTIME_SECONDS + 1], 5);
	t.equal(addon.setxattrFd(file, 'user.colour', bytes('blue'), 0), 0);
	const buffer = new Uint8Array(64);
	t.equal(addon.getxattrFd(file, 'user.colour', new Uint8Array(0)), 4, 'asks for the size');
	t.equal(addon.getxattrFd(file, 'user.colour', buffer), 4);
	t.equal(addon.listxattrFd(file, buffer), 12);
	t.equal(addon.removexattrFd(file, 'user.colour'), 0);
	t.equal(addon.getxattrFd(file, 'user.colour', buffer), -61);
	const readable = addon.reopen(file, 0);
	t.ok(readable > 2);
	t.equal(addon.pread(readable, buffer, 0, 6, 0), 6);
	addon.close(readable);
	addon.close(file);

	addon.symlinkat('nowhere', dir, 'dangling');
	const link = addon.openat2(dir, 'dangling', O_PATH | O_NOFOLLOW, 0, 0);
	t.equal(addon.utimensFd(link, 7, 0, 8, 0), 0, 'of the link itself');
	addon.fstat(link, stat);
	t.equal(stat[MTIME_SECONDS], 8);
	t.equal(addon.chownFd(link, -1, -1), 0);
	addon.close(link);
});

t.test('pipes, flags, ioctl() and poll', async (t) => {
	const fds = new Int32Array(2);
	t.equal(addon.pipe(fds), 0);
	const [readEnd = -1, writeEnd = -1] = fds;
	t.equal(addon.pread(readEnd, new Uint8Array(1), 0, 1, -1), -11);
	t.equal(addon.pollNow(readEnd, 1), 0);
	addon.pwrite(writeEnd, bytes('abc'), 0, 3, -1);
	t.equal(addon.pollNow(readEnd, 1), 1);
	const count = new Int32Array(1);
	t.equal(addon.ioctl(readEnd, 0x541b, new Uint8Array(count.buffer)), 0);
	t.equal(count[0], 3);
	t.equal(addon.ioctl(readEnd, 0x5401, new Uint8Array(36)), -25, 'no terminal');
	t.equal(addon.ioctl(readEnd, 0x5412, new Uint8Array(36)), -1, 'TIOCSTI is none of ours');
	t.throws(() => addon.ioctl(readEnd, 0x541b, new Uint8Array(3)), RangeError);
	t.throws(() => addon.ioctl(readEnd, 0x541b, null), RangeError);
	t.equal(addon.setNonBlocking(readEnd, false), 0);
	t.equal(addon.setCloseOnExec(readEnd, false), 0);
	addon.close(readEnd);
	t.equal(addon.pwrite(writeEnd, bytes('x'), 0, 1, -1), -32, 'EPIPE, and no signal');
	addon.close(writeEnd);
	t.throws(() => addon.pipe(new Int32Array(1)), RangeError);
});

t.test('readProcFile() reads below /proc and nothing else', async (t) => {
	const buffer = new Uint8Array(4096);
	const length = addon.readProcFile('self/stat', buffer);
	t.match(Buffer.from(buffer.subarray(0, length)).toString(), new RegExp(`^${process.pid} `));
	t.equal(addon.readProcFile('../etc/hostname', buffer), -18);
	t.equal(addon.readProcFile('/etc/hostname', buffer), -18);
	t.equal(addon.readProcFile('self/root/etc/hostname', buffer), -40);
	const namespaceFd = addon.openNamespace(process.pid, 'net');
	t.equal(readlinkSync(`/proc/self/fd/${namespaceFd}`), readlinkSync('/proc/self/ns/net'));
	t.equal(addon.openNamespace(process.pid, '../mem'), -22);
	addon.close(namespaceFd);
});
