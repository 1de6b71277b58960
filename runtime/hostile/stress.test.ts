// stress-ng and trinity in the guest kernel: nothing hangs, the sandbox process logs no error, and once they are through it holds no more
// than before. Some stressors find things missing (the log's warnings say which); what each makes of that is not judged here.
// ISOPOD_STRESS_FACTOR=10 makes it run ten times as long.

import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { rootfsPath, runContainer } from '../testing/container.js';
import { runProgram } from './hostile-program.js';

const factor = Number(process.env.ISOPOD_STRESS_FACTOR ?? '1');
const tree = rootfsPath('stress');

/** How much more the sandbox process may have resident after the last round than after the one before, in KiB: the collector's slack. */
const MAX_GROWTH_KIB = 48 * 1024;

/**
 * Stressors by what they work on. Left out: those that wait for ever without ptrace (vm-segv), that need a real device (or more descriptors
 * than there are: timerfd), and that take all of
 * the machine's memory or 65,536 threads (mmapfork, loadavg, bigheap, brk, resources), on any Linux.
 */
const STRESSORS: Readonly<Record<string, readonly string[]>> = {
	filesystem: [
		'access',
		'chmod',
		'copy-file',
		'dentry',
		'dir',
		'dup',
		'fallocate',
		'fcntl',
		'flock',
		'getdent',
		'inotify',
		'link',
		'locka',
		'open',
		'procfs',
		'rename',
		'xattr',
	],
	pipe: ['fifo', 'pipe', 'pipeherd', 'sendfile', 'splice', 'tee', 'vm-splice'],
	socket: ['sock', 'sockabuse', 'sockfd', 'sockmany', 'sockpair', 'udp', 'epoll', 'netdev'],
	signal: [
		'hrtimers',
		'itimer',
		'kill',
		'seccomp',
		'sigabrt',
		'sigchld',
		'sigfd',
		'signal',
		'signest',
		'sigpending',
		'sigpipe',
		'sigq',
		'sigrt',
		'sigsuspend',
		'sigtrap',
		'timer',
	],
	scheduler: ['affinity', 'clone', 'daemon', 'exec', 'fork', 'futex', 'kcmp', 'poll', 'pthread', 'sem-sysv', 'vfork', 'zombie'],
	vm: [
		'madvise',
		'memfd',
		'mincore',
		'mlock',
		'mmap',
		'mprotect',
		'mremap',
		'msync',
		'munmap',
		'numa',
		'remap',
		'shm',
		'shm-sysv',
		'stack',
		'vm',
		'vm-rw',
	],
};

/** What the sandbox process holds while its guest waits. */
interface Holdings {
	readonly residentKib: number;
	/** What each leads to. */
	readonly descriptors: readonly string[];
}

/** A script that does `work` three times and after each waits idle, with a file in /mnt that says so. */
function inRounds(work: (round: number) => string): string {
	const rounds = [1, 2, 3].map(
		(round) => `cd /tmp
${work(round)}
rm -rf /tmp/*; sleep 1; echo "tasks $(ls -d /proc/[0-9]* | wc -l)"
: >/mnt/idle; sleep 2; rm -f /mnt/idle`,
	);
	return [...rounds, 'echo end'].join('\n');
}

