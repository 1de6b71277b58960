import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeProgramRoot } from '../../runtime/hostile/hostile-program.js';
import { findHierarchies } from '../../runtime/oci/cgroup/hierarchies.js';
import { processStart } from '../../runtime/oci/state.js';
import { guestProcesses } from '../../runtime/sandbox/guests.js';
import { ending, printed, until, Workbench } from './testing.js';

/** The processes of programs/crowd.c, its first one included. */
const CROWD = 21;

t.test('the guests of a sandbox process that is killed die with it, and nothing of them is left; a neighbour counts on', async (t) => {
	const bench = new Workbench();
	const neighbours = new Workbench();
	const crowdRoot = makeProgramRoot('crowd');
	const neighbourRoot = makeProgramRoot('neighbour');
	t.teardown(() => {
		bench.clean();
		neighbours.clean();
		crowdRoot.remove();
		neighbourRoot.remove();
	});
	const group = `isopod-death-test-${process.pid}`;
	const groupFolders = [...new Set(findHierarchies().mounts.values())].map((point) => join(point, group));
	bench.configure(['/bin/prog'], { root: { path: crowdRoot.path }, linux: { cgroupsPath: `/${group}` } });
	t.equal(bench.leave(['run', '-d', 'crowd']), 0);
	const { pid } = bench.state('crowd');
	await until(() => guestProcesses(pid).length === CROWD);
	const guests = guestProcesses(pid).map((guest) => ({ pid: guest.pid, start: processStart(guest.pid) }));
	t.ok(groupFolders.some(existsSync), 'it has a control group');

	neighbours.configure(['/bin/prog'], { root: { path: neighbourRoot.path } });
	const neighbour = neighbours.start(['run', 'neighbour']);
	const ended = ending(neighbour);
	await printed(neighbour, '3\n');
	process.kill(pid, 'SIGKILL');
	await until(() => guests.every((guest) => processStart(guest.pid) !== guest.start));
	t.equal(bench.state('crowd').status, 'stopped');
	t.equal(bench.isopod(['delete', '--force', 'crowd']).code, 0);
	t.strictSame(bench.leftovers, [], 'neither its state nor its range of ids');
	t.strictSame(groupFolders.filter(existsSync), [], 'nor its control group');
	const count = await ended;
	t.equal(count.stdout, Array.from({ length: 20 }, (_, i) => `${i + 1}\n`).join(''));
	t.equal(count.code, 0);
});
