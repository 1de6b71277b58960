import t from 'tap';
import { runProgram } from './hostile-program.js';

/** What stops a guest that takes all there is: the errno of the manual pages, or of a bound of the pod. */
const BOUNDS: Readonly<Record<string, RegExp>> = {
	dup: /^EMFILE$/,
	pipe: /^EMFILE$/,
	eventfd: /^EMFILE$/,
	epoll: /^EMFILE$/,
	timerfd: /^EMFILE$/,
	signalfd: /^EMFILE$/,
	memfd: /^(EMFILE|ENFILE)$/,
	unix: /^(EMFILE|ENFILE)$/,
	inet: /^(EMFILE|ENFILE)$/,
	inotify: /^EMFILE$/,
	tmpfile: /^(EMFILE|ENFILE)$/,
	pty: /^(EMFILE|ENOSPC)$/,
	locks: /^ENOLCK$/,
	queue: /^EAGAIN$/,
	signals: /^EAGAIN$/,
	blocked: /^10000$/,
	again: /^EMFILE$/,
};

t.test('everything that a guest can take has an end, an errno, and is there again when it is given back', async (t) => {
	const ended = await runProgram('bounds', [], 50_000);
	const lines = ended.stdout.toString().trim().split('\n');
	t.equal(lines.pop(), 'end', `${ended.stderr}${ended.log}`);
	const seen = Object.fromEntries(lines.map((line) => line.split(' ') as [string, string]));
	t.strictSame(Object.keys(seen), Object.keys(BOUNDS));
	for (const [name, bound] of Object.entries(BOUNDS)) t.match(seen[name], bound, name);
});
