import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { native } from '../../runtime/native.js';
import { findHierarchies } from '../../runtime/oci/cgroup/hierarchies.js';
import { guestProcesses } from '../../runtime/sandbox/guests.js';
import { type ConfigChanges, PROGRAM, Workbench } from './testing.js';

// kill -9 at random moments: of the sandbox process, of the first guest, of each command, through Node and through the native front.
// ROUNDS and SEED of the environment choose how many and which.

const ROUNDS = Number(process.env['ROUNDS'] ?? 60);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const FRONT = resolve(import.meta.dirname, '../../../native/build/isopod');
const LONGEST_MS = 400;
const GROUPS = `/isopod-kill-test-${process.pid}`;
const points = [...new Set(findHierarchies().mounts.values())];
const bench = new Workbench();
const TEMPORARY = join(bench.folder, 'tmp');
/** Found again in the arguments of every process that has to do with this test. */
const MARK = bench.root;

/** mulberry32: the same numbers for the same seed. */
let generator = SEED;
function random(below: number): number {
	generator = (generator + 0x6d2b79f5) | 0;
	let x = Math.imul(generator ^ (generator >>> 15), 1 | generator);
	x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
	return ((x ^ (x >>> 14)) >>> 0) % below;
}

const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;

/** Host processes, by pid: their arguments, their ids' first, their network namespace. Zombies are none. */
function processes(): Map<number, string> {
	const found = new Map<number, string>();
	for (const name of readdirSync('/proc').filter((pid) => /^\d+$/.test(pid))) {
		try {
			if (/\) [ZX] /.test(readFileSync(`/proc/${name}/stat`, 'latin1'))) continue;
			const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'latin1'))?.[1] ?? '?';
			found.set(Number(name), `uid ${uid} ${readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').slice(0, 200)}`);
		} catch {
			// It has ended.
		}
	}
	return found;
}

/** Processes that hold something of the test's: its folder in their arguments, their open files or their working directory. */
function ours(): string[] {
	return [...processes()].flatMap(([pid, text]) => {
		if (pid === process.pid || pid === process.ppid) return [];
		const links: string[] = [];
		try {
			links.push(readlinkSync(`/proc/${pid}/cwd`), ...readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)));
		} catch {
			// It has ended, or is ending.
		}
		return text.includes(MARK) || links.some((link) => link.startsWith(bench.folder)) ? [`${pid} ${text}`] : [];
	});
}

/** What is left of a container whose control group is `group`. */
function leftovers(group: string): string[] {
	const mounts = readFileSync('/proc/self/mountinfo', 'latin1')
		.split('\n')
		.filter((line) => line.includes(bench.folder));
	const groups = points.flatMap((point) =>
		[group, `isopod-${group}`]
			.map((name) => join(point, GROUPS, name))
			.concat(join(point, 'isopod', group), join(point, 'isopod', `isopod-${group}`)),
	);
	return [...bench.leftovers, ...ours(), ...mounts, ...groups.filter((folder) => existsSync(folder))];
}

interface Shape {
	readonly name: string;
	readonly changes: (group: string) => ConfigChanges;
}

const resources = { memory: { limit: 256 << 20 }, pids: { limit: 64 } };
const hook = (seconds: string): object => ({ path: '/bin/sh', args: ['sh', '-c', `cat >/dev/null; sleep ${seconds}`] });
const SHAPES: readonly Shape[] = [
	{ name: 'plain', changes: () => ({}) },
	{ name: 'limits', changes: (group) => ({ linux: { cgroupsPath: `${GROUPS}/${group}`, resources } }) },
	{
		name: 'hooks',
		changes: () => ({ hooks: { createRuntime: [hook('0.05')], poststart: [hook('0.05')], poststop: [hook('0.02')] } }),
	},
	{ name: 'terminal', changes: () => ({ process: { terminal: true } }) },
];

/** Who is killed: a process of a running container, or a command on the way. */
const VICTIMS = ['sandbox', 'guest', 'run', 'run', 'create', 'start', 'exec', 'delete', 'pause', 'update'] as const;
const PROGRAM_ARGS = ['sh', '-c', 'sleep 1000 & sleep 1000 & (sleep 1000 | cat) & wait'];

function begin(isFront: boolean, args: readonly string[], stdio: StdioOptions = 'ignore'): ChildProcess {
	const [command, ...first] = isFront ? [FRONT] : [process.execPath, PROGRAM];
	return spawn(command!, [...first, '--root', bench.root, ...args], {
		cwd: bench.bundle,
		stdio,
		env: { ...process.env, TMPDIR: TEMPORARY },
	});
}

