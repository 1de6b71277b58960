import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { deleteContainer, run } from './commands.js';
import { defaultConfig } from './spec.js';

const STATE_ROOT = '/run/isopod';
/** The exit status after Ctrl-C, as shells report SIGINT. */
const STOPPED = 130;

/** One container of the demonstration. */
interface Act {
	readonly title: string;
	readonly args: readonly string[];
}

const PYTHON = `
import os, subprocess, threading, platform
print("Python", platform.python_version(), "on", platform.release())
words = []
threads = [threading.Thread(target=lambda i=i: words.append(i * i)) for i in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("20 threads squared", sorted(words)[:5], "...")
output = subprocess.run(["sh", "-c", "echo a child says $(( 6 * 7 )); exit 3"], capture_output=True, text=True)
print(output.stdout.strip(), "and exits with", output.returncode)
with open("/tmp/note", "w") as file: file.write("kept in a tmpfs of the guest kernel")
print(open("/tmp/note").read(), os.stat("/tmp/note").st_size, "bytes")
`;

const ACTS: readonly Act[] = [
	{
		title: 'Where does it run? The kernel, the processes and the mounts as the container sees them',
		args: [
			'bash',
			'-c',
			'echo "kernel:    $(uname -srv)"; echo "processes: $(cd /proc; echo [0-9]*)"; echo "mounts:"; while read -r source place type rest; do echo "  $type on $place"; done </proc/mounts; echo "user:      $(id -un)"',
		],
	},
	{
		title: 'Debian’s coreutils in a pipeline',
		args: ['bash', '-c', 'seq 1 20000 | sort -rn | head -3 | tr "\\n" " "; echo; ls /usr/bin | wc -l; sha256sum /bin/ls | cut -c1-16'],
	},
	{ title: 'Python with threads, a child process and a file', args: ['python3', '-c', PYTHON] },
	{
		title: 'One static program (busybox)',
		args: ['/bin/busybox', 'sh', '-c', 'for i in 1 2 3; do busybox echo "busybox $i"; done; exit 7'],
	},
];

/**
 * The main job, for a newcomer: Debian programs in the guest kernel, with proof of where they ran, how their calls were answered and how long it took.
 * `rootfs` is a tree with bash, coreutils, python3 and busybox. Returns the exit status.
 */
export async function demo(rootfs: string): Promise<number> {
	const bundle = mkdtempSync(join(tmpdir(), 'isopod-demo-'));
	const forget = (): void => rmSync(bundle, { recursive: true, force: true });
	process.once('exit', forget);
	say(
		`\nThe host: Linux ${release()}, ${processes()} processes, ${readFileSync('/proc/self/mounts', 'latin1').trim().split('\n').length} mounts.`,
	);
	say(
		'Each program below runs in a container of its own, in a guest kernel written in TypeScript; the host answers only calls that name nothing.',
	);
	let failures = 0;
	let current: string | undefined;
	let isStopped = false;
	// `run` hands signals on to the container, whose init may ignore them: a user who wants the end gets it.
	const stop = (): void => {
		isStopped = true;
		// It is only being made, or has just ended: this is then the last container.
		if (current !== undefined) deleteContainer(STATE_ROOT, current, true).catch(() => {});
	};
	process.on('SIGINT', stop).on('SIGTERM', stop);
	for (const [index, { title, args }] of ACTS.entries()) {
		say(`\n[${index + 1}/${ACTS.length}] ${title}`);
		writeFileSync(join(bundle, 'config.json'), JSON.stringify(configFor(rootfs, args)));
		const start = performance.now();
		current = `demo-${process.pid}-${index}`;
		const status = await run({ root: STATE_ROOT, id: current, bundle, stats: true, handler: 'isopod' }).catch((error: unknown) => {
			// A container that is deleted while it is being made fails to start: that is the end that was asked for.
			if (!isStopped) throw error;
			return STOPPED;
		});
		current = undefined;
		if (isStopped) {
			say('stopped');
			return STOPPED;
		}
		say(`exit status ${status}, ${Math.round(performance.now() - start)} ms from create to delete`);
		if (status !== (args.includes('/bin/busybox') ? 7 : 0)) failures++;
	}
	say(
		'\ntrapped: answered by the guest kernel; continued: checked by it, then run by the host; native: run by the host at once, counted by nobody.',
	);
	if (failures > 0) say(`${failures} of ${ACTS.length} containers did not end as they should.`);
	else say('Run one of your own:  isopod spec; isopod run NAME   (README.md, "A container of your own")');
	return failures === 0 ? 0 : 1;
}

function configFor(rootfs: string, args: readonly string[]): object {
	const config = defaultConfig() as { process: object; mounts: object[] };
	return {
		...config,
		process: { ...config.process, args, env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/tmp', 'LC_ALL=C.UTF-8'] },
		root: { path: rootfs, readonly: true },
		mounts: [...config.mounts, { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777', 'size=64m'] }],
	};
}

function processes(): number {
	return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;
}

function say(line: string): void {
	process.stdout.write(`${line}\n`);
}
