import t from 'tap';
import type { Bound } from '../kernel/bounds.js';
import { defaultCapabilities, runContainer } from '../testing/container.js';
import { makeProgramRoot, runProgram } from './hostile-program.js';

/** What one user (or process) may have, and what the program sees at the end, while another user wants one, and afterwards. */
const BOUNDS: Partial<Record<Bound, readonly [value: number, end: string, other: string, afterwards: string]>> = {
	inotifyWatchesPerUser: [20, 'ENOSPC', 'ok', 'ok'],
	// The bound is the pod's: who comes late is told that events were lost, and gets them once there is room.
	inotifyEvents: [50, 'overflow', 'overflow', 'event'],
	epollWatchesPerUser: [20, 'ENOSPC', 'ok', 'ok'],
	pipePagesPerUser: [100, 'EPERM', 'ok', 'ok'],
	// The bound is the container's.
	posixQueueBytes: [60_000, 'ENOSPC', 'ENOSPC', 'ok'],
	keptSignals: [20, 'EAGAIN', 'ok', 'ok'],
	mappedNames: [20, 'oldest', 'ok', 'ok'],
	nativePaths: [20, 'oldest', 'ok', 'ok'],
	threadNames: [20, 'oldest', 'ok', 'ok'],
};

t.test('a user who takes all of one kind leaves another user of the pod theirs, and another pod counts on', async (t) => {
	const root = makeProgramRoot('user-bounds');
	t.teardown(() => root.remove());
	const annotations = Object.fromEntries(Object.entries(BOUNDS).map(([name, [value]]) => [`dev.isopod.bounds.${name}`, `${value}`]));
	const [ended, neighbour] = await Promise.all([
		runContainer({
			root: root.path,
			isReadonly: false,
			args: ['/bin/prog'],
			annotations,
			mounts: [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }],
			capabilities: defaultCapabilities,
			timeoutMs: 50_000,
		}),
		runProgram('neighbour', [], 50_000),
	]);
	const lines = ended.stdout.toString().trim().split('\n');
	t.equal(lines.pop(), 'end', `${ended.stderr}${ended.log}`);
	const wanted = Object.entries(BOUNDS).map(
		([name, [, end, other, after]]) => `${name} ${end}, another user ${other}, afterwards ${after}`,
	);
	t.strictSame(lines, [...wanted, ...wanted], ended.log);
	t.equal(neighbour.stdout.toString().split('\n').length, 21, neighbour.log);
});
