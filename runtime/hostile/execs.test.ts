import t from 'tap';
import { defaultCapabilities } from '../testing/container.js';
import { ImageWatch } from './host-view.js';
import { runProgram } from './hostile-program.js';

/** The attacks of programs/execs.c, and what each shows. */
const ATTACKS: readonly (readonly [name: string, shows: string])[] = [
	['death', 'no prctl ends a process, and the signal at the death of a parent comes'],
	['personality', 'no personality takes the next program its random stack or makes its memory executable'],
	['storm', 'vfork and exec in six threads at once start what each of them named'],
	['everyone', 'eight threads that exec at once become one program'],
	['raced', "forged plan traps and failing execs of a set-user-id program get nothing of another thread's exec"],
];

for (const [name, shows] of ATTACKS) {
	t.test(shows, async (t) => {
		const mark = `execs-${name}-${process.pid}`;
		const watch = new ImageWatch(mark);
		try {
			const ended = await runProgram('execs', [name, mark], 50_000, defaultCapabilities);
			t.equal(ended.stdout.toString(), 'held\n', ended.log);
			t.equal(ended.status, 0);
		} finally {
			watch.stop();
		}
		t.strictSame([...watch.images], ['/x'], 'from outside, every process of the container executes the loader');
	});
}
