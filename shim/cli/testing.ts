import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { defaultConfig } from './spec.js';

export const PROGRAM = resolve(import.meta.dirname, '../../isopod.js');
const PACKAGE = resolve(import.meta.dirname, '../../..');
const APPLETS = 'sh true false cat echo sleep id kill ls head pwd hostname env mount touch grep yes dd wc ps mkdir test umask stat printf';
/** Which sandbox the containers of tests without a wish of their own are in: files of tests that are for both run once more with the other one. */
export const HANDLER = process.env['ISOPOD_TEST_HANDLER'] ?? 'isopod';
/** A command that takes longer has failed. */
const LIMIT_MS = 30_000;

export interface Ended {
	/** Exit status; 128 + signal when a signal ended the command. */
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** What tests change of a config.json. */
export interface ConfigChanges {
	readonly process?: Readonly<Record<string, unknown>>;
	readonly root?: Readonly<Record<string, unknown>>;
	readonly linux?: Readonly<Record<string, unknown>>;
	/** Added to the usual ones. */
	readonly mounts?: readonly object[];
	readonly [field: string]: unknown;
}

/** A folder of its own for a test: containers' state, and a bundle with a root file system of busybox alone. */
export class Workbench {
	readonly folder = mkdtempSync(join(tmpdir(), 'isopod-cli-'));
	readonly root = join(this.folder, 'state');
	readonly bundle = join(this.folder, 'bundle');
	readonly rootfs = join(this.bundle, 'rootfs');
	private readonly children: ChildProcess[] = [];

	constructor() {
		for (const folder of ['bin', 'dev', 'proc', 'sys', 'tmp', 'etc']) mkdirSync(join(this.rootfs, folder), { recursive: true });
		const busybox = ['/bin/busybox', join(PACKAGE, '.isopod/rootfs/base/bin/busybox')].find((file) => existsSync(file));
		if (busybox === undefined) throw new Error('Find busybox: install busybox-static');
		copyFileSync(busybox, join(this.rootfs, 'bin/busybox'));
		for (const applet of APPLETS.split(' ')) symlinkSync('busybox', join(this.rootfs, 'bin', applet));
		writeFileSync(join(this.rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
	}

	/** Writes config.json: the usual one, with other arguments and with `changes`. */
	configure(args: readonly string[], changes: ConfigChanges = {}): void {
		const usual = defaultConfig() as { process: object; root: object; linux: object; mounts: object[] };
		const { process, root, linux, mounts, ...rest } = changes;
		const config = {
			...usual,
			...rest,
			process: { ...usual.process, args, ...process },
			root: { ...usual.root, ...root },
			linux: { ...usual.linux, ...linux },
			mounts: [...usual.mounts, ...(mounts ?? [])],
		};
		writeFileSync(join(this.bundle, 'config.json'), JSON.stringify(config));
	}

	private argv(args: readonly string[]): string[] {
		return [PROGRAM, '--root', this.root, ...(args.includes('--handler') ? [] : ['--handler', HANDLER]), ...args];
	}

	/** Runs a command to its end; output goes to files, as a container that goes on would keep pipes open. */
	isopod(args: readonly string[], input: string | Buffer = ''): Ended {
		const result = spawnSync(process.execPath, this.argv(args), { cwd: this.bundle, input, timeout: LIMIT_MS, maxBuffer: 1 << 26 });
		return { code: result.status ?? 255, stdout: result.stdout.toString('latin1'), stderr: result.stderr.toString() };
	}

	/** `isopod` for a command that leaves a container behind: it must not hold the ends of our pipes. */
	leave(args: readonly string[]): number {
		return spawnSync(process.execPath, this.argv(args), { cwd: this.bundle, stdio: 'ignore', timeout: LIMIT_MS }).status ?? 255;
	}

	/** What a command of the host prints. */
	hostRun([command = '', ...args]: readonly string[]): string {
		return spawnSync(command, args, { encoding: 'utf8', timeout: LIMIT_MS }).stdout;
	}

	/** Starts a command. */
	start(args: readonly string[], options: SpawnOptions = {}): ChildProcess {
		const child = spawn(process.execPath, this.argv(args), { cwd: this.bundle, stdio: 'pipe', ...options });
		this.children.push(child);
		setTimeout(() => child.kill('SIGKILL'), LIMIT_MS).unref();
		return child;
	}

	/** Configures and runs one program. */
	run(args: readonly string[], changes: ConfigChanges = {}, input: string | Buffer = ''): Ended {
		this.configure(args, changes);
		return this.isopod(['run', 'test'], input);
	}

	state(id: string): { readonly status: string; readonly pid: number } {
		return JSON.parse(this.isopod(['state', id]).stdout) as { status: string; pid: number };
	}

	/** Nothing of any container is left on disk. */
	get leftovers(): string[] {
		if (!existsSync(this.root)) return [];
		const slots = join(this.root, '.ids');
		return [...readdirSync(this.root).filter((name) => name !== '.ids'), ...(existsSync(slots) ? readdirSync(slots) : [])];
	}

	/** Ends all containers and commands, removes the folder. */
	clean(): void {
		for (const child of this.children) if (child.exitCode === null) child.kill('SIGKILL');
		if (existsSync(this.root)) {
			for (const id of readdirSync(this.root)) if (id !== '.ids') this.isopod(['delete', '--force', id]);
		}
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** How a started command ends, and what it printed. */
export function ending(child: ChildProcess): Promise<Ended> {
	return new Promise((then) => {
		const stdout: Buffer[] = [];
		const stderr: Buffer[] = [];
		child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes));
		child.stderr?.on('data', (bytes: Buffer) => stderr.push(bytes));
		child.on('close', (code) =>
			then({ code: code ?? 128, stdout: Buffer.concat(stdout).toString('latin1'), stderr: Buffer.concat(stderr).toString() }),
		);
	});
}

/** Waits until `child` has printed `text`. */
export function printed(child: ChildProcess, text: string): Promise<void> {
	return new Promise((then, reject) => {
		let all = '';
		child.stdout?.on('data', (bytes: Buffer) => {
			all += bytes.toString('latin1');
			if (all.includes(text)) then();
		});
		child.on('close', () => reject(new Error(`it ended before it printed ${text}; it printed ${all}`)));
	});
}

/** Waits until `isSo()`, ten seconds at most: what the host does in its own time. */
export async function until(isSo: () => boolean): Promise<void> {
	for (let tries = 0; !isSo(); tries++) {
		if (tries > 500) throw new Error(`Wait: it never came to be: ${isSo}`);
		await new Promise((then) => setTimeout(then, 20));
	}
}
