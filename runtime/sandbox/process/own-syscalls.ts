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
import {
	SIOCATMARK,
	SIOCGIFADDR,
	SIOCGIFBRDADDR,
	SIOCGIFCONF,
	SIOCGIFDSTADDR,
	SIOCGIFFLAGS,
	SIOCGIFHWADDR,
	SIOCGIFINDEX,
	SIOCGIFMETRIC,
	SIOCGIFMTU,
	SIOCGIFNAME,
	SIOCGIFNETMASK,
	SIOCGIFTXQLEN,
	SIOCOUTQ,
	SIOCOUTQNSD,
} from '../../kernel/abi/internet-constants.js';
import { type Condition, oneOf } from '../../kernel/syscalls/native-rules.js';

/** A call that the sandbox process itself may make. */
export interface OwnSyscall {
	/** Linux's name. */
	readonly name: string;
	/** Who makes it. */
	readonly by: string;
	/** Alternatives; without any, every value of the arguments is let through. */
	readonly rules?: readonly (readonly Condition[])[];
}

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

const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102;
const SECCOMP_IOCTL_NOTIF_ADDFD = 0x40182103;
const SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104;
const PIDFD_GET_INFO = 0xc040ff0b;
const NS_GET_PID_FROM_PIDNS = 0x8004b706;
const NS_GET_TGID_FROM_PIDNS = 0x8004b707;
const NS_GET_PID_IN_PIDNS = 0x8004b708;
const NS_GET_TGID_IN_PIDNS = 0x8004b709;
const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TCSETSW = 0x5403;
const TCSETSF = 0x5404;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const FIONREAD = 0x541b;
const FIONBIO = 0x5421;
const FIOCLEX = 0x5451;

const PTRACE_GETREGS = 12;
const PTRACE_SETREGS = 13;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;

const PR_SET_NAME = 15;
const PR_SET_VMA = 0x53564d41;

const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
/** NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT. */
const NETLINK_PROTOCOLS = [0, 4, 15];
const isInt = (argument: number, value: number): readonly Condition[] => oneOf(argument, [value])[0]!;

const NODE = 'Node and V8';
const LIBC = "the C library's threads and heap";
const WAIT = 'native/addon/wait.cc';
const FILES = 'native/addon/files.cc: guest trees, lent files';
const PROCESSES = 'native/addon/processes.cc: guest processes';
const MEMORY = 'native/addon/memory.cc: guest memory';
const CHANNEL = 'native/addon/channel.cc: front ends';
const SOCKETS = "native/addon/sockets.cc: guests' sockets, in the pod's network namespace";
const TRACEE = 'native/addon/tracee.h';

const calls = (by: string, names: string): OwnSyscall[] => names.split(' ').map((name) => ({ name, by }));

/**
 * What the sandbox process may call from before the first guest instruction on. What isn't here gets EPERM: no program is executed, no process made, no
 * socket but of the pod's own network, no mount, no namespace, no module, no tracing of anything but what the rules name. Paths that it opens lead below its root and the pod's trees.
 */
export const OWN_SYSCALLS: readonly OwnSyscall[] = [
	...calls(LIBC, 'futex brk munmap mremap madvise set_robust_list rseq exit exit_group sched_yield sched_getaffinity gettid getpid'),
	// V8 makes code at run time: PROT_EXEC can't be refused.
	...calls(NODE, 'mmap mprotect pkey_alloc pkey_free pkey_mprotect'),
	...calls(NODE, 'rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall getrandom uname sysinfo getrusage times'),
	...calls(NODE, 'clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getuid geteuid getgid getegid getcwd'),
	...calls(NODE, 'read write readv writev pread64 pwrite64 lseek close fstat stat lstat newfstatat statx access faccessat faccessat2'),
	...calls(NODE, 'readlink open openat poll epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2 dup dup3 getdents64'),
	{ name: 'clone', by: LIBC, rules: oneOf(0, [PTHREAD_FLAGS]) },
	{ name: 'prctl', by: NODE, rules: oneOf(0, [PR_SET_NAME, PR_SET_VMA]) },
	{ name: 'fcntl', by: `${NODE}, ${FILES}` },
	{
		name: 'ioctl',
		by: `${WAIT}; ${PROCESSES}; ${NODE} asks what its standard streams are`,
		rules: oneOf(1, [
			...[SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_IOCTL_NOTIF_ID_VALID],
			...[SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_SET_FLAGS],
			...[NS_GET_PID_FROM_PIDNS, NS_GET_TGID_FROM_PIDNS, NS_GET_PID_IN_PIDNS, NS_GET_TGID_IN_PIDNS],
			PIDFD_GET_INFO,
			...[TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, FIONBIO, FIOCLEX],
			// Interfaces are asked about, never changed.
			...[SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR],
			...[SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN],
		]),
	},
	...calls(WAIT, 'ppoll pidfd_open'),
	...calls(MEMORY, 'process_vm_readv process_vm_writev'),
	...calls(FILES, 'openat2 mkdirat mknodat unlinkat symlinkat linkat renameat2 readlinkat fchmod fchmodat fchmodat2 fchown fchownat'),
	...calls(FILES, 'utimensat ftruncate fallocate fsync fdatasync fstatfs copy_file_range memfd_create preadv2 pwritev2'),
	...calls(FILES, 'getxattr setxattr listxattr removexattr fgetxattr fsetxattr flistxattr fremovexattr flock'),
	...calls(PROCESSES, 'prlimit64 kill tgkill pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo getpgid getsid wait4 waitid'),
	...calls(`${PROCESSES}: config.json's scheduler and ioPriority`, 'sched_setattr ioprio_set'),
	...calls(CHANNEL, 'accept4 sendmsg recvmsg sendto recvfrom shutdown getsockopt'),
	...calls(SOCKETS, 'bind listen connect setsockopt getsockname getpeername'),
	{
		name: 'socket',
		by: SOCKETS,
		rules: [...oneOf(0, [AF_INET, AF_INET6]), ...NETLINK_PROTOCOLS.map((protocol) => [...isInt(0, AF_NETLINK), ...isInt(2, protocol)])],
	},
	{
		name: 'ptrace',
		by: `${TRACEE}: makes a guest's thread wait under ppoll's mask, or map shared memory`,
		rules: oneOf(0, [PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SYSCALL, PTRACE_DETACH]),
	},
];
