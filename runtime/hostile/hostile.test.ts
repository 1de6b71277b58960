import t from 'tap';
import { defaultCapabilities } from '../testing/container.js';
import { ImageWatch } from './host-view.js';
import { runProgram } from './hostile-program.js';

/** What Linux gives an unprivileged process, or a kernel that was built without the call. */
const FORBIDDEN: Readonly<Record<string, string>> = {
	io_uring_setup: 'ENOSYS',
	bpf: 'EPERM',
	userfaultfd: 'EPERM',
	keyctl: 'ENOSYS',
	add_key: 'ENOSYS',
	request_key: 'ENOSYS',
	perf_event_open: 'EPERM',
	'unshare(NEWNS)': 'EPERM',
	'unshare(NEWUSER)': 'EPERM',
	setns: 'EPERM',
	'clone(NEWUSER)': 'EPERM',
	'clone(NEWPID)': 'EPERM',
	clone3: 'ENOSYS',
	mount: 'EPERM',
	umount2: 'EPERM',
	pivot_root: 'EPERM',
	chroot: 'EPERM',
	init_module: 'EPERM',
	finit_module: 'EPERM',
	delete_module: 'EPERM',
	kexec_load: 'EPERM',
	reboot: 'EPERM',
	iopl: 'EPERM',
	ioperm: 'EPERM',
	swapon: 'EPERM',
	settimeofday: 'EPERM',
	open_by_handle_at: 'EPERM',
	'socket(INET,RAW)': 'EPERM',
	'socket(PACKET)': 'EPERM',
	'ptrace(ATTACH,1)': 'EPERM',
	'process_vm_readv(host)': 'ESRCH',
	'kill(host)': 'ESRCH',
	'x32 getpid': 'ENOSYS',
	'private trap': 'ENOSYS',
	'prctl(SET_MM)': 'EINVAL',
	'write huge': 'EFAULT',
	'read bad fd': 'EBADF',
	'readv count': 'EINVAL',
	'writev count -1': 'EINVAL',
	'getdents64 bad': 'EBADF',
	'poll nfds': 'EINVAL',
	'setgroups count': 'EPERM',
	'path of 65535': 'ENAMETOOLONG',
	'path not in memory': 'EFAULT',
	'setxattr size': 'E2BIG',
	'int 0x80': 'ENOSYS',
};

t.test('a guest gets an errno for every call it must not have', async (t) => {
	const ended = await runProgram('forbidden', [], 30_000);
	const lines = ended.stdout.toString().trim().split('\n');
	t.equal(lines.pop(), 'end', ended.log);
	const seen = Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]));
	t.strictSame(seen, FORBIDDEN);
});

t.test('a path that another thread rewrites opens and executes nothing outside of the root', async (t) => {
	const mark = `races-${process.pid}`;
	const watch = new ImageWatch(mark);
	try {
		const ended = await runProgram('races', ['path', mark], 60_000);
		// The program goes on until the race was won; what is won must never show anything.
		t.equal(ended.stdout.toString(), 'held\n', ended.log);
	} finally {
		watch.stop();
	}
	t.strictSame([...watch.images], ['/x'], 'from outside, whatever the guest executed, it was the loader');
});

t.test('folders renamed while they are walked lead nowhere outside of the root', async (t) => {
	const ended = await runProgram('races', ['rename'], 60_000);
	t.equal(ended.stdout.toString(), 'held\n', ended.log);
});

t.test('of two files that race for one descriptor number each is mapped only with the rights that it was opened with', async (t) => {
	const ended = await runProgram('lends', [], 60_000);
	t.equal(ended.stdout.toString(), 'held\n', ended.log);
});

const ESCAPES: readonly (readonly [name: string, shows: string])[] = [
	['lent', 'execveat of a descriptor that is natively open executes what the guest kernel says, or nothing'],
	['plan', 'a forged plan trap, also after a failed exec of a set-uid program, gains no credentials'],
	['proc', 'links in /proc lead nowhere outside of the root, its settings are not written, numbers of host processes are nobody'],
];
for (const [name, shows] of ESCAPES) {
	t.test(shows, async (t) => {
		const ended = await runProgram('escapes', [name], 30_000, defaultCapabilities);
		t.equal(ended.stdout.toString(), 'held\n', ended.log);
		t.equal(ended.status, 0);
	});
}

t.test('a neighbour counts on while other containers attack', async (t) => {
	const [neighbour] = await Promise.all([
		runProgram('neighbour', [], 60_000),
		runProgram('forbidden', [], 60_000),
		runProgram('execs', ['raced'], 60_000, defaultCapabilities),
		runProgram('execs', ['storm'], 60_000, defaultCapabilities),
		runProgram('lends', [], 60_000),
	]);
	t.equal(neighbour.stdout.toString(), Array.from({ length: 20 }, (_, i) => `${i + 1}\n`).join(''), neighbour.log);
	t.equal(neighbour.status, 0);
});
