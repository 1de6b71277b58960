/**
 * The native addon, typed: each function wraps one facility of the host's kernel and has no policy.
 *
 * Conventions:
 * - A function that returns `number` and can fail returns `-errno`; nothing throws but a wrong argument type
 *   (a bug of ours), which throws `TypeError`.
 * - 64-bit values that must be exact travel as two 32-bit words, low word first. Addresses and sizes are JavaScript
 *   numbers (exact below 2^53; a guest address above 2^47 is EFAULT before it arrives here).
 * - Strings are UTF-8 on the host's side, but for the names of host files, which are byte strings (see there).
 * - A host descriptor passed in stays the caller's. A descriptor returned is the caller's, close-on-exec, and above 2.
 * - `Uint8Array` arguments are borrowed for the call; offsets and lengths are clamped by the caller and checked here
 *   (out of bounds throws `RangeError`).
 */

/** Kinds of record that `wait` puts into the batch (word 0 of a record). */
export declare const enum EventKind {
	/** A trap: words as in {@link TrapWord}. */
	Trap = 1,
	/** A watched host descriptor is ready: word 1 key, word 2 EPOLL* bits. */
	Ready = 2,
	/** A watched process or thread has ended: word 1 key. It comes once; the watch is gone. */
	Ended = 3,
	/** A lend (`lend`) finished: word 1 key, word 2 result (0 or -errno of the first step that failed). */
	Lent = 4,
	/** A listener has no task left: word 1 listener key. It comes once; the listener is closed. */
	ListenerGone = 5,
	/** `interruptUnderMask` or `runCall` finished: word 1 key, word 2 result (0 or -errno); word 3 what a result of 64 bits has above the low 32. */
	Interrupted = 6,
}

/** Layout of a trap record, in 32-bit words. */
export declare const enum TrapWord {
	Kind = 0,
	/** The key that `spawn` was given for this listener. */
	Listener = 1,
	IdLow = 2,
	IdHigh = 3,
	/** Thread id, as the sandbox process sees it. */
	Tid = 4,
	Number = 5,
	InstructionPointerLow = 6,
	InstructionPointerHigh = 7,
	/** Six arguments, two words each, low first. */
	Args = 8,
}

/** A record's size in 32-bit words. */
export declare const RECORD_WORDS: 20;

// --- Filter ------------------------------------------------------------------------------------------------------

/**
 * Compiles a filter to classic BPF. `rules` is a flat list of 32-bit words; per rule:
 * `number, action, conditionCount`, then per condition `kind, argument, maskLow, maskHigh, valueLow, valueHigh`.
 * action: 0 = native (allow), 1 = trap (user notification), 2 = errno (the errno is in the high 16 bits of the word),
 * 3 = kill the process, 4 = kill the thread, 5 = SIGSYS.
 * condition kind: 0 = (arg & mask) == value; 1 = (arg & mask) != value; 2 = arg >= value (unsigned; mask unused);
 * 3 = arg < value (unsigned); 4 = instruction pointer == value. All conditions of a rule must hold.
 * Several rules for one number are tried in order; when none holds, `defaultAction` decides.
 * The program starts with the architecture test: not x86-64, or the x32 bit set, is ENOSYS.
 * Returns the program (8 bytes per instruction), or -errno (EINVAL names nothing: the data is ours; E2BIG > 4096 instructions).
 */
export declare function compileFilter(rules: Uint32Array, defaultAction: number): Uint8Array | number;

// --- Waiting and answering --------------------------------------------------------------------------------------

/**
 * Sets the batch buffer that `wait` fills. Its capacity in records is length / RECORD_WORDS, at least 32. Kept for the process's life.
 */
export declare function setBatch(batch: Int32Array): void;

/**
 * Waits on the one epoll set: listeners, watched descriptors, watched processes, finished lends.
 * Order in the batch as facts/traps.md 24 demands: traps are received first, then the set is polled again with no
 * timeout, so that the end of a process that happened before a trap was made is in the same batch. Records are sorted:
 * Ended, ListenerGone, Lent, Interrupted, Ready, Trap. `timeoutNs` < 0 waits for ever; 0 polls. Returns the number of records;
 * 0 also when a signal of this process ended the wait.
 */
