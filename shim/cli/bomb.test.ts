import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Workbench } from './testing.js';

/** What a sandbox process may have in memory, whatever its guests do: KiB. */
const MOST_KIB = 300 * 1024;
/** The first process holds on to a read of its own, as a shell that can't fork gives up. */
const BOMB = "trap '' TERM; busybox mkfifo /tmp/f; exec 3<>/tmp/f; bomb() { bomb | bomb & sleep 9; }; bomb & read x <&3";

t.test('a fork bomb that answers no stop stays within its pids limit, its neighbour lives, delete --force ends it', async (t) => {
	const [bench, neighbour] = [new Workbench(), new Workbench()];
	t.teardown(() => {
		bench.clean();
		neighbour.clean();
	});
	neighbour.configure(['sleep', '1000']);
	t.equal(neighbour.leave(['run', '-d', 'neighbour']), 0);
	bench.configure(['sh', '-c', BOMB], { root: { readonly: false }, linux: { resources: { pids: { limit: 40 } } } });
	t.equal(bench.leave(['run', '-d', `bomb-${process.pid}`]), 0);
	const { pid } = bench.state(`bomb-${process.pid}`);
	for (let look = 0; look < 5; look++) {
		await sleep(300);
		t.equal(neighbour.isopod(['exec', 'neighbour', 'echo', 'here']).stdout, 'here\n');
		const used = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
		t.ok(used < MOST_KIB, `its sandbox process has ${used} KiB`);
	}
	t.equal(bench.isopod(['kill', `bomb-${process.pid}`, 'TERM']).code, 0);
	t.equal(bench.state(`bomb-${process.pid}`).status, 'running');
	t.equal(bench.isopod(['delete', '--force', `bomb-${process.pid}`]).code, 0);
	t.strictSame(bench.leftovers, []);
});
