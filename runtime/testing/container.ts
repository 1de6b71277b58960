// Containers for tests: one call runs a program in the guest kernel and leaves nothing behind.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root, wherever the compiled test lies below it. */
export const checkoutRoot = findCheckoutRoot(dirname(fileURLToPath(import.meta.url)));

const command = join(checkoutRoot, 'dist/isopod.js');
let containerCount = 0;

/** What docker gives a container's root by default, less what the guest kernel's network would need. */
export const defaultCapabilities: readonly string[] = [
	'CAP_CHOWN',
	'CAP_DAC_OVERRIDE',
	'CAP_FOWNER',
	'CAP_FSETID',
	'CAP_KILL',
	'CAP_SETGID',
	'CAP_SETUID',
	'CAP_SETPCAP',
	'CAP_SYS_CHROOT',
];

/** An entry of config.json's `mounts`. */
export interface ContainerMount {
	readonly destination: string;
	readonly type: string;
	readonly source: string;
	readonly options?: readonly string[];
}

/** What to run. */
export interface ContainerOptions {
	/** The root file system's folder on the host: a tree of `.isopod/rootfs`, or a copy of one. */
	readonly root: string;
	/** Whether the root is mounted read-only. The shared trees must be. */
	readonly isReadonly: boolean;
	/** The program's argv. */
	readonly args: readonly string[];
	readonly env?: readonly string[];
	readonly cwd?: string;
	/** Mounts beside those of `isopod spec`. */
	readonly mounts?: readonly ContainerMount[];
	/** The first process's capabilities; `defaultCapabilities` without it. */
	readonly capabilities?: readonly string[];
	/** Whether set-user-id programs count, which they don't after `isopod spec`. */
	readonly isSetIdAllowed?: boolean;
	/** The hard and soft RLIMIT_NOFILE. */
	readonly descriptorLimit?: number;
	readonly annotations?: Readonly<Record<string, string>>;
	/** Path of the network namespace to join; a new one without it. */
	readonly networkNamespace?: string;
	readonly stdin?: Buffer;
	/** When the container is killed, in milliseconds. */
	readonly timeoutMs: number;
}

/** How a container ended. */
export interface ContainerResult {
	/** The exit status of `isopod run`, or undefined when it was killed. */
	readonly status: number | undefined;
	readonly stdout: Buffer;
	readonly stderr: Buffer;
	/** The sandbox process's log, for a failing test to show. */
	readonly log: string;
	readonly hasTimedOut: boolean;
}

interface SpecFile {
	root: { path: string; readonly: boolean };
	process: {
		args: readonly string[];
		env: readonly string[];
		cwd: string;
		capabilities: Record<string, readonly string[]>;
		noNewPrivileges: boolean;
		rlimits: { type: string; hard: number; soft: number }[];
	};
	mounts: ContainerMount[];
	linux: { namespaces: { type: string; path?: string }[] };
	annotations?: Readonly<Record<string, string>>;
}

/** A tree of scripts/packages.json. */
export type TreeName = 'base' | 'full' | 'python' | 'stress';

/** The path of a tree of `.isopod/rootfs`. */
export function rootfsPath(name: TreeName): string {
	return join(checkoutRoot, '.isopod/rootfs', name);
}

/** Runs one container to its end and removes it, its bundle and its log. */
export async function runContainer(options: ContainerOptions): Promise<ContainerResult> {
	const bundle = mkdtempSync(join(tmpdir(), 'isopod-test-'));
	const logFile = join(bundle, 'log');
	const id = `test-${process.pid}-${++containerCount}`;
	try {
		writeBundle(bundle, options);
		const ended = await runToEnd(['--log', logFile, 'run', '-b', bundle, id], options);
		return { ...ended, log: existsSync(logFile) ? readFileSync(logFile, 'utf8') : '' };
	} finally {
		// A container that ended by itself is gone; this is for one that was killed or whose start failed half-way.
		if (existsSync(join('/run/isopod', id))) spawnSync(process.execPath, [command, 'delete', '--force', id], { stdio: 'ignore' });
		rmSync(bundle, { recursive: true, force: true });
	}
}

function writeBundle(bundle: string, options: ContainerOptions): void {
	mkdirSync(bundle, { recursive: true });
	const made = spawnSync(process.execPath, [command, 'spec', '-b', bundle], { encoding: 'utf8' });
	if (made.status !== 0) throw new Error(`isopod spec failed: ${made.stderr}`);
	const file = join(bundle, 'config.json');
	const spec = JSON.parse(readFileSync(file, 'utf8')) as SpecFile;
	spec.root = { path: options.root, readonly: options.isReadonly };
	spec.process.args = options.args;
	if (options.env) spec.process.env = options.env;
	if (options.cwd) spec.process.cwd = options.cwd;
	const capabilities = options.capabilities ?? defaultCapabilities;
	spec.process.capabilities = { bounding: capabilities, effective: capabilities, permitted: capabilities };
	if (options.isSetIdAllowed) spec.process.noNewPrivileges = false;
	if (options.descriptorLimit) {
		spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', hard: options.descriptorLimit, soft: options.descriptorLimit }];
	}
	const network = spec.linux.namespaces.find(({ type }) => type === 'network');
	if (network !== undefined && options.networkNamespace !== undefined) network.path = options.networkNamespace;
	if (options.annotations) spec.annotations = options.annotations;
	spec.mounts.push(...(options.mounts ?? []));
	writeFileSync(file, JSON.stringify(spec));
}

function runToEnd(args: readonly string[], options: ContainerOptions): Promise<Omit<ContainerResult, 'log'>> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [command, ...args], { stdio: 'pipe' });
		const stdout: Buffer[] = [];
		const stderr: Buffer[] = [];
		let hasTimedOut = false;
		const timer = setTimeout(() => {
			hasTimedOut = true;
			child.kill('SIGKILL');
		}, options.timeoutMs);
		child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
		child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
		child.stdin.on('error', () => {}); // a program may end before it has read its input
		child.stdin.end(options.stdin);
		child.on('error', reject);
		child.on('exit', () => {
			clearTimeout(timer);
			// After a kill the sandbox process may still hold the pipes; it ends with `isopod delete`, which waits for this.
			if (hasTimedOut) setTimeout(() => child.stdout.destroy(), 1000);
			if (hasTimedOut) setTimeout(() => child.stderr.destroy(), 1000);
		});
		child.on('close', (code) => {
			clearTimeout(timer);
			resolve({ status: code ?? undefined, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), hasTimedOut });
		});
	});
}

function findCheckoutRoot(start: string): string {
	let folder = start;
	while (!existsSync(join(folder, 'package.json')) || !existsSync(join(folder, 'runtime'))) {
		if (dirname(folder) === folder) throw new Error(`no checkout holds ${start}`);
		folder = dirname(folder);
	}
	return folder;
}