/** Runs `script` with `marker` among its arguments, measures the sandbox process whenever it is idle, and checks what all runs must hold. */
async function checkRounds(t: Test, marker: string, work: (round: number) => string, timeoutMs: number): Promise<string[]> {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-stress-'));
	const held: Holdings[] = [];
	let wasIdle = false;
	const watch = setInterval(() => {
		const isIdle = existsSync(join(folder, 'idle'));
		if (isIdle && !wasIdle) {
			const holdings = measureSandboxOf(marker);
			if (holdings !== undefined) held.push(holdings);
		}
		wasIdle = isIdle;
	}, 200);
	try {
		const ended = await runContainer({
			root: tree,
			isReadonly: true,
			args: ['/bin/sh', '-c', inRounds(work), marker],
			mounts: [
				{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777', 'size=512m'] },
				{ destination: '/mnt', type: 'bind', source: folder, options: ['bind', 'rw'] },
			],
			timeoutMs,
		});
		const lines = ended.stdout.toString('latin1').trimEnd().split('\n');
		t.notOk(ended.hasTimedOut, 'it ended by itself');
		t.equal(lines.at(-1), 'end', 'the container’s first process came through');
		t.strictSame(errorsOf(ended.log), [], 'no error was logged');
		const tasks = new Set(lines.filter((line) => line.startsWith('tasks ')));
		t.ok(tasks.size <= 2, `as many processes after each round: ${[...tasks]}`);
		t.equal(held.length, 3, 'the sandbox process was measured after each round');
		// In the first round it warms up.
		const [first, second, last] = held;
		if (first !== undefined && second !== undefined && last !== undefined) {
			t.ok(
				last.descriptors.length <= first.descriptors.length + 8,
				`descriptors after the rounds: ${held.map((one) => one.descriptors.length)}; new ones: ${newIn(last.descriptors, first.descriptors)}`,
			);
			t.ok(last.residentKib <= second.residentKib + MAX_GROWTH_KIB, `KiB resident after the rounds: ${held.map((one) => one.residentKib)}`);
		}
		return lines;
	} finally {
		clearInterval(watch);
		rmSync(folder, { recursive: true, force: true });
	}
}

t.test('stress-ng’s stressors come to an end and leave nothing', async (t) => {
	const seconds = 2 * factor;
	const classes = Object.entries(STRESSORS).map(([name, stressors]) => {
		const options = stressors.map((stressor) => `--${stressor} 1`).join(' ');
		const path = name === 'filesystem' ? '/mnt' : '/tmp';
		// 124 and 137: timeout(1) ended it, so something hung.
		return `timeout -k 2 ${seconds + 40} stress-ng ${options} --timeout ${seconds}s --temp-path ${path} --quiet >/dev/null 2>&1; echo "${name} $?"`;
	});
	const lines = await checkRounds(t, `stress-ng-${process.pid}`, () => classes.join('\n'), 180_000 + 60_000 * factor);
	t.equal(
		lines.filter((line) => /^[a-z]+ \d+$/.test(line) && !line.startsWith('tasks')).length,
		3 * classes.length,
		'every class ran in every round',
	);
	t.strictSame(
		lines.filter((line) => / (124|137)$/.test(line)),
		[],
		'no class hung',
	);
});

/**
 * trinity's calls per round, and its options: 64-bit calls only, for there are no others; counters that it can't open here it would try for ever, and its own
 * making up of socket options ends in a fault of its own.
 */
const trinity = `trinity -q -a64 -C 4 -N ${1000 * factor} -l off --disable-fds=perf --disable-fds=sockets`;
const USERS = {
	'an unprivileged user': (seed: number) =>
		`python3 -c 'import os; os.setgroups([]); os.setgid(1000); os.setuid(1000); os.execvp("timeout", "timeout -k 2 ${60 * factor} ${trinity} -s${seed}".split())'`,
	'the container’s root': (seed: number) => `timeout -k 2 ${60 * factor} ${trinity} -s${seed} --dangerous`,
};
for (const [user, command] of Object.entries(USERS)) {
	t.test(`trinity as ${user} ends, breaks nothing and leaves nothing`, async (t) => {
		// The shell is the first process: all others are trinity's, and some would sleep on.
		const work = (round: number) => `mkdir -p fuzz; chmod 777 fuzz; cd fuzz
${command(round)} >out 2>&1; echo "trinity $?"; cat out; cd /tmp; kill -9 -1`;
		const [lines, neighbour] = await Promise.all([
			checkRounds(t, `trinity-${process.pid}`, work, 120_000 + 120_000 * factor),
			runProgram('neighbour', [], 60_000),
		]);
		t.equal(lines.filter((line) => line.includes('Ran ')).length, 3, lines.join('\n'));
		t.strictSame(
			lines.filter((line) => /^trinity (124|137)$/.test(line)),
			[],
			'it never hung',
		);
		t.equal(neighbour.stdout.toString(), Array.from({ length: 20 }, (_, i) => `${i + 1}\n`).join(''), 'a neighbour counts on');
	});
}

/** The log's lines but those that say what is missing. */
function errorsOf(log: string): string[] {
	return log.split('\n').filter((line) => line !== '' && !line.includes("isn't there"));
}

/** The holdings of the sandbox process above the guest process with `marker` among its arguments, or undefined when there is none. */
function measureSandboxOf(marker: string): Holdings | undefined {
	for (const pid of readdirSync('/proc')) {
		if (!/^\d+$/.test(pid)) continue;
		try {
			if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(marker)) continue;
			for (let above = parentOf(pid); above !== '0'; above = parentOf(above)) {
				if (!readFileSync(`/proc/${above}/cmdline`, 'latin1').includes('/sandbox-start.cjs')) continue;
				const resident = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${above}/status`, 'latin1'));
				return { residentKib: Number(resident?.[1]), descriptors: descriptorsOf(above) };
			}
		} catch {
			// It ended meanwhile.
		}
	}
	return undefined;
}

function parentOf(pid: string): string {
	return /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0';
}

/** All but System V segments: those outlive who made them, on any Linux. */
function descriptorsOf(pid: string): string[] {
	const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
	return links.filter((link) => !link.startsWith('/memfd:SYSV'));
}

/** What is in `after` more often than in `before`. */
function newIn(after: readonly string[], before: readonly string[]): string[] {
	const left = [...before];
	return after.filter((link) => {
		const at = left.indexOf(link);
		if (at >= 0) left.splice(at, 1);
		return at < 0;
	});
}