export declare function wait(timeoutNs: number): number;

/** Answers a trap with a value (>= 0) or -errno (-4095…-1, kernel-internal restart codes -512…-516 included). 0, or -ENOENT when the task is gone. */
export declare function answer(listener: number, idLow: number, idHigh: number, value: number): number;

/** Lets the host run the call (SECCOMP_USER_NOTIF_FLAG_CONTINUE). 0, or -ENOENT when the task is gone. */
export declare function continueTrap(listener: number, idLow: number, idHigh: number): number;

/** 0 while the trap is still waiting for its answer, -ENOENT otherwise. */
export declare function isTrapValid(listener: number, idLow: number, idHigh: number): number;

/**
 * Lends descriptors to the task of a trap, on the helper thread, then ends the trap there.
 * `pairs` holds `sourceFd, targetFd` couples (targetFd -1: lowest free, which a fresh exec'd image fills from 0 up). Lent descriptors are close-on-exec.
 * The sources are duplicated before this returns, so the caller may close its own at once.
 * At most 16 pairs.
 * end: 0 = continue the call, 1 = answer with `value`, 2 = leave the trap waiting.
 * A `Lent` record with `key` follows. If a step failed the trap is answered with `-EMFILE`-like errno of that step.
 */
export declare function lend(
	key: number,
	listener: number,
	idLow: number,
	idHigh: number,
	pairs: Int32Array,
	end: number,
	value: number,
): void;

/** Watches a host descriptor (edge-triggered); `events` are EPOLL* bits. A second call for the same descriptor changes them. */
export declare function watch(fd: number, key: number, events: number): number;
export declare function unwatch(fd: number): number;

/** Opens a pidfd of a thread group (or of a single thread with `isThread`, PIDFD_THREAD) and watches its end; returns the pidfd. The pidfd is closed by the addon at the `wait` after the one that delivered `Ended`, or by `unwatchEnd`. */
export declare function watchEnd(tid: number, key: number, isThread: boolean): number;
export declare function unwatchEnd(pidfd: number): number;
/** The wait status of a process that was waited for (Linux 6.15; by the pidfd of `watchEnd`, until it is closed); -1 where the host doesn't tell. */
export declare function endStatus(pidfd: number): number;

// --- Processes ---------------------------------------------------------------------------------------------------

export interface SpawnOptions {
	/** Key of the new listener: comes back in trap records. Chosen by the caller, small, dense, >= 1. */
	listener: number;
	/** Filter program from `compileFilter`. */
	filter: Uint8Array;
	/** Directory that becomes the native root (bind-mounted read-only, nosuid, nodev and pivoted to); holds the loader at `/x`. */
	rootFd: number;
	/** Native working directory inside that root, absolute. */
	cwd: string;
	/** What the first `execve` names, absolute inside the native root; it must lead to the loader. */
	path: string;
	argv: readonly string[];
	envp: readonly string[];
	/**
	 * Ids that the native world maps its single user and group to (inside: `insideUid`/`insideGid`; outside: the effective ids of this process).
	 * A process whose effective user is 0 in its own namespace needs CAP_SETFCAP for that (user_namespaces(7)); others need nothing.
	 */
	insideUid: number;
	insideGid: number;
	/** Native resource limits: [resource, soft, hard] triples; -1 is RLIM_INFINITY. A limit above the current hard one is lowered to it. */
	limits: readonly (readonly [resource: number, soft: number, hard: number])[];
	/**
	 * Outer pid of a process whose namespaces (user, pid, mount, net, ipc, uts) to join instead of making new ones; 0 makes new ones. The root is
	 * then the joined one's and `rootFd` is unused; a network namespace that this process has no power over is replaced by an empty one.
	 */
	joinPid: number;
	/** Descriptor of a network namespace to enter before the new user namespace is made, or -1 for a new, empty one. */
	netnsFd: number;
	/** Value of the identity cookie (RLIMIT_LOCKS soft limit) the first process starts with. */
	cookie: number;
	/** The process leads a session of its own, which a controlling terminal takes; otherwise a process group of its own. */
	isSession?: boolean;
}

