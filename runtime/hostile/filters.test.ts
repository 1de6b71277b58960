import t from 'tap';
import { runProgram } from './hostile-program.js';

/** The checks of programs/filters.c, and what each shows. */
const CHECKS: readonly (readonly [name: string, shows: string])[] = [
	['results', 'no result of a guest’s own filter lets a call through'],
	['race', 'a program that is overwritten while it is installed lets nothing through'],
	['exhaust', 'filters are bounded, and the room comes back'],
];

for (const [name, shows] of CHECKS) {
	t.test(shows, async (t) => {
		const ended = await runProgram('filters', [name], 50_000);
		t.equal(ended.stdout.toString(), 'right\n', ended.log);
		t.equal(ended.status, 0);
	});
}
