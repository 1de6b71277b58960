import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type ContainerResult, defaultCapabilities, runContainer } from '../testing/container.js';
import { makeProgramRoot } from './hostile-program.js';

/** What a call gets that names a process which isn't in the container; whatever isn't there at all is refused before. */
const MISSED: Readonly<Record<string, string>> = {
	mem: 'ENOENT',
	maps: 'ENOENT',
	environ: 'ENOENT',
	root: 'ENOENT',
	'fd/0': 'ENOENT',
	task: 'ENOENT',
	kill: 'ESRCH',
	'kill group': 'ESRCH',
	tkill: 'ESRCH',
	tgkill: 'ESRCH',
	rt_sigqueueinfo: 'ESRCH',
	rt_tgsigqueueinfo: 'ESRCH',
	'ptrace attach': 'EPERM',
	'ptrace seize': 'EPERM',
	'ptrace peek': 'EPERM',
	'ptrace poke': 'EPERM',
	process_vm_readv: 'ESRCH',
	process_vm_writev: 'ESRCH',
	pidfd_open: 'ESRCH',
	kcmp: 'ESRCH',
	perf_event_open: 'EPERM',
	move_pages: 'ESRCH',
	migrate_pages: 'ESRCH',
	sched_setaffinity: 'ESRCH',
	sched_setscheduler: 'ESRCH',
	sched_setparam: 'ESRCH',
	setpriority: 'ESRCH',
	'setpriority group': 'ESRCH',
	prlimit64: 'ESRCH',
	ioprio_set: 'ESRCH',
	'ioprio_set group': 'ESRCH',
	get_robust_list: 'ESRCH',
	setpgid: 'ESRCH',
	getsid: 'ESRCH',
	wait4: 'ECHILD',
};

const root = makeProgramRoot('targets');
t.teardown(() => root.remove());

/** Runs the program in a container with everything that docker gives. */
function run(args: readonly string[]): Promise<ContainerResult> {
	return runContainer({
		root: root.path,
		isReadonly: true,
		args: ['/bin/prog', ...args],
		capabilities: defaultCapabilities,
		// What the host makes in the victims' folder they see at once.
		mounts: [{ destination: '/tmp', type: 'bind', source: join(root.path, 'tmp'), options: ['bind', 'ro'] }],
		timeoutMs: 40_000,
	});
}

t.test('the memory of another process is read and written only by who has the right to it', async (t) => {
	const ended = await run(['memory']);
	t.equal(ended.stdout.toString(), 'held\n', ended.log);
	t.equal(ended.status, 0);
});

t.test('processes of the host and of a neighbour are nobody: they keep life, memory, limits, priority and affinity', async (t) => {
	const marker = `victim-${process.pid}`;
	const victim = spawn(join(root.path, 'bin/prog'), ['wait'], { cwd: root.path, stdio: ['ignore', 'pipe', 'inherit'] });
	t.teardown(() => victim.kill('SIGKILL'));
	const neighbour = run(['wait', marker]);
	const output: Buffer[] = [];
	const isOver = new Promise((then) => victim.on('close', then));
	await new Promise<void>((then) =>
		victim.stdout.on('data', (bytes: Buffer) => {
			output.push(bytes);
			then();
		}),
	);
	const address = output.join('').trim();
	const guest = await pidOfMarked(marker);
	const targets = [victim.pid!, guest, parentOf(guest)];
	const before = targets.map(traits);
	const ended = await run(['aim', address, ...targets.map(String)]);
	const lines = ended.stdout.toString().trim().split('\n');
	for (const pid of targets) {
		const own = lines.filter((line) => line.startsWith(`${pid} `)).map((line) => line.slice(`${pid} `.length));
		const seen = own.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]);
		t.strictSame(Object.fromEntries(seen), MISSED, ended.log);
	}
	t.strictSame(targets.map(traits), before);
	writeFileSync(join(root.path, 'tmp/end'), '');
	await isOver;
	t.equal(output.join(''), `${address}\nuntouched\n`);
	t.equal((await neighbour).stdout.toString(), `${address}\nuntouched\n`);
});

/** The guest with `marker` among its arguments, once it runs its program. */
async function pidOfMarked(marker: string): Promise<number> {
	for (let tries = 0; tries < 1000; tries++) {
		for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
			if (commandOf(pid).includes(marker)) return Number(pid);
		}
		await sleep(20);
	}
	throw new Error(`Find a process with the argument ${marker}: there is none`);
}

function commandOf(pid: string): string[] {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
	} catch {
		return [];
	}
}

/** What others might change of a process: whose it is, its priority, policy, affinity and limits. */
function traits(pid: number): readonly string[] {
	const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
	const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	const status = readFileSync(`/proc/${pid}/status`, 'latin1');
	// Parent, process group, session; priority, nice; policy: fields 4 to 6, 18, 19 and 41 of proc_pid_stat(5).
	return [
		...[1, 2, 3, 15, 16, 38].map((i) => fields[i]!),
		...(status.match(/^(Cpus_allowed|TracerPid|SigPnd|ShdPnd):.*$/gm) ?? []),
		readFileSync(`/proc/${pid}/limits`, 'latin1'),
		readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
	];
}

function parentOf(pid: number): number {
	return Number(traits(pid)[0]);
}