/**
 * Starts the first process of a container (or of an exec) with its filter installed (NEW_LISTENER, WAIT_KILLABLE_RECV where the
 * host has it, SYNC_WAKE_UP set on the listener) and its `execve` of `path` as its first trap. The child is a direct child of this
 * process (CLONE_PARENT for a join), has PDEATHSIG=KILL, no_new_privs, no capabilities after exec, default signal dispositions,
 * an empty signal mask, a process group (or session) of its own and no descriptor at all. Must be called on the main thread. Returns its pid (as this process
 * sees it) and null, or -errno and the failing step.
 *
 * It is made by a small helper process, forked at the first spawn or by `confine`: that one is not bound by the allow-list of `confine`, which a guest
 * would otherwise inherit and whose errno would outrank every trap.
 */
export declare function spawn(options: SpawnOptions): { pid: number; failedStep: string | null };

/** Reaps a direct child: its wait status as waitpid(2) gives it, -EAGAIN while it lives, -ECHILD. */
export declare function reap(pid: number): number;

/** tgkill(2); `tid` -1 sends to the process `tgid` (kill). */
export declare function sendSignal(tgid: number, tid: number, signal: number): number;
/** rt_tgsigqueueinfo(2) with a raw 128-byte siginfo. */
export declare function queueSignal(tgid: number, tid: number, signal: number, siginfo: Uint8Array): number;

/** pidfd_open(2) of a process, a zombie too, or of one thread (PIDFD_THREAD). */
export declare function pidfdOpen(tid: number, isThread: boolean): number;
/** pidfd_send_signal(2): -ESRCH once it was reaped. */
export declare function pidfdSendSignal(pidfd: number, signal: number): number;

/** The identity cookie: the soft RLIMIT_LOCKS of any thread of a process; 2^53 where the limit is at least that (no cookie was ever set). */
export declare function getCookie(tid: number): number;
export declare function setCookie(tid: number, cookie: number): number;
/** prlimit(2): sets `[soft, hard]` from `limit` (or reads only, with `null`) and stores the old pair into `old`. -1 is RLIM_INFINITY. */
export declare function prlimit(tid: number, resource: number, limit: Float64Array | null, old: Float64Array): number;

/** sched_setattr(2) of a process: SCHED_* policy, nice value, SCHED_FLAG_* bits. 0 or -errno. */
export declare function setScheduler(pid: number, policy: number, nice: number, flags: number): number;
/** ioprio_set(2) of a process: class and level in one number. 0 or -errno. */
export declare function setIoPriority(pid: number, priority: number): number;
/** getpgid(2) and getsid(2) as the sandbox process sees the ids. */
export declare function getpgid(pid: number): number;
export declare function getsid(pid: number): number;
/** Opens `/proc/PID/ns/pid`-like namespace files: `kind` is "pid", "user", "net"… */
export declare function openNamespace(pid: number, kind: string): number;
/** setns(2) with CLONE_NEWNET, for the calling thread alone. */
export declare function enterNetworkNamespace(fd: number): number;

/**
 * Translates a pid (`isThread`: a tid) between this process's PID namespace and the one `pidNamespaceFd` names (NS_GET_*_PIDNS
 * ioctls of Linux 6.11; falls back to NSpid in /proc/PID/status, for `toInside` only, -ENOTTY for the other way). -ESRCH when absent.
 */
export declare function translatePid(pidNamespaceFd: number, id: number, isThread: boolean, toInside: boolean): number;
/** Reads a whole small file under this process's /proc (`path` is relative to it, magic links are not followed) into `buffer`; bytes read. */
export declare function readProcFile(path: string, buffer: Uint8Array): number;
/** Opens a file under this process's /proc likewise, to read or (`isWritable`) to read and write. */
export declare function openProcFile(path: string, isWritable: boolean): number;

