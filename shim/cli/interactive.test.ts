// An interactive shell in a container, at a terminal of tmux's. The same keys are pressed at the same shell on the host, in a chroot of the same tree:
// after each step the two screens must be the same, cursor included.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkoutRoot, rootfsPath } from '../../runtime/testing/container.js';
import { PROGRAM, Workbench } from './testing.js';
import { TmuxServer, type TmuxWindow } from './tmux.js';

const TREE = rootfsPath('full');
const TMP = { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] };
const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/tmp', 'LANG=C.UTF-8', 'TERM=screen', 'PS1=$ ', 'PAGER=less'];
const BASH = ['/bin/bash', '--norc', '-i'];

/** Keys, and what the screen shows when they have done their work. A number pair in the place of keys is a new size. */
interface Step {
	readonly name: string;
	readonly keys: readonly string[] | { readonly columns: number; readonly rows: number };
	readonly shows: RegExp;
}

/** Keys that make signals, which throw away what was typed before them; that start programs, whose parent gets what is typed too early; that begin others. */
const SETTLES = /^(Enter|Escape|Tab|C-.)$/;
/** What a shell's line shows last, before the cursor. */
const PROMPT = /\n\$\n\[2,\d+\]$/;

function behindPrompt(text: RegExp): RegExp {
	return new RegExp(`${text.source}[\\s\\S]*${PROMPT.source}`);
}

/** A command line, and what it prints. */
function line(text: string, prints: RegExp): Step {
	return { name: text, keys: [text, 'Enter'], shows: behindPrompt(prints) };
}

function keys(name: string, pressed: readonly string[], shows: RegExp): Step {
	return { name, keys: pressed, shows };
}

const clear = keys('Ctrl-L clears the screen', ['C-l'], /^\$\n\[2,0\]$/);

