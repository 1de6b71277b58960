import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../../host-error.js';
import {
	CLONE_CHILD_CLEARTID,
	CLONE_FILES,
	CLONE_FS,
	CLONE_PARENT_SETTID,
	CLONE_SETTLS,
	CLONE_SIGHAND,
	CLONE_SYSVSEM,
	CLONE_THREAD,
	CLONE_VM,
} from '../../kernel/abi/clone-flags.js';
import { ENOSYS, EPERM } from '../../kernel/abi/errno.js';
import { errnoRule, nativeRules } from '../../kernel/syscalls/filter.js';
import { type Condition, oneOf } from '../../kernel/syscalls/native-rules.js';
import { native } from '../../native.js';
import type { Machine } from './machine.js';
import { syscallNumbers } from './syscall-numbers.js';

const PTHREAD_FLAGS =
	CLONE_VM |
	CLONE_FS |
	CLONE_FILES |
	CLONE_SIGHAND |
	CLONE_THREAD |
	CLONE_SYSVSEM |
	CLONE_SETTLS |
	CLONE_PARENT_SETTID |
	CLONE_CHILD_CLEARTID;
const CLONE_CHILD_SETTID = 0x1000000;
const SIGCHLD = 17;
const FORK_FLAGS = CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD;
const CLONE_NEWNS = 0x20000;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const PR_SET_NAME = 15;
const PR_SET_VMA = 0x53564d41;
const TCGETS = 0x5401;
const TIOCGWINSZ = 0x5413;
const FIONREAD = 0x541b;
const FIONBIO = 0x5421;
const FIOCLEX = 0x5451;

/** Who needs them: the C library and V8; Node; the loop and the channels; native/addon/mounts.cc, in a child in the virtiofs daemon's mount namespace. */
const CALLS = [
	'futex brk munmap mremap madvise set_robust_list rseq exit exit_group sched_yield sched_getaffinity gettid getpid',
	'mmap mprotect pkey_alloc pkey_free pkey_mprotect',
	'rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall getrandom uname sysinfo getrusage times',
	'clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getuid geteuid getgid getegid getcwd',
	'read write readv writev pread64 pwrite64 lseek close fstat stat lstat newfstatat statx access readlink open openat',
	'poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2 dup wait4 waitid',
	'accept4 sendmsg recvmsg sendto recvfrom shutdown getsockopt',
	'mkdir rmdir unlink move_mount umount2 mount_setattr',
].flatMap((names) => names.split(' '));

/**
 * The monitor's walls, before the first container's first instruction: from then on it may be anybody's who has broken the agent's protocol. Its root is an empty folder, and it can execute nothing,
 * make no socket, open no process's namespace or memory, and signal nobody but the machine's parts; what it keeps is what attaching trees to the share takes, in the daemon's mount namespace, the only one
 * that it has a descriptor of. Throws HostError.
 */
export function confineMonitor(machine: Machine, folder: string): void {
	const root = join(folder, 'empty');
	mkdirSync(root, { mode: 0o500 });
	const numbers = syscallNumbers();
	const rules: Readonly<Record<string, readonly (readonly Condition[])[]>> = {
		clone: oneOf(0, [PTHREAD_FLAGS, FORK_FLAGS]),
		prctl: oneOf(0, [PR_SET_NAME, PR_SET_VMA]),
		ioctl: oneOf(1, [TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX]),
		// Not F_SETOWN and F_SETSIG, by which the host's kernel sends anybody any signal.
		fcntl: oneOf(1, [F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC]),
		setns: oneOf(1, [CLONE_NEWNS]),
		mknodat: [[{ argument: 2, mask: S_IFMT, equal: S_IFREG }]],
		kill: oneOf(0, machine.pids),
	};
	// ENOSYS makes the C library fall back to clone, whose flags a filter can see.
	const words = errnoRule(numbers['clone3']!, ENOSYS);
	for (const name of CALLS) words.push(...nativeRules(numbers[name]!));
	for (const [name, alternatives] of Object.entries(rules)) words.push(...nativeRules(numbers[name]!, alternatives));
	const error = native.confineTo(root, Uint32Array.from(words), EPERM);
	if (error < 0) throw HostError.errno("Confine the machine's monitor", -error);
}