/**
 * A signal that `mask` unblocks but the thread's own mask blocks must end a trap (ppoll, pselect6, epoll_pwait): on the helper thread the task is
 * seized with ptrace, its trap ended with -514, and it is made to run `rt_sigsuspend(maskAddress, 8)` in place of its call, with every register
 * the call does not clobber restored, so that the handler runs under the mask and the call returns EINTR. `Interrupted` with `key` follows.
 * The signal has to be sent before. The guest's filter must leave `rt_sigsuspend` native. When no signal comes (another thread took it), the call is
 * restarted as it was after a second. With an error before the answer the trap is left waiting.
 */
export declare function interruptUnderMask(
	key: number,
	listener: number,
	idLow: number,
	idHigh: number,
	tid: number,
	maskAddress: number,
): void;

/**
 * Makes the task of a trap run call `number` with six arguments (`values`) in place of the one it trapped in, on a helper thread with ptrace: the trap is ended,
 * the other call goes through the filter like any other and may trap, and its result is what the original call returns (-EEXIST as -EINVAL). `Interrupted`
 * with `key` follows, before the task's next trap: words 2 and 3 are the result, or -EAGAIN when a signal came first and the original call begins anew, or
 * -errno of what failed. 0, or -errno with the trap left waiting.
 */
export declare function runCall(
	key: number,
	listener: number,
	idLow: number,
	idHigh: number,
	tid: number,
	number: number,
	values: Float64Array,
): number;

/**
 * Makes the task of a trap install a seccomp filter (`flags` as for seccomp(2), `program` a sock_filter array) in place of its call, likewise: it maps memory for the
 * program, and its seccomp(2) is a trap that has to be continued. `Interrupted` with `key` follows as for `runCall`.
 */
export declare function installFilter(
	key: number,
	listener: number,
	idLow: number,
	idHigh: number,
	tid: number,
	flags: number,
	program: Uint8Array,
): number;
/** The fifth and sixth argument, as two words each, of calls that `installFilter` and `interruptUnderMask` make a guest run and that have no use for them. */
export declare function setCallMark(fifthLow: number, fifthHigh: number, sixthLow: number, sixthHigh: number): number;

// --- Guest memory -------------------------------------------------------------------------------------------------

/** Copies `length` bytes from guest memory into `buffer` at `offset`. Bytes copied (may be short at an unmapped page), or -EFAULT, -ESRCH. */
export declare function readMemory(tid: number, address: number, buffer: Uint8Array, offset: number, length: number): number;
export declare function writeMemory(tid: number, address: number, buffer: Uint8Array, offset: number, length: number): number;
/** Copies a NUL-terminated string of at most `buffer.length` - 1 bytes. Its length without the NUL, -ENAMETOOLONG (no NUL in that many bytes) or -EFAULT. */
export declare function readString(tid: number, address: number, buffer: Uint8Array): number;
/** pread(2) (read(2) with `position` -1) from a host descriptor straight into guest memory through a native scratch buffer of 256 KiB; `position` is advanced by nobody. Bytes, or -errno. A fault after some bytes returns the bytes. */
export declare function hostToGuest(fd: number, position: number, tid: number, address: number, length: number): number;
/** pwrite(2) (write(2) with `position` -1; with `isAppend` RWF_APPEND) from guest memory to a host descriptor. */
export declare function guestToHost(fd: number, position: number, tid: number, address: number, length: number, isAppend: boolean): number;

// --- Host files -----------------------------------------------------------------------------------------------------
// Paths are Uint8Arrays or byte strings (latin1: one character is one byte) without NUL, relative to a directory descriptor. None follows a symlink in the last component unless it says so.

/** stat fields, in the order in which `fstat` and `fstatat` store them into the Float64Array. Times: seconds and nanoseconds apart. */
export declare const enum StatField {
	Dev = 0,
	Ino = 1,
	Mode = 2,
	Nlink = 3,
	Uid = 4,
	Gid = 5,
	Rdev = 6,
	Size = 7,
	Blksize = 8,
	Blocks = 9,
	AtimeSec = 10,
	AtimeNsec = 11,
	MtimeSec = 12,
	MtimeNsec = 13,
	CtimeSec = 14,
	CtimeNsec = 15,
	BtimeSec = 16,
	BtimeNsec = 17,
}
export declare const STAT_FIELDS: 18;

