import * as errnos from '../abi/errno.js';
import type { Task } from '../task/task.js';
import { copyInString } from './guest-memory.js';

/** How an argument is shown: a string of the guest's memory, a descriptor, a decimal, octal or hexadecimal number, or flags by name. */
type ArgumentKind = 'string' | 'directory' | 'int' | 'octal' | 'size' | 'address' | keyof typeof FLAGS;

/** Values (of a field that a mask cuts out) and bits, by name. */
interface FlagNames {
	/** Bits that hold a value rather than flags. */
	readonly mask: number;
	readonly values: readonly string[];
	readonly bits: readonly (readonly [number, string])[];
}

/** Flags by name, open(2), mmap(2), socket(2), access(2), the *at calls. */
const FLAGS = {
	open: {
		mask: 3,
		values: ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE'],
		bits: [
			[0o100, 'O_CREAT'],
			[0o200, 'O_EXCL'],
			[0o400, 'O_NOCTTY'],
			[0o1000, 'O_TRUNC'],
			[0o2000, 'O_APPEND'],
			[0o4000, 'O_NONBLOCK'],
			[0o4010000, 'O_SYNC'],
			[0o10000, 'O_DSYNC'],
			[0o20000, 'O_ASYNC'],
			[0o40000, 'O_DIRECT'],
			[0o100000, 'O_LARGEFILE'],
			[0o20200000, 'O_TMPFILE'],
			[0o200000, 'O_DIRECTORY'],
			[0o400000, 'O_NOFOLLOW'],
			[0o1000000, 'O_NOATIME'],
			[0o2000000, 'O_CLOEXEC'],
			[0o10000000, 'O_PATH'],
		],
	},
	protection: {
		mask: 0,
		values: [],
		bits: [
			[1, 'PROT_READ'],
			[2, 'PROT_WRITE'],
			[4, 'PROT_EXEC'],
		],
	},
	map: {
		mask: 0xf,
		values: ['', 'MAP_SHARED', 'MAP_PRIVATE', 'MAP_SHARED_VALIDATE'],
		bits: [
			[0x10, 'MAP_FIXED'],
			[0x20, 'MAP_ANONYMOUS'],
			[0x100, 'MAP_GROWSDOWN'],
			[0x800, 'MAP_DENYWRITE'],
			[0x4000, 'MAP_NORESERVE'],
			[0x8000, 'MAP_POPULATE'],
			[0x20000, 'MAP_STACK'],
			[0x100000, 'MAP_FIXED_NOREPLACE'],
		],
	},
	family: { mask: 0xff, values: ['AF_UNSPEC', 'AF_UNIX', 'AF_INET', '', '', '', '', '', '', '', 'AF_INET6'], bits: [] },
	socket: {
		mask: 0xf,
		values: ['', 'SOCK_STREAM', 'SOCK_DGRAM', 'SOCK_RAW', '', 'SOCK_SEQPACKET'],
		bits: [
			[0o4000, 'SOCK_NONBLOCK'],
			[0o2000000, 'SOCK_CLOEXEC'],
		],
	},
	access: {
		mask: 0,
		values: [],
		bits: [
			[4, 'R_OK'],
			[2, 'W_OK'],
			[1, 'X_OK'],
		],
	},
	at: {
		mask: 0,
		values: [],
		bits: [
			[0x100, 'AT_SYMLINK_NOFOLLOW'],
			[0x200, 'AT_REMOVEDIR'],
			[0x400, 'AT_SYMLINK_FOLLOW'],
			[0x800, 'AT_NO_AUTOMOUNT'],
			[0x1000, 'AT_EMPTY_PATH'],
		],
	},
} as const satisfies Readonly<Record<string, FlagNames>>;

