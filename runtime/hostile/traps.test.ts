import t from 'tap';
import { runProgram } from './hostile-program.js';

/** The checks of programs/traps.c, and what each shows. */
const CHECKS: readonly (readonly [name: string, shows: string])[] = [
	['answers', 'none of 200,000 answers is lost under a 5 kHz timer'],
	['blocked', 'a blocked read ends right by a handler, SA_RESTART, siglongjmp, stop and continue'],
	['fork', 'a fork that a signal interrupts happens once'],
	['exit', 'a child that was waited for holds no descriptor any more'],
	['threads', 'a thread whose id comes back is never taken for another process'],
	['orphan', 'a child whose parent is killed at once is found'],
];

for (const [name, shows] of CHECKS) {
	t.test(shows, async (t) => {
		const ended = await runProgram('traps', [name], 90_000);
		t.equal(ended.stdout.toString(), 'right\n', ended.log);
		t.equal(ended.status, 0);
	});
}
