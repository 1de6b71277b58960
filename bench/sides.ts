import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { QEMU } from '../runtime/vm/qemu.js';

/** What a benchmark runs on; `clone` and `boot` are virtual machines, from a template and by their own boot. */
export type SideName = 'host' | 'gvisor' | 'isopod' | 'clone' | 'boot';

/** A run that took longer than this has failed. */
const TIMEOUT_MS = 20_000;

/** How one run ended: what it printed, and how long it took from the start of the command to its end; or why it has no result. */
export type RunResult = { readonly text: string; readonly ms: number } | { readonly failure: string };

/** One of the systems that are compared. */
export interface Side {
	readonly name: SideName;
	/** Runs `/bench ARGS` in the tree, to its end. */
	run(args: readonly string[]): RunResult;
	/** The memory (PSS, bytes) of the processes that an idle container adds beside its own, or why it can't be told. */
	memory(): Promise<number | string>;
}

/**
 * The sides that this machine has, over the tree `rootfs`, whose `/bench` is the program; `scratch` is a folder for bundles and state.
 * The order is the order in which a round goes through them.
 */
export function makeSides(rootfs: string, scratch: string, packageRoot: string): Side[] {
	const host: Side = {
		name: 'host',
		run: (args) => timed('chroot', [rootfs, '/bench', ...args]),
		memory: () => Promise.resolve(0),
	};
	const isopod = join(packageRoot, 'native/build/isopod');
	const runsc = ['/usr/bin/runsc', '/usr/local/bin/runsc'].find((path) => existsSync(path));
	const sides = [host, containerSide('isopod', isopod, ['--root', join(scratch, 'isopod')], rootfs, scratch)];
	const flags = ['--root', join(scratch, 'runsc'), '--network=none', '--platform=ptrace', '--ignore-cgroups'];
	if (existsSync(QEMU))
		for (const [name, template] of [
			['clone', 'true'],
			['boot', 'false'],
		] as const) {
			const machine = ['--root', join(scratch, name), '--handler', 'isopod-vm'];
			sides.push(containerSide(name, isopod, machine, rootfs, scratch, { ...process.env, ISOPOD_VM_TEMPLATE: template }));
		}
	if (runsc !== undefined) sides.push(containerSide('gvisor', runsc, flags, rootfs, scratch));
	return sides;
}

function containerSide(
	name: SideName,
	command: string,
	flags: readonly string[],
	rootfs: string,
	scratch: string,
	env = process.env,
): Side {
	const bundle = join(scratch, `bundle-${name}`);
	mkdirSync(bundle, { recursive: true });
	let count = 0;
	const prepare = (args: readonly string[]): string => {
		writeFileSync(join(bundle, 'config.json'), JSON.stringify(configFor(rootfs, args)));
		return `bench-${process.pid}-${name}-${++count}`;
	};
	const remove = (id: string): void => {
		spawnSync(command, [...flags, 'delete', '--force', id], { stdio: 'ignore', timeout: TIMEOUT_MS });
	};
	return {
		name,
		run: (args) => {
			const id = prepare(args);
			const result = timed(command, [...flags, 'run', '--bundle', bundle, id], env);
			if ('failure' in result) remove(id);
			return result;
		},
		memory: async () => {
			const id = prepare(['idle', '1']);
			const child = spawn(command, [...flags, 'run', '--bundle', bundle, id], { stdio: ['ignore', 'pipe', 'ignore'], env });
			try {
				const isUp = await new Promise<boolean>((resolve) => {
					child.stdout.once('data', () => resolve(true));
					child.once('close', () => resolve(false));
				});
				return isUp && child.pid !== undefined ? sandboxMemory(child.pid) : 'it did not start';
			} finally {
				remove(id);
				child.kill('SIGKILL');
			}
		},
	};
}

function timed(command: string, args: readonly string[], env = process.env): RunResult {
	const start = performance.now();
	const ended = spawnSync(command, args, { encoding: 'utf8', timeout: TIMEOUT_MS, killSignal: 'SIGKILL', env });
	const ms = performance.now() - start;
	if (ended.error === undefined && ended.status === 0) return { text: ended.stdout.trim(), ms };
	const reason = ended.stderr?.trim().split('\n').at(-1) ?? '';
	return { failure: reason || ended.error?.message || `ended with ${ended.status ?? ended.signal}` };
}

/**
 * PSS of all that `commandPid` started but the guest's own processes. The command itself is left out on every side: whoever serves pods
 * doesn't keep one for each.
 */
function sandboxMemory(commandPid: number): number {
	let bytes = 0;
	for (const pid of descendants(commandPid)) {
		try {
			// A guest process of Isopod shows the guest program as its command line.
			const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
			if (commandLine.startsWith('/bench')) continue;
			const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));
			bytes += Number(pss?.[1] ?? 0) * 1024;
		} catch {
			// It has ended in the meantime.
		}
	}
	return bytes;
}

function descendants(ancestor: number): number[] {
	const parents = new Map<number, number>();
	for (const name of readdirSync('/proc')) {
		if (!/^\d+$/.test(name)) continue;
		try {
			const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
			parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
		} catch {
			// It has ended in the meantime.
		}
	}
	const isBelow = (pid: number | undefined): boolean => pid !== undefined && (pid === ancestor || isBelow(parents.get(pid)));
	return [...parents.keys()].filter((pid) => pid !== ancestor && isBelow(parents.get(pid)));
}

function configFor(rootfs: string, args: readonly string[]): object {
	return {
		ociVersion: '1.0.2',
		process: {
			user: { uid: 0, gid: 0 },
			args: ['/bench', ...args],
			env: ['PATH=/'],
			cwd: '/',
			capabilities: { bounding: ['CAP_KILL'], effective: ['CAP_KILL'], permitted: ['CAP_KILL'] },
			noNewPrivileges: true,
		},
		root: { path: rootfs, readonly: true },
		hostname: 'bench',
		mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
		linux: { namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
	};
}

/** Removes what the sides left in their folder. */
export function removeScratch(scratch: string): void {
	rmSync(scratch, { recursive: true, force: true });
}
