import t from 'tap';
import { runProgram } from './hostile-program.js';

t.test('a storm of signals ends, no byte and no child is lost in it, and a neighbour counts on', async (t) => {
	const [storm, neighbour] = await Promise.all([runProgram('signal-storm', [], 50_000), runProgram('neighbour', [], 50_000)]);
	t.equal(storm.stdout.toString(), 'thousands handled, 8 senders ended\n', `${storm.stderr}${storm.log}`);
	t.equal(storm.status, 0);
	t.equal(neighbour.stdout.toString().split('\n').length, 21, neighbour.log);
});
