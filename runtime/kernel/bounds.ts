/**
 * What a pod's guests may have of each thing (DESIGN.md, invariant 6): every table that a guest can make grow ends at one of these, whatever its resource
 * limits say. Bounds that are "one user's" end what an ordinary user gets, as Linux does; beside them stands what the whole pod gets, as a container's root can be
 * any user. bounds.md shows them with the errno of each.
 *
 * The annotation `dev.isopod.bounds.NAME` of a pod's first container changes one (`setBounds`).
 */
export const bounds = {
	/** Processes and threads: the host's RLIMIT_NPROC of the pod's user. EAGAIN. */
	tasks: 32768,
	/** Numbers in all descriptor tables. ENFILE. */
	descriptors: 1 << 19,
	/** Names cached of one file system's tree, beside those of its directories: more are looked up again. No error. */
	cachedNames: 1 << 17,
	/** Record locks of one file, and of all. ENOLCK. */
	locksPerFile: 4096,
	locks: 65536,
	/** inotify instances and watches of one user, watches of all. EMFILE, ENOSPC, ENOSPC. */
	inotifyInstancesPerUser: 128,
	inotifyWatchesPerUser: 65536,
	inotifyWatches: 1 << 18,
	/** Events in one inotify instance's queue, and in all. IN_Q_OVERFLOW. */
	inotifyEventsPerQueue: 16384,
	inotifyEvents: 1 << 18,
	/** Registrations in epoll instances of one user, and of all. ENOSPC. */
	epollWatchesPerUser: 1 << 18,
	epollWatches: 1 << 19,
	/** Pages of pipe capacity of one user, and of all: new pipes then have two pages, and none gets larger. EPERM. */
	pipePagesPerUser: 16384,
	pipePages: 65536,
	/** Descriptors on their way in messages, of all users (one user's: RLIMIT_NOFILE). ETOOMANYREFS. */
	descriptorsInFlight: 65536,
	/** Bytes in the queues of all unix sockets; each then holds 4096 more. EAGAIN or a wait. */
	socketQueueBytes: 256 << 20,
	/** Unix sockets. ENFILE. */
	unixSockets: 65536,
	/** Sockets of the host's, a quarter of the sandbox process's descriptors at most. ENFILE. */
	hostSockets: 16384,
	/** Pidfds. EMFILE. */
	pidfds: 4096,
	/** Memory files: memfd_create(2) and System V segments; and tmpfs files of more than 16 KiB or mapped. ENFILE, ENOSPC. */
	memoryFiles: 4096,
	tmpfsLargeFiles: 4096,
	/** Files of a tmpfs without an option nr_inodes. ENOSPC. */
	tmpfsInodes: 65536,
	/** Bytes of extended attributes of one tmpfs. ENOSPC. */
	tmpfsXattrBytes: 16 << 20,
	/** Terminals: with full buffers, 70 MiB of the sandbox process's memory. ENOSPC. */
	terminals: 512,
	/** System V: segments, semaphore sets, semaphores, queues (ENOSPC) and bytes of all messages (ENOMEM or a wait) of a container. */
	sharedSegments: 4096,
	semaphoreSets: 32000,
	semaphores: 1 << 20,
	messageQueues: 32000,
	messageBytes: 64 << 20,
	/** POSIX queues of a container, and bytes that all may hold. ENOSPC. */
	posixQueues: 256,
	posixQueueBytes: 64 << 20,
	/** AIO: events and contexts of one process. EAGAIN. */
	aioEvents: 65536,
	aioContexts: 1024,
	/** Timers of timer_create(2) of a container. EAGAIN. */
	posixTimers: 4096,
	/**
	 * Instructions of guests' seccomp filters. The host compiles each filter to code of which the whole machine may have so much (bpf_jit_limit, 252 MiB by
	 * default), and memory limits don't count it. ENOMEM.
	 */
	filterInstructions: 1 << 17,
	/** Address ranges of one process with a memory policy of their own. ENOMEM. */
	memoryPolicyRanges: 4096,
	/** Real-time signals that are kept for the signalfds of one process, or one thread. EAGAIN, but for kill(2), of which one is there already. */
	keptSignals: 1024,
	/** Names of mapped files, of programs that are executed natively, of threads: the oldest go. No error. */
	mappedNames: 65536,
	nativePaths: 2048,
	threadNames: 4096,
};

/** The name of a bound. */
export type Bound = keyof typeof bounds;

/** What begins an annotation that changes a bound. */
const PREFIX = 'dev.isopod.bounds.';

/** Changes bounds to what annotations say. Throws Error on an unknown name or on what is no whole number above 0. */
export function setBounds(annotations: Readonly<Record<string, string>>): void {
	for (const [key, text] of Object.entries(annotations)) {
		if (!key.startsWith(PREFIX)) continue;
		const name = key.slice(PREFIX.length);
		if (!Object.hasOwn(bounds, name)) throw new Error(`annotation ${key}: there is no such bound`);
		const value = Number(text);
		if (!/^\d+$/.test(text) || value < 1 || value > 2 ** 31)
			throw new Error(`annotation ${key}: a number from 1 to 2147483648 was wanted, got ${text}`);
		bounds[name as Bound] = value;
	}
}
