import t from 'tap';
import type { Bound } from '../kernel/bounds.js';
import { defaultCapabilities, runContainer } from '../testing/container.js';
import { makeProgramRoot, runProgram } from './hostile-program.js';

/** What the pod may have, and how the program that takes it all is told. */
const BOUNDS: Partial<Record<Bound, number>> = {
	tasks: 60,
	descriptors: 800,
	cachedNames: 500,
	locksPerFile: 40,
	locks: 100,
	inotifyWatches: 30,
	inotifyEventsPerQueue: 50,
	epollWatches: 50,
	pipePages: 300,
	descriptorsInFlight: 100,
	socketQueueBytes: 1 << 20,
	unixSockets: 200,
	hostSockets: 40,
	pidfds: 40,
	memoryFiles: 40,
	tmpfsLargeFiles: 60,
	tmpfsInodes: 100,
	tmpfsXattrBytes: 10_000,
	terminals: 10,
	sharedSegments: 20,
	semaphoreSets: 20,
	semaphores: 200,
	messageQueues: 20,
	messageBytes: 10_000,
	posixQueues: 5,
	aioEvents: 100,
	aioContexts: 10,
	posixTimers: 20,
	filterInstructions: 100,
	memoryPolicyRanges: 10,
};

const ENDS: Readonly<Record<string, string>> = {
	descriptors: 'ENFILE',
	descriptors_by_number: 'ENFILE',
	descriptors_by_fork: 'EAGAIN',
	processes: 'EAGAIN',
	threads: 'EAGAIN',
	locks_of_a_file: 'ENOLCK',
	locks: 'ENOLCK',
	inotify_watches: 'ENOSPC',
	inotify_queue: 'overflow',
	epoll_watches: 'ENOSPC',
	pipe_pages: 'EPERM',
	descriptors_in_flight: 'ETOOMANYREFS',
	socket_queues: 'EAGAIN',
	unix_sockets: 'ENFILE',
	host_sockets: 'ENFILE',
	pidfds: 'EMFILE',
	memory_files: 'ENFILE',
	tmpfs_large_files: 'ENOSPC',
	tmpfs_inodes: 'ENOSPC',
	tmpfs_xattrs: 'ENOSPC',
	terminals: 'ENOSPC',
	shared_segments: 'ENOSPC',
	semaphore_sets: 'ENOSPC',
	semaphores: 'ENOSPC',
	message_queues: 'ENOSPC',
	message_bytes: 'ENOMEM',
	posix_queues: 'ENOSPC',
	aio_events: 'EAGAIN',
	aio_contexts: 'EAGAIN',
	posix_timers: 'EAGAIN',
	filters: 'ENOMEM',
	policy_ranges: 'ENOMEM',
	cached_names: 'found',
};

t.test('each bound of a pod, set by an annotation, ends what it is for; a neighbour counts on', async (t) => {
	const root = makeProgramRoot('pod-bounds');
	t.teardown(() => root.remove());
	const annotations = Object.fromEntries(Object.entries(BOUNDS).map(([name, value]) => [`dev.isopod.bounds.${name}`, `${value}`]));
	const [ended, neighbour] = await Promise.all([
		runContainer({
			root: root.path,
			isReadonly: false,
			args: ['/bin/prog'],
			annotations,
			mounts: [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }],
			capabilities: [...defaultCapabilities, 'CAP_SYS_ADMIN'],
			timeoutMs: 50_000,
		}),
		runProgram('neighbour', [], 50_000),
	]);
	const lines = ended.stdout.toString().trim().split('\n');
	t.equal(lines.pop(), 'end', `${ended.stderr}${ended.log}`);
	const wanted = Object.entries(ENDS).map((entry) => entry.join(' '));
	t.strictSame(lines, [...wanted, ...wanted], ended.log);
	t.equal(neighbour.stdout.toString().split('\n').length, 21, neighbour.log);
});

t.test('a bound that there is not, or that is no number, is refused by name', async (t) => {
	const root = makeProgramRoot('neighbour');
	t.teardown(() => root.remove());
	for (const [name, value] of [
		['tables', '1'],
		['tasks', 'many'],
		['tasks', '0'],
	]) {
		const annotations = { [`dev.isopod.bounds.${name}`]: `${value}` };
		const ended = await runContainer({ root: root.path, isReadonly: true, args: ['/bin/prog'], annotations, timeoutMs: 20_000 });
		t.not(ended.status, 0);
		t.match(ended.stderr.toString(), `dev.isopod.bounds.${name}: `);
	}
});