/** openat2(2) with `resolve` bits as given (RESOLVE_NO_MAGICLINKS is always added). */
export declare function openat2(dirFd: number, path: string | Uint8Array, flags: number, mode: number, resolve: number): number;
/** Opens an O_PATH descriptor again with other flags, through this process's own /proc/self/fd. */
export declare function reopen(pathFd: number, flags: number): number;
export declare function close(fd: number): number;
export declare function dup(fd: number): number;
export declare function fstat(fd: number, out: Float64Array): number;
export declare function fstatat(dirFd: number, path: string | Uint8Array, out: Float64Array): number;
/** fstatfs(2): type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize, flags (mount flags ST_*) into 10 doubles. */
export declare function fstatfs(fd: number, out: Float64Array): number;
/** read(2)/pread(2) into `buffer`; `position` -1 reads at the descriptor's own offset. */
export declare function pread(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number;
export declare function pwrite(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number;
export declare function lseek(fd: number, offset: number, whence: number): number;
/** lseek(2) to a directory entry's d_off, which may need all 64 bits: two 32-bit words. 0 or -errno. */
export declare function seekDirectory(fd: number, cookieLow: number, cookieHigh: number): number;
export declare function ftruncate(fd: number, length: number): number;
export declare function fallocate(fd: number, mode: number, offset: number, length: number): number;
export declare function fsync(fd: number, isDataOnly: boolean): number;
export declare function copyFileRange(inFd: number, inOffset: number, outFd: number, outOffset: number, length: number): number;
/** Raw getdents64(2) into `buffer`: bytes, 0 at the end. `lseek(fd, cookie, 0)` repositions. */
export declare function getdents64(fd: number, buffer: Uint8Array): number;
/** readlinkat(2) into `buffer`: bytes. */
export declare function readlinkat(dirFd: number, path: string | Uint8Array, buffer: Uint8Array): number;
export declare function mkdirat(dirFd: number, path: string | Uint8Array, mode: number): number;
export declare function mknodat(dirFd: number, path: string | Uint8Array, mode: number, dev: number): number;
export declare function symlinkat(target: string | Uint8Array, dirFd: number, path: string | Uint8Array): number;
/** linkat(2) of the file an O_PATH or open descriptor names (through /proc/self/fd). */
export declare function linkFd(fd: number, dirFd: number, path: string | Uint8Array): number;
export declare function unlinkat(dirFd: number, path: string | Uint8Array, isDirectory: boolean): number;
export declare function renameat2(
	oldDirFd: number,
	oldPath: string | Uint8Array,
	newDirFd: number,
	newPath: string | Uint8Array,
	flags: number,
): number;
/** chmod of what an O_PATH descriptor names (fchmodat2 with AT_EMPTY_PATH, or through /proc/self/fd). */
export declare function chmodFd(fd: number, mode: number): number;
/** chown of what an O_PATH descriptor names (AT_EMPTY_PATH); -1 leaves an id. */
export declare function chownFd(fd: number, uid: number, gid: number): number;
/** utimensat of what an O_PATH descriptor names; nsec may be UTIME_NOW (0x3fffffff) or UTIME_OMIT (0x3ffffffe). */
export declare function utimensFd(fd: number, atimeSec: number, atimeNsec: number, mtimeSec: number, mtimeNsec: number): number;
/** The xattr calls on what an O_PATH descriptor names (through /proc/self/fd). Sizes as in the manual: 0-length buffer asks for the size. */
export declare function getxattrFd(fd: number, name: string, buffer: Uint8Array): number;
export declare function setxattrFd(fd: number, name: string, value: Uint8Array, flags: number): number;
export declare function listxattrFd(fd: number, buffer: Uint8Array): number;
export declare function removexattrFd(fd: number, name: string): number;
export declare function memfdCreate(name: string, flags: number): number;
/** fcntl(2) F_ADD_SEALS and F_GET_SEALS of a memory file. */
export declare function addSeals(fd: number, seals: number): number;
export declare function getSeals(fd: number): number;
/** eventfd(2) of the host, EFD_CLOEXEC and EFD_NONBLOCK, with a count of 0. */
export declare function eventfd(): number;

/** pipe2(O_CLOEXEC|O_NONBLOCK) of the host, into `fds`. */
export declare function pipe(fds: Int32Array): number;
export declare function setNonBlocking(fd: number, isNonBlocking: boolean): number;
/** ioctl(2) with an in/out buffer (or `null`), for the few requests the sandbox allows: TCGETS, TCSETS*, TIOCGWINSZ, TIOCSWINSZ, FIONREAD. Others are -EPERM. */
export declare function ioctl(fd: number, request: number, buffer: Uint8Array | null): number;
/** A new pty of the host's, raw: master and slave (O_NOCTTY), both close-on-exec, into `fds`. 0, or -errno. */
export declare function openPty(fds: Int32Array): number;
/** poll(2) of one descriptor with no timeout: its revents. */
export declare function pollNow(fd: number, events: number): number;
/** fchdir(2): the directory becomes this process's working directory. */
export declare function fchdirRoot(fd: number): number;

// --- Control channel ------------------------------------------------------------------------------------------------

/** Listens on a Unix stream socket at `path`, mode 0600; connects to one; accepts (non-blocking, -EAGAIN). `socketPair` into `fds`. */
export declare function listenUnix(path: string): number;
export declare function connectUnix(path: string): number;
export declare function acceptUnix(fd: number): number;
export declare function socketPair(fds: Int32Array): number;
/** sendmsg(2)/recvmsg(2) with SCM_RIGHTS. Received descriptors are close-on-exec, stored into `fds`; their number in `fdCount[0]`. Bytes, 0 at the end of the stream, -EAGAIN, … */
export declare function sendMessage(fd: number, buffer: Uint8Array, offset: number, length: number, fds: Int32Array): number;
export declare function receiveMessage(
	fd: number,
	buffer: Uint8Array,
	offset: number,
	length: number,
	fds: Int32Array,
	fdCount: Int32Array,
): number;

// --- Sockets of this process's network namespace -----------------------------------------------------------------------
// All are non-blocking; none signals. Addresses are struct sockaddr bytes. Families, options and control messages are the caller's to allow.

export declare function socketOpen(domain: number, type: number, protocol: number): number;
export declare function socketBind(fd: number, address: Uint8Array): number;
/** connect(2); -EINPROGRESS while it goes on. */
export declare function socketConnect(fd: number, address: Uint8Array): number;
export declare function socketListen(fd: number, backlog: number): number;
export declare function socketAccept(fd: number): number;
/** getsockname(2), getpeername(2) into `out`: bytes. */
export declare function socketName(fd: number, isPeer: boolean, out: Uint8Array): number;
export declare function socketShutdown(fd: number, how: number): number;
/** getsockopt(2) into the whole of `value` (what lies there is read, too): bytes. */
export declare function socketGetOption(fd: number, level: number, option: number, value: Uint8Array): number;
export declare function socketSetOption(fd: number, level: number, option: number, value: Uint8Array): number;
/** sendmsg(2) with MSG_DONTWAIT and MSG_NOSIGNAL: bytes. */
export declare function socketSend(
	fd: number,
	bytes: Uint8Array,
	offset: number,
	length: number,
	flags: number,
	address: Uint8Array | null,
	control: Uint8Array | null,
): number;
/** recvmsg(2) with MSG_DONTWAIT: bytes. `out` gets the lengths of the address and of the control messages, and msg_flags. */
export declare function socketReceive(
	fd: number,
	bytes: Uint8Array,
	offset: number,
	length: number,
	flags: number,
	address: Uint8Array,
	control: Uint8Array,
	out: Int32Array,
): number;
/** ioctl(2): SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, and what reads a struct ifreq (40 bytes). Others are -EPERM. */
export declare function socketIoctl(fd: number, request: number, buffer: Uint8Array): number;
/** SIOCGIFCONF: struct ifreq after struct ifreq into `out`; bytes. */
export declare function socketInterfaces(fd: number, out: Uint8Array): number;

// --- The front end (privileged) -------------------------------------------------------------------------------------

/** open_tree(2) OPEN_TREE_CLONE of a path (AT_RECURSIVE with `isRecursive`): a detached mount. */
export declare function cloneTree(path: string, isRecursive: boolean): number;
/** mount_setattr(2) on a detached mount: MOUNT_ATTR_* to set and clear, an idmapping from `userNamespaceFd` (or -1). */
export declare function setMountAttributes(
	treeFd: number,
	attrSet: number,
	attrClear: number,
	userNamespaceFd: number,
	isRecursive: boolean,
): number;
/** A new user namespace with these maps (lines of user_namespaces(7)), in which nobody lives: its descriptor, or -errno. */
export declare function makeUserNamespace(uidMap: string, gidMap: string): number;
/** mount(2); `data` of 4095 bytes at most, as the kernel takes a page. `fileSystemId` above 0: with these file-system ids (setfsuid(2)). */
export declare function mount(source: string, target: string, type: string, flags: number, data: string, fileSystemId: number): number;
/** move_mount(2): puts a detached mount on the folder (or file) `target`. */
export declare function moveMount(treeFd: number, target: string): number;
/**
 * Attaches a detached mount at `path`, which is made (a folder or a file, as the tree is), in the mount namespace `namespaceFd`. For a caller with power over that.
 * 0 or -errno.
 */
export declare function attachTree(namespaceFd: number, treeFd: number, path: string): number;
/** Makes such a mount read-only. */
export declare function sealTree(namespaceFd: number, path: string): number;
/** Takes such a mount off, and the folder or file that it was attached to. */
export declare function detachTree(namespaceFd: number, path: string): number;
export declare function umount(path: string, flags: number): number;
/** Makes a tap device (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR) in the calling thread's network namespace: its descriptor, with which it goes, or -errno. */
export declare function openTap(name: string): number;

// --- Confinement, clock, host -------------------------------------------------------------------------------------

/**
 * Installs a seccomp allow-list for every thread of this process (TSYNC). `rules` as for `compileFilter`; the rest gets `defaultErrno` (or kills, with 0).
 * no_new_privs is set. Guests spawned afterwards are not bound by it (see `spawn`).
 */
export declare function confine(rules: Uint32Array, defaultErrno: number): number;
/** The same for a process that makes no guests, whose root becomes the folder `root`, chroot(2). */
export declare function confineTo(root: string, rules: Uint32Array, defaultErrno: number): number;
/** clock_gettime(CLOCK_MONOTONIC) in nanoseconds. */
export declare function monotonicNs(): number;
/** clock_gettime(`clock`): `[seconds, nanoseconds]`. */
export declare function clockGetTime(clock: number, out: Float64Array): number;
/** flock(2) with LOCK_EX: waits. The lock ends with the descriptor. */
export declare function lockExclusive(fd: number): number;
/** Likewise, without waiting: -EAGAIN when another has it. */
export declare function tryLockExclusive(fd: number): number;
export declare function setCloseOnExec(fd: number, isOn: boolean): number;
export declare function setDumpable(isDumpable: boolean): number;

/** What the host's kernel can do, by trying it (facts/traps.md). Strings name the reason when a probe fails, null when it works. */
export interface HostProbe {
	userNotification: string | null;
	waitKillable: string | null;
	/** Answers survive a signal storm (the race mended in 6.17). */
	waitKillableIsSafe: string | null;
	syncWakeUp: string | null;
	addFd: string | null;
	openat2: string | null;
	pidfdThread: string | null;
	idmappedMounts: string | null;
	userNamespaces: string | null;
	pidNamespaceIoctl: string | null;
	processVm: string | null;
}
export declare function probeHost(): HostProbe;
/** getpid, getuid of this process for tests and cookies. */
export declare function getuid(): number;