/** Kills `isopod run` at a terminal. */
async function killAtTerminal(isFront: boolean, id: string, delayMs: number): Promise<void> {
	const fds = new Int32Array(2);
	native.openPty(fds);
	const slave = fds[1]!;
	await killAfter(begin(isFront, ['run', id], [slave, slave, slave]), delayMs);
	for (const fd of fds) native.close(fd);
}

function ended(child: ChildProcess): Promise<void> {
	return new Promise((then) => {
		if (child.exitCode !== null || child.signalCode !== null) then();
		else child.once('exit', () => then());
	});
}

async function killAfter(child: ChildProcess, delayMs: number): Promise<void> {
	await sleep(delayMs);
	child.kill('SIGKILL');
	await ended(child);
}

async function round(number: number): Promise<readonly [string, string[]]> {
	const victim = pick(VICTIMS);
	const shape = pick(SHAPES);
	const isFront = random(2) === 0;
	const delayMs = random(LONGEST_MS + 1);
	const what = `round ${number}: ${victim}, ${shape.name}, ${isFront ? 'front' : 'node'}, ${delayMs} ms`;
	const id = `k${process.pid}-${number}`;
	const hasTerminal = shape.name === 'terminal';
	// A terminal without anybody who takes its master is for `run` in the foreground alone.
	bench.configure(PROGRAM_ARGS, hasTerminal && victim !== 'run' ? {} : shape.changes(id));
	if (victim === 'run' && hasTerminal) {
		await killAtTerminal(isFront, id, delayMs);
	} else if (victim === 'run') {
		await killAfter(begin(isFront, random(2) === 0 ? ['run', id] : ['run', '-d', id]), delayMs);
	} else if (victim === 'create') {
		await killAfter(begin(isFront, ['create', id]), delayMs);
	} else {
		await ended(begin(isFront, victim === 'start' ? ['create', id] : ['run', '-d', id]));
		const { pid } = bench.state(id);
		if (victim === 'sandbox' || victim === 'guest') {
			const busy = begin(isFront, ['exec', id, 'sh', '-c', 'while :; do true | true; done']);
			await sleep(delayMs);
			const target = victim === 'sandbox' ? pid : (guestProcesses(pid)[0]?.pid ?? 0);
			if (target > 0) process.kill(target, 'SIGKILL');
			await ended(busy);
		} else {
			const args = { start: [id], exec: [id, 'sleep', '1000'], delete: ['--force', id], pause: [id], update: ['--pids-limit', '50', id] };
			await killAfter(begin(isFront, [victim, ...args[victim]]), delayMs);
		}
	}
	const before = Date.now();
	const result = spawnSync(process.execPath, [PROGRAM, '--root', bench.root, 'delete', '--force', id], {
		encoding: 'utf8',
		timeout: 10_000,
	});
	const failure = result.status === 0 ? [] : [`delete --force: status ${result.status} after ${Date.now() - before} ms: ${result.stderr}`];
	// A sandbox process that never had a container ends by itself, as soon as it sees that its maker is gone.
	let left = leftovers(id);
	for (let tries = 0; left.length > 0 && tries < 150; tries++) {
		await sleep(20);
		left = leftovers(id);
	}
	return [what, [...failure, ...left]];
}

const LIMIT_MS = Math.max(120_000, ROUNDS * 3000);
t.setTimeout(LIMIT_MS);

t.test(`kill -9 at ${ROUNDS} random moments leaves nothing (SEED=${SEED})`, { timeout: LIMIT_MS }, async (t) => {
	t.teardown(() => {
		bench.clean();
		for (const point of points) if (existsSync(join(point, GROUPS))) rmdirSync(join(point, GROUPS));
	});
	mkdirSync(TEMPORARY);
	const neighbour = new Workbench();
	t.teardown(() => neighbour.clean());
	neighbour.configure(['sh', '-c', 'while read line; do echo "$line"; done']);
	// A workbench's own `start` ends what it starts after a while.
	const argv = [PROGRAM, '--root', neighbour.root, 'run', 'neighbour'];
	const echo = spawn(process.execPath, argv, { cwd: neighbour.bundle, stdio: ['pipe', 'pipe', 'ignore'] });
	let heard = '';
	echo.stdout.on('data', (bytes: Buffer) => (heard += bytes.toString()));
	for (let number = 0; number < ROUNDS; number++) {
		const [what, left] = await round(number);
		if (left.length > 0) t.fail(`${what} (SEED=${SEED}): ${left.join('\n')}`);
	}
	echo.stdin.write('still here\n');
	for (let tries = 0; !heard.includes('still here') && tries < 250; tries++) await sleep(20);
	t.match(heard, /still here/, 'another container goes on');
	echo.stdin.end();
	await ended(echo);
	t.strictSame(readdirSync(TEMPORARY), [], 'no temporary files');
});