const EDITING: readonly Step[] = [
	keys('cursor keys, Ctrl-A and Ctrl-E', ['echo word', 'C-a', ...Array(5).fill('Right'), 'first ', 'C-e', 's'], /\$ echo first words\n/),
	keys('a line is entered from anywhere in it', ['Left', 'Left', 'Enter'], behindPrompt(/\nfirst words/)),
	keys('Ctrl-U, Ctrl-W, Ctrl-Y, Alt-B, Ctrl-K', ['gone', 'C-u', 'echo one two', 'C-w', 'C-y', 'M-b', '12', 'C-k'], /\$ echo one 12\n/),
	keys('Backspace, Delete, Home, End', ['BSpace', 'x', 'Home', 'DC', 'E', 'End', '.'], /\$ Echo one 1x\.\n/),
	keys('Ctrl-C drops a line', ['C-c'], behindPrompt(/1x\.\^C/)),
	keys('the cursor up key brings the last line back', ['Up'], /\$ echo first words\n\[18,/),
	keys('and further back', ['C-u', 'true', 'Enter', 'Up', 'Up', 'Enter'], behindPrompt(/\$ true\n\$ echo first words\nfirst words/)),
	keys('Ctrl-R searches', ['C-r', 'fir'], /\(reverse-i-search\)`fir': echo first words/),
	keys('what was found can be edited', ['Right', 'C-e', '!', 'Enter'], behindPrompt(/\nfirst words!/)),
	keys('Tab completes a path', ['cat /etc/debian_v', 'Tab'], /\$ cat \/etc\/debian_version\n/),
	keys('and lists what it may be', ['C-u', 'ls /etc/ld.', 'Tab', 'Tab', 'Tab'], /\nld\.so\.cache [\s\S]*\$ ls \/etc\/ld\.so\.c\n/),
	keys('a line longer than the screen wraps', ['C-u', `echo ${'0123456789'.repeat(10)}`], /\n\d{20,30}\n\[\d+,\d+\]$/),
	keys('and is edited across the end', ['C-a', 'Right', 'Right', 'Right', 'Right', ' a', 'C-e', 'Left', 'b', 'Enter'], behindPrompt(/8b9/)),
	clear,
];

const JOBS: readonly Step[] = [
	keys('Ctrl-C ends a program', ['sleep 100', 'Enter', 'C-c'], behindPrompt(/\^C/)),
	line('echo $?', /130/),
	keys('Ctrl-Z stops one', ['sleep 100', 'Enter', 'C-z'], behindPrompt(/Stopped/)),
	line('jobs', /\[1\]\+ {2}Stopped/),
	line('bg', /sleep 100 &/),
	keys('fg brings it back', ['fg', 'Enter'], /\nsleep 100\n\[0,/),
	keys('where Ctrl-Z stops it again', ['C-z'], behindPrompt(/\^Z\n\[1\]\+ {2}Stopped/)),
	line('kill -9 %1; sleep 0.3', /Killed/),
	keys('Ctrl-D ends input', ['cat', 'Enter', 'typed', 'Enter', 'C-d'], behindPrompt(/cat\ntyped\ntyped/)),
	keys('Ctrl-\\ ends with SIGQUIT', ['sleep 100', 'Enter', 'C-\\'], behindPrompt(/\^\\Quit/)),
	keys(
		'a pipeline is stopped and ended whole',
		['sleep 100 | cat', 'Enter', 'C-z', 'fg', 'Enter', 'C-c'],
		behindPrompt(/sleep 100 \| cat\n\^C/),
	),
	keys('Ctrl-S holds output, Ctrl-Q lets it go', ['C-s', 'echo held', 'Enter', 'C-q'], behindPrompt(/\nheld/)),
	keys('a background program that reads is stopped', ['cat & wait -f', 'Enter', 'C-c', 'C-l'], /^\$\n\[2,0\]$/),
	line('jobs; kill -9 %1; sleep 0.3', /Stopped[\s\S]*Killed/),
	clear,
];

const SIZES: readonly Step[] = [
	line('echo $COLUMNS $LINES', /80 24/),
	{ name: 'a shell sees a new size', keys: { columns: 100, rows: 30 }, shows: PROMPT },
	line('echo $COLUMNS $LINES; stty size', /100 30\n30 100/),
	keys(
		'a program is told of a new size by SIGWINCH',
		[
			'python3 -c \'import os, signal; signal.signal(signal.SIGWINCH, lambda *_: print(os.get_terminal_size(), flush=True)); print(0); [signal.pause() for _ in "ab"]\'',
			'Enter',
		],
		/\n0\n\[0,/,
	),
	{ name: 'once', keys: { columns: 90, rows: 20 }, shows: /columns=90, lines=20\)\n\[0,/ },
	{ name: 'and again', keys: { columns: 80, rows: 24 }, shows: behindPrompt(/columns=80, lines=24/) },
	clear,
];

const EDITORS: readonly Step[] = [
	keys('vim starts', ['vim.tiny -u NONE -N -c "set ttimeout ttimeoutlen=20" file', 'Enter'], /\n~\n[\s\S]*"file"/),
	keys('inserts', ['i', 'first line', 'Enter', 'second line', 'Escape'], /^(?![\s\S]*INSERT)first line\nsecond line\n~/),
	keys('copies, deletes, undoes', ['yyp', 'ggdd', 'u', '.', 'G', 'Ax', 'Escape'], /^(?![\s\S]*INSERT)[\s\S]*second linex/),
	{ name: 'draws a larger screen', keys: { columns: 100, rows: 30 }, shows: /^(?![\s\S]*INSERT)[\s\S]*(\n~){20}/ },
	{ name: 'and the old one', keys: { columns: 80, rows: 24 }, shows: /^(?![\s\S]*INSERT)[\s\S]*second linex(\n~){10}/ },
	keys('saves', [':wq', 'Enter'], behindPrompt(/vim\.tiny/)),
	line('cat file', /second linex/),
	keys('busybox vi starts', ['busybox vi other', 'Enter'], /\n~\n/),
	keys('busybox vi inserts', ['i', 'hello', 'Escape'], /^hello\n~/),
	keys('busybox vi saves', [':wq', 'Enter'], behindPrompt(/busybox vi other/)),
	line('cat other', /hello/),
	clear,
];

const PAGERS: readonly Step[] = [
	keys('less shows a page', ['seq 1000 | less', 'Enter'], /^1\n2\n[\s\S]*\n23\n:/),
	keys('and the next', ['Space'], /^24\n[\s\S]*\n46\n:/),
	keys('searches', ['/77', 'Enter'], /^77\n/),
	keys('finds the next', ['n'], /^177\n/),
	keys('goes to the end', ['G'], /\n1000\n\(END\)/),
	keys('and the beginning, and moves by lines', ['g', 'Down', 'j', 'k'], /^2\n/),
	{ name: 'draws a smaller screen', keys: { columns: 60, rows: 12 }, shows: /^2\n(\d+\n){10}:/ },
	{ name: 'and the old one again', keys: { columns: 80, rows: 24 }, shows: /^2\n(\d+\n){22}:/ },
	keys('quits', ['q'], behindPrompt(/seq 1000/)),
	clear,
];

const server = new TmuxServer();
const point = mkdtempSync(join(tmpdir(), 'isopod-tmux-'));
mkdirSync(join(point, 'root'));
mkdirSync(join(point, 'mnt'));
t.teardown(() => {
	server.close();
	rmSync(point, { recursive: true, force: true });
});

function openHost(): TmuxWindow {
	const script = join(checkoutRoot, 'runtime/conformance/host.sh');
	const unshare = [
		'unshare',
		'-mpfuin',
		'--kill-child',
		'--propagation',
		'private',
		'sh',
		script,
		TREE,
		join(point, 'mnt'),
		join(point, 'root'),
	];
	return server.open([...unshare, 'ro', '/usr/bin/env', '-C', '/tmp', ...ENVIRONMENT, ...BASH], point);
}

function openGuest(bench: Workbench, ...command: readonly string[]): TmuxWindow {
	return server.open([process.execPath, PROGRAM, '--root', bench.root, ...command], bench.bundle);
}

function makeBench(t: Test, args: readonly string[]): Workbench {
	const bench = new Workbench();
	t.teardown(() => bench.clean());
	bench.configure(args, { root: { path: TREE }, process: { cwd: '/tmp', env: ENVIRONMENT }, mounts: [TMP] });
	return bench;
}

async function act(window: TmuxWindow, { keys }: Step): Promise<void> {
	if ('columns' in keys) window.resize(keys.columns, keys.rows);
	else await press(window, keys);
}

async function press(window: TmuxWindow, keys: readonly string[]): Promise<void> {
	for (const [index, key] of keys.entries()) {
		if (index > 0 && (SETTLES.test(keys[index - 1]!) || SETTLES.test(key))) await window.shows(() => true, 'a screen that stands still');
		window.press(key);
	}
}

/** Types the steps at both sides: the guest's screens must come to be the host's. */
async function compare(t: Test, steps: readonly Step[], host: TmuxWindow, guest: TmuxWindow): Promise<void> {
	for (const step of [keys('the shell begins', [], /^\$\n\[2,0\]$/), ...steps]) {
		await Promise.all([act(host, step), act(guest, step)]);
		const wanted = await host.shows((screen) => step.shows.test(screen), `${step.name}, on the host`);
		const seen = await guest.shows((screen) => screen === wanted, `${step.name}, in the guest`).catch(() => guest.screen());
		if (!t.equal(seen, wanted, step.name)) return;
	}
	for (const window of [host, guest]) {
		window.press('exit 7', 'Enter');
		t.equal(await window.ended(), 7);
	}
}

for (const [name, steps] of Object.entries({ EDITING, JOBS, SIZES, EDITORS, PAGERS })) {
	t.test(`isopod run -t: ${name.toLowerCase()}`, async (t) => {
		const bench = makeBench(t, BASH);
		await compare(t, steps, openHost(), openGuest(bench, 'run', '-t', name));
		t.strictSame(bench.leftovers, []);
	});
}

t.test('isopod exec -t: jobs', async (t) => {
	const bench = makeBench(t, ['sleep', '1000']);
	t.equal(bench.leave(['run', '-d', 'exec']), 0);
	const variables = ENVIRONMENT.flatMap((variable) => ['-e', variable]);
	await compare(t, JOBS, openHost(), openGuest(bench, 'exec', '-t', ...variables, 'exec', ...BASH));
});

t.test('top refreshes, and takes its commands', async (t) => {
	const bench = makeBench(t, BASH);
	const window = openGuest(bench, 'run', '-t', 'top');
	await press(window, ['sleep 1000 &', 'Enter', 'top -d 1', 'Enter']);
	const shows = /^top - (\d\d:\d\d:\d\d) up [\s\S]*Tasks: +3 total[\s\S]*\n +PID USER [\s\S]* top\n/;
	let last = '';
	const times = new Set<string>();
	// Each new time of day is a new picture.
	while (times.size < 3) {
		last = await window.shows((screen) => shows.test(screen) && !times.has(shows.exec(screen)![1]!), 'the next picture');
		times.add(shows.exec(last)![1]!);
	}
	t.match(last, /\n +\d+ root .* S .* sleep\n/);
	// "1" shows each processor, "k" asks for a process.
	window.press('1');
	await window.shows((screen) => /%Cpu0 /.test(screen), 'the processors');
	window.press('k');
	await window.shows((screen) => /PID to signal\/kill/.test(screen), 'the question');
	await press(window, ['Enter', 'Escape']);
	await window.shows((screen) => shows.test(screen), 'the list');
	window.press('q');
	await window.shows((screen) => PROMPT.test(screen), 'the prompt');
	window.press('exit', 'Enter');
	t.equal(await window.ended(), 0);
});
