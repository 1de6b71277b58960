import t from 'tap';
import { EAGAIN, EIO, ENOENT, ENOSPC } from '../../abi/errno.js';
import { O_NOCTTY, O_NONBLOCK, O_RDONLY, O_RDWR } from '../../abi/fcntl.js';
import { POLLHUP, POLLIN, POLLOUT } from '../../abi/poll-constants.js';
import { SIGWINCH } from '../../abi/signal-numbers.js';
import { S_IFCHR } from '../../abi/stat-constants.js';
import type { Kernel } from '../../kernel.js';
import type { PtyMaster } from '../../tty/pty.js';
import { Stat } from '../../vfs/stat.js';
import { fakeTask, made, names, opened, read, write } from '../testing.js';
import { DevptsFileSystem, type DevptsOptions } from './devpts-file-system.js';

const FLAGS = O_RDWR | O_NOCTTY | O_NONBLOCK;

/** A devpts with as much of a kernel as it takes; signals to process groups are kept. */
function mounted(options: Partial<DevptsOptions> = {}) {
	const signals: [group: number, signal: number][] = [];
	const kernel = {
		terminals: { count: 0, attach: () => {}, detach: () => {} },
		groups: new Map(),
		signals: { sendToProcessGroup: (group: number, signal: number) => signals.push([group, signal]) },
	};
	const fs = new DevptsFileSystem(kernel as unknown as Kernel, { uid: null, gid: 5, mode: 0o620, ptmxMode: 0o666, max: 3, ...options });
	const { task } = fakeTask();
	Object.assign(task, { trap: { isFirstRun: true, progress: 0 } });
	const transfer = <T>(action: () => T): T => {
		Object.assign(task.trap, { isFirstRun: true, progress: 0 });
		return action();
	};
	return {
		fs,
		task,
		signals,
		kernel,
		master: () => opened(fs, fs.root.lookup('ptmx'), FLAGS, task) as PtyMaster,
		slave: (index: number) => opened(fs, fs.root.lookup(`${index}`), FLAGS, task),
		read: (file: Parameters<typeof read>[0], length = 100) => transfer(() => read(file, length, task)),
		write: (file: Parameters<typeof write>[0], text: string) => transfer(() => write(file, text, task)),
	};
}

t.test('a slave has a name while its master is open', async (t) => {
	const { fs, task, master, kernel } = mounted();
	const first = master();
	const second = master();
	t.same(names(opened(fs, fs.root, O_RDONLY, task), task), ['.', '..', '0', '1', 'ptmx']);
	const stat = new Stat();
	made(fs.root.lookup('1')).stat(stat);
	t.match(stat, { mode: S_IFCHR | 0o620, gid: 5, uid: 0, ino: 4, rdev: (136 << 8) | 1 });
	first.release();
	t.equal(fs.root.lookup('0'), -ENOENT);
	t.equal(fs.root.lookup('01'), -ENOENT);
	const third = master();
	t.equal(third.pty.index, 0, 'the lowest number that is free');
	third.release();
	second.release();
	t.equal(kernel.terminals.count, 0);
});

t.test('the number of terminals is bounded', async (t) => {
	const { fs, task, master, kernel } = mounted();
	const masters = [master(), master(), master()];
	const open = () => fs.openMaster(masters[0]!.path!, FLAGS, task);
	t.equal(open(), -ENOSPC);
	for (const one of masters) one.release();
	kernel.terminals.count = 1e6;
	t.equal(open(), -ENOSPC, 'and in the pod');
});

t.test('both sides talk', async (t) => {
	const { fs, task, master, slave, read, write } = mounted();
	const m = master();
	const inode = made(fs.root.lookup('0'));
	t.equal(inode.open(m.path!, FLAGS, task), -EIO, 'it is locked at first');
	m.pty.isLocked = false;
	const s = slave(0);
	t.equal(read(s), -EAGAIN);
	t.equal(write(m, 'typed\n'), 6);
	t.equal(s.poll() & POLLIN, POLLIN);
	t.equal(read(s), 'typed\n');
	t.equal(read(m), 'typed\r\n');
	t.equal(write(s, 'out\n'), 4);
	t.equal(read(m, 2), 'ou');
	t.equal(read(m), 't\r\n');
	s.release();
	t.equal(read(m), -EIO);
	t.equal(m.poll() & POLLHUP, POLLHUP);
	const again = slave(0);
	t.equal(read(m), -EAGAIN);
	m.release();
	t.equal(read(again), '', 'hung up');
	t.equal(write(again, 'x'), -EIO);
	again.release();
});

t.test('what nobody reads is bounded', async (t) => {
	const { master, slave, write } = mounted();
	const m = master();
	m.pty.isLocked = false;
	const s = slave(0);
	let bytes = 0;
	for (let done = 0; done >= 0; done = write(s, 'x'.repeat(10_000))) bytes += done;
	t.equal(bytes, 65536);
	t.equal(s.poll() & POLLOUT, 0);
	s.release();
	m.release();
});

t.test('a new size is told to the foreground group', async (t) => {
	const { master, signals } = mounted();
	const { terminal } = master().pty;
	terminal.control(17, 18);
	terminal.resize([1, 2, 0, 0]);
	terminal.resize([1, 2, 0, 0]);
	t.same(signals, [[18, SIGWINCH]]);
});