/** Arguments by call. What is not here shows six numbers. */
const ARGUMENTS: ReadonlyMap<string, readonly ArgumentKind[]> = new Map(
	Object.entries({
		'read write': ['int', 'address', 'size'],
		'pread64 pwrite64': ['int', 'address', 'size', 'size'],
		'readv writev': ['int', 'address', 'int'],
		open: ['string', 'open', 'octal'],
		openat: ['directory', 'string', 'open', 'octal'],
		creat: ['string', 'octal'],
		'close fsync fdatasync fchdir syncfs': ['int'],
		'stat lstat': ['string', 'address'],
		fstat: ['int', 'address'],
		newfstatat: ['directory', 'string', 'address', 'at'],
		statx: ['directory', 'string', 'at', 'address', 'address'],
		access: ['string', 'access'],
		faccessat: ['directory', 'string', 'access'],
		faccessat2: ['directory', 'string', 'access', 'at'],
		'chdir chroot rmdir unlink umount2 swapoff': ['string'],
		'mkdir chmod': ['string', 'octal'],
		'mkdirat fchmodat': ['directory', 'string', 'octal'],
		fchmod: ['int', 'octal'],
		unlinkat: ['directory', 'string', 'at'],
		'rename link symlink': ['string', 'string'],
		'renameat linkat': ['directory', 'string', 'directory', 'string'],
		renameat2: ['directory', 'string', 'directory', 'string', 'address'],
		symlinkat: ['string', 'directory', 'string'],
		readlink: ['string', 'address', 'size'],
		readlinkat: ['directory', 'string', 'address', 'size'],
		'chown lchown': ['string', 'int', 'int'],
		fchown: ['int', 'int', 'int'],
		fchownat: ['directory', 'string', 'int', 'int', 'at'],
		truncate: ['string', 'size'],
		ftruncate: ['int', 'size'],
		mknod: ['string', 'octal', 'address'],
		mknodat: ['directory', 'string', 'octal', 'address'],
		statfs: ['string', 'address'],
		fstatfs: ['int', 'address'],
		utimensat: ['directory', 'string', 'address', 'at'],
		execve: ['string', 'address', 'address'],
		execveat: ['directory', 'string', 'address', 'address', 'at'],
		'getxattr lgetxattr': ['string', 'string', 'address', 'size'],
		mount: ['string', 'string', 'string', 'address', 'address'],
		lseek: ['int', 'size', 'int'],
		getdents64: ['int', 'address', 'size'],
		mmap: ['address', 'size', 'protection', 'map', 'int', 'size'],
		mprotect: ['address', 'size', 'protection'],
		munmap: ['address', 'size'],
		ioctl: ['int', 'address', 'address'],
		'fcntl dup3': ['int', 'int', 'address'],
		dup: ['int'],
		dup2: ['int', 'int'],
		pipe: ['address'],
		pipe2: ['address', 'open'],
		'socket socketpair': ['family', 'socket', 'int', 'address'],
		'bind connect': ['int', 'address', 'int'],
		accept4: ['int', 'address', 'address', 'socket'],
		accept: ['int', 'address', 'address'],
		listen: ['int', 'int'],
		'sendto recvfrom': ['int', 'address', 'size', 'address', 'address', 'int'],
		'sendmsg recvmsg': ['int', 'address', 'address'],
		poll: ['address', 'int', 'int'],
		ppoll: ['address', 'int', 'address', 'address'],
		epoll_create1: ['address'],
		epoll_ctl: ['int', 'int', 'int', 'address'],
		epoll_wait: ['int', 'address', 'int', 'int'],
		epoll_pwait: ['int', 'address', 'int', 'int', 'address'],
		'exit exit_group umask alarm setuid setgid getpgid getsid': ['int'],
		'kill setpgid tkill': ['int', 'int'],
		tgkill: ['int', 'int', 'int'],
		wait4: ['int', 'address', 'address', 'address'],
		uname: ['address'],
		getcwd: ['address', 'size'],
		sethostname: ['address', 'size'],
		'getpid getppid getuid geteuid getgid getegid gettid fork vfork sync pause setsid getpgrp sched_yield': [],
	} satisfies Record<string, readonly ArgumentKind[]>).flatMap(([names, kinds]) => names.split(' ').map((name) => [name, kinds] as const)),
);

const UNKNOWN: readonly ArgumentKind[] = ['address', 'address', 'address', 'address', 'address', 'address'];
const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
	Object.entries(errnos as Readonly<Record<string, unknown>>)
		.filter((entry): entry is [string, number] => typeof entry[1] === 'number')
		.reverse()
		.map(([name, number]) => [number, name]),
);
/** Bytes of a string that are shown. */
const MAX_STRING = 256;
const PATH_MAX = 4096;
const AT_FDCWD = -100;

/** The strings among a call's arguments when `callText` last made its text: what a filter by path looks at. */
export const callStrings: string[] = [];

/** `name(arguments)` of the call that a task has trapped. Reads the guest's memory, which may have changed since: for display alone. */
export function callText(task: Task, name: string): string {
	const { trap } = task;
	callStrings.length = 0;
	const kinds = ARGUMENTS.get(name) ?? UNKNOWN;
	const texts = kinds.map((kind, index) => {
		switch (kind) {
			case 'string': {
				if (trap.size(index) === 0) return 'NULL';
				const text = copyInString(task.tid, trap.size(index), PATH_MAX);
				if (typeof text === 'number') return hexadecimal(trap.size(index));
				callStrings.push(text);
				return quote(text);
			}
			case 'directory':
				return trap.int(index) === AT_FDCWD ? 'AT_FDCWD' : `${trap.int(index)}`;
			case 'int':
				return `${trap.int(index)}`;
			case 'octal':
				return `0${trap.uint(index).toString(8)}`;
			case 'size':
				return `${trap.long(index)}`;
			case 'address':
				return trap.size(index) === 0 ? '0' : hexadecimal(trap.size(index));
			default:
				return flags(trap.uint(index), FLAGS[kind]);
		}
	});
	return `${name}(${texts.join(', ')})`;
}

/** A result as strace(1) shows it: a number, or -1 with the errno's name. */
export function resultText(name: string, result: number): string {
	if (result < 0) return `-1 ${ERRNO_NAMES.get(-result) ?? `errno ${-result}`}`;
	return name === 'mmap' ? hexadecimal(result) : `${result}`;
}

function hexadecimal(value: number): string {
	return `0x${value.toString(16)}`;
}

function flags(value: number, { mask, values, bits }: FlagNames): string {
	const names: string[] = [];
	let left = value;
	const inField = values[left & mask] ?? '';
	if (mask !== 0 && inField !== '') {
		names.push(inField);
		left &= ~mask;
	}
	// Those of several bits stand before the ones that they contain.
	for (const [bit, name] of bits) {
		if ((left & bit) !== bit) continue;
		names.push(name);
		left &= ~bit;
	}
	if (left !== 0 || names.length === 0) names.push(left === 0 ? '0' : hexadecimal(left >>> 0));
	return names.join('|');
}

/** A guest's bytes, safe for a terminal: as a C string, cut after 256 bytes. */
export function quote(text: string): string {
	const shown = text.slice(0, MAX_STRING).replace(/[^ -~]|["\\]/g, (byte) => {
		if (byte === '"' || byte === '\\') return `\\${byte}`;
		return byte === '\n' ? '\\n' : byte === '\t' ? '\\t' : `\\x${(byte.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`;
	});
	return `"${shown}"${text.length > MAX_STRING ? '...' : ''}`;
}
