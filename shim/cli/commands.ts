import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { type Config, ConfigError, parseConfig, parseProcess } from '../../runtime/oci/config.js';
import { Section } from '../../runtime/oci/section.js';
import { type ContainerRecord, StateStore } from '../../runtime/oci/state.js';
import { destroyContainer, type GuestExit, GuestSandbox } from '../../runtime/sandbox/guest-sandbox.js';
import { type GuestProcess, guestProcesses } from '../../runtime/sandbox/guests.js';
import { sandboxOf } from '../../runtime/sandbox/pod.js';
import type { ContainerSpec, Handler } from '../../runtime/sandbox/sandbox.js';
import { waitForEnd } from '../../runtime/sandbox/sandbox-process.js';
import { isKeeper, startKeeper, tellStarted } from './keeper.js';
import { defaultConfig } from './spec.js';
import { type AttachedTerminal, ContainerTerminal, checkTerminal, type TerminalSize } from './terminal.js';
import { Trace } from './trace.js';

export interface CreateOptions {
	readonly root: string;
	readonly log?: string | undefined;
	readonly handler: Handler['name'];
	readonly id: string;
	readonly bundle: string;
	readonly pidFile?: string;
	readonly consoleSocket?: string;
	/** A terminal whatever config.json says. */
	readonly tty?: boolean;
}

/** `isopod spec`. */
export function spec(bundle: string): void {
	const file = join(bundle, 'config.json');
	if (existsSync(file)) throw new Error(`File ${file} exists. Remove it first`);
	writeFileSync(file, `${JSON.stringify(defaultConfig(), null, '\t')}\n`, { mode: 0o666 });
}

function readConfig(bundle: string, hasTerminal: boolean): { readonly config: Config; readonly text: string } {
	const file = join(bundle, 'config.json');
	let text: string;
	try {
		text = readFileSync(file, 'utf8');
	} catch (error) {
		throw new Error(`Read ${file}: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
	}
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new ConfigError('the file', `is no JSON: ${error instanceof Error ? error.message : error}`);
	}
	if (hasTerminal && typeof value === 'object' && value !== null) {
		const { process } = value as { process?: object };
		value = { ...value, process: { ...process, terminal: true } };
		text = JSON.stringify(value);
	}
	return { config: parseConfig(value), text };
}

interface Created {
	readonly sandbox: GuestSandbox;
	readonly record: ContainerRecord;
	/** What of the program's terminal is here; null without one, or when its master was handed over. */
	readonly terminal: ContainerTerminal | null;
}

/** `isopod create`: leaves nothing behind when it fails. */
export async function create(options: CreateOptions): Promise<void> {
	const { sandbox } = await createContainer(options, true);
	sandbox.close();
}

async function createContainer(
	{ root, log, handler, id, bundle: folder, pidFile, consoleSocket, tty = false }: CreateOptions,
	isDetached: boolean,
): Promise<Created> {
	const bundle = resolve(folder);
	const { config, text } = readConfig(bundle, tty);
	const hasTerminal = config.process.terminal;
	checkTerminal(isDetached, hasTerminal, consoleSocket);
	const rootfs = isAbsolute(config.root.path) ? config.root.path : join(bundle, config.root.path);
	if (!statSync(rootfs, { throwIfNoEntry: false })?.isDirectory()) throw new ConfigError('root.path', `${rootfs} is no directory`);
	const store = new StateStore(root);
	const terminal = hasTerminal ? ContainerTerminal.open(config.process) : null;
	const onBuilt = (): void => {
		terminal?.closeSlave();
		if (consoleSocket !== undefined) terminal?.sendTo(consoleSocket);
	};
	let sandbox: GuestSandbox | null = null;
	try {
		const spec: ContainerSpec = { id, bundle, rootfs, config, text, stdio: terminal?.stdio ?? [0, 1, 2], onBuilt };
		sandbox = await createIn(store, spec, sandboxOf(config.annotations, id), log, handler);
		const record = store.load(id);
		if (pidFile !== undefined) writePid(pidFile, record.pid);
		if (consoleSocket === undefined) return { sandbox, record, terminal };
		terminal?.close();
		return { sandbox, record, terminal: null };
	} catch (error) {
		terminal?.close();
		await sandbox?.delete(id);
		sandbox?.close();
		throw error;
	}
}

/** Makes a container: the first of a pod, or one that joins the pod's sandbox. */
async function createIn(
	store: StateStore,
	spec: ContainerSpec,
	sandboxId: string,
	log: string | undefined,
	handler: Handler['name'],
): Promise<GuestSandbox> {
	if (sandboxId === spec.id) return GuestSandbox.make(store, spec, log, handler);
	const sandbox = GuestSandbox.open(store, sandboxId);
	try {
		await sandbox.create(spec);
		return sandbox;
	} catch (error) {
		sandbox.close();
		throw error;
	}
}

/** Whoever waits for the file reads a whole number: it appears under its name when it is complete. */
function writePid(file: string, pid: number): void {
	const incomplete = join(dirname(resolve(file)), `.${basename(file)}`);
	writeFileSync(incomplete, `${pid}`);
	renameSync(incomplete, file);
}

/** `isopod start`. */
export async function start(root: string, id: string): Promise<void> {
	const store = new StateStore(root);
	const record = store.load(id);
	if (record.status !== 'created')
		throw new Error(
			record.status === 'running' ? 'cannot start an already running container' : `cannot start a container that has ${record.status}`,
		);
	const sandbox = GuestSandbox.open(store, id);
	try {
		await sandbox.start(id);
	} finally {
		sandbox.close();
	}
}

export interface RunOptions extends CreateOptions {
	readonly detach?: boolean;
	readonly keep?: boolean;
	readonly stats?: boolean;
	/** File for a trace of its calls. */
	readonly trace?: string;
}

/** Signals that `run` passes on to the container, as runc does. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGTSTP'];

/** `isopod run`: the exit status of the container's program. */
export async function run(options: RunOptions): Promise<number> {
	const { id } = options;
	// Those that come before the program runs wait for it: none ends this process between two steps, with half a container left.
	const early: number[] = [];
	let send = (signal: number): void => {
		early.push(signal);
	};
	const forward = (signal: NodeJS.Signals): void => send(constants.signals[signal]);
	for (const signal of FORWARDED) process.on(signal, forward);
	if (options.trace !== undefined && options.detach) throw new Error('--trace goes with a run that waits: use isopod trace');
	let created: Created | null = null;
	let attached: AttachedTerminal | null = null;
	let trace: Trace | null = null;
	let isKept = options.detach ?? false;
	try {
		created = await createContainer(options, options.detach ?? false);
		const { sandbox, terminal } = created;
		attached = terminal?.attach((size) => tellSize(sandbox, id, '', size)) ?? null;
		if (options.trace !== undefined) trace = await Trace.begin(sandbox.store.socket(sandbox.id), { containerId: id }, options.trace);
		const { ended } = await sandbox.start(id);
		send = (signal) => {
			sandbox.signal(id, '', signal, false).catch(() => {});
		};
		for (const signal of early) send(signal);
		if (options.detach) return 0;
		const { status, reason, counts } = await ended;
		if (reason !== undefined) process.stderr.write(`isopod: ${reason}\n`);
		await attached?.detach();
		attached = null;
		await trace?.ended;
		if (options.stats) printStats(counts);
		return status;
	} catch (error) {
		if (created !== null) await created.sandbox.delete(id);
		isKept = true;
		throw error;
	} finally {
		attached?.release();
		for (const signal of FORWARDED) process.off(signal, forward);
		trace?.close();
		if (created !== null && !isKept) {
			const { pid, pidStart, sandboxId } = created.record;
			if (sandboxId === id) await waitForEnd(pid, pidStart);
			if (!options.keep) await created.sandbox.delete(id);
		}
		created?.sandbox.close();
	}
}

/** `run --stats`: how the container's system calls were answered. */
function printStats(counts: GuestExit['counts']): void {
	const missing = (counts?.missing ?? []).map(({ name, count }) => `${name} ${count}`).join(', ');
	process.stderr.write(
		`system calls: ${counts?.trapped ?? 0} trapped, ${counts?.continued ?? 0} continued, ${counts?.lent ?? 0} lent; missing: ${missing || 'none'}\n`,
	);
}

export interface ExecOptions {
	readonly command: readonly string[];
	readonly process?: string;
	readonly cwd?: string;
	readonly env: readonly string[];
	readonly user?: string;
	readonly additionalGids: readonly string[];
	readonly cap: readonly string[];
	readonly newPrivs?: boolean;
	readonly detach?: boolean;
	readonly pidFile?: string;
	readonly tty?: boolean;
	readonly ignorePaused?: boolean;
	readonly consoleSocket?: string;
}

/** `isopod exec`: the exit status of the program. */
export async function exec(root: string, id: string, options: ExecOptions): Promise<number> {
	const store = new StateStore(root);
	const record = store.load(id);
	if (record.status === 'stopped') throw new Error('cannot exec in a stopped container');
	if (record.status === 'paused' && !options.ignorePaused)
		throw new Error('cannot exec in a paused container (use --ignore-paused to override)');
	if (record.status !== 'running' && record.status !== 'paused')
		throw new Error(`cannot exec in a container that is not running: ${record.status}`);
	const text =
		options.process === undefined ? JSON.stringify(execProcess(store.config(id), options)) : readFileSync(options.process, 'utf8');
	const program = parseProcess(new Section(JSON.parse(text), 'process'));
	checkTerminal(options.detach ?? false, program.terminal, options.consoleSocket);
	if (options.detach && !isKeeper()) {
		const keeper = await startKeeper();
		if ('exitCode' in keeper) return keeper.exitCode;
		if (options.pidFile !== undefined) writePid(options.pidFile, keeper.pid);
		return 0;
	}
	let send = (_signal: number): void => {};
	const forward = (signal: NodeJS.Signals): void => send(constants.signals[signal]);
	const sandbox = GuestSandbox.open(store, id);
	let terminal: ContainerTerminal | null = null;
	let attached: AttachedTerminal | null = null;
	try {
		terminal = program.terminal ? ContainerTerminal.open(program, options.consoleSocket === undefined) : null;
		const execId = randomUUID();
		const pid = await sandbox.exec(id, execId, JSON.parse(text) as object, terminal?.stdio ?? [0, 1, 2]);
		terminal?.closeSlave();
		if (options.consoleSocket !== undefined) terminal?.sendTo(options.consoleSocket);
		else attached = terminal?.attach((size) => tellSize(sandbox, id, execId, size)) ?? null;
		if (isKeeper()) tellStarted();
		else if (options.pidFile !== undefined) writePid(options.pidFile, pid);
		send = (signal) => {
			sandbox.signal(id, execId, signal, false).catch(() => {});
		};
		for (const signal of FORWARDED) process.on(signal, forward);
		const { status, reason } = await sandbox.wait(id, execId);
		if (reason !== undefined) process.stderr.write(`isopod: ${reason}\n`);
		else await sandbox.deleteExec(id, execId).catch(() => {});
		await attached?.detach();
		attached = null;
		return status;
	} finally {
		attached?.release();
		terminal?.close();
		for (const signal of FORWARDED) process.off(signal, forward);
		sandbox.close();
	}
}

/** The process of an exec: the container's own, with what the command line says otherwise. */
function execProcess({ process }: { readonly process: Record<string, unknown> }, options: ExecOptions): object {
	const user = { ...(process['user'] as object), ...parseUser(options.user) };
	const additionalGids = options.additionalGids.map((gid) => parseId('--additional-gids', gid));
	const capabilities = { ...(process['capabilities'] as Record<string, string[]>) };
	for (const set of ['bounding', 'effective', 'permitted'])
		capabilities[set] = [...new Set([...(capabilities[set] ?? []), ...options.cap])];
	return {
		...process,
		terminal: options.tty ?? false,
		args: options.command,
		// The last of a name wins, as in runc.
		env: [
			...new Map(
				[...((process['env'] as string[] | undefined) ?? []), ...options.env].map((text) => [text.split('=', 1)[0], text]),
			).values(),
		],
		cwd: options.cwd ?? process['cwd'],
		user: additionalGids.length > 0 ? { ...user, additionalGids } : user,
		capabilities,
		noNewPrivileges: options.newPrivs === false ? true : process['noNewPrivileges'],
	};
}

/** `--user UID[:GID]`. */
function parseUser(text: string | undefined): { uid?: number; gid?: number } {
	if (text === undefined) return {};
	const [uid, gid] = text.split(':', 2) as [string, string | undefined];
	return { uid: parseId('--user', uid), ...(gid === undefined ? {} : { gid: parseId('--user', gid) }) };
}

function parseId(option: string, text: string): number {
	if (!/^\d+$/.test(text)) throw new Error(`${option}: want a number, got ${JSON.stringify(text)}`);
	return Number(text);
}

/** `isopod state`: the state of the runtime specification, with runc's additions. */
export function state(root: string, id: string): void {
	process.stdout.write(`${JSON.stringify({ ...shownState(new StateStore(root).load(id)), owner: '' }, null, 2)}\n`);
}

/** What runc's `state` and `list` tell, in its order. */
function shownState({ ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner }: ContainerRecord): object {
	const shown = { ociVersion, id, pid: status === 'stopped' ? 0 : pid, status, bundle, rootfs, created };
	return { ...shown, ...(Object.keys(annotations).length > 0 ? { annotations } : {}), owner };
}

/** `isopod list`. */
export function list(root: string, { format, quiet }: { readonly format: string; readonly quiet?: boolean }): void {
	const records = new StateStore(root).list();
	if (quiet) {
		for (const { id } of records) process.stdout.write(`${id}\n`);
		return;
	}
	// Without containers runc prints null.
	if (format === 'json') process.stdout.write(`${JSON.stringify(records.length === 0 ? null : records.map(shownState))}\n`);
	else
		printTable(
			['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'],
			records.map(({ id, pid, status, bundle, created, owner }) => [
				id,
				`${status === 'stopped' ? 0 : pid}`,
				status,
				bundle,
				created,
				owner,
			]),
		);
}

/** runc's columns: at least 12 characters, three between two. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
	const widths = header.map((_, i) => Math.max(12, ...[header, ...rows].map((row) => row[i]!.length + 3)));
	for (const row of [header, ...rows]) {
		const cells = row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]!) : cell));
		process.stdout.write(`${cells.join('')}\n`);
	}
}

/** `isopod kill`. */
export async function kill(root: string, id: string, name: string, all: boolean): Promise<void> {
	const store = new StateStore(root);
	const record = store.load(id);
	const signal = signalNumber(name);
	if (record.status === 'stopped') throw new Error('container not running');
	const sandbox = GuestSandbox.open(store, id);
	try {
		await sandbox.signal(id, '', signal, all);
		// As runc: what is frozen doesn't die, but in a machine, whose control groups are of version 2.
		if (record.status === 'paused' && !sandbox.isMachine(id) && signal === constants.signals.SIGKILL) await sandbox.resume(id);
	} finally {
		sandbox.close();
	}
}

function signalNumber(name: string): number {
	const number = /^\d+$/.test(name) ? Number(name) : constants.signals[`SIG${name.replace(/^SIG/i, '').toUpperCase()}` as NodeJS.Signals];
	if (number === undefined || number > 64) throw new Error(`unknown signal ${JSON.stringify(name)}`);
	return number;
}

/** `isopod delete`. */
export async function deleteContainer(root: string, id: string, force: boolean): Promise<void> {
	const store = new StateStore(root);
	let record: ContainerRecord;
	try {
		record = store.load(id);
	} catch (error) {
		if (!force || !(error instanceof Error && error.message.startsWith('container does not exist'))) throw error;
		// A folder without a record, or what native/front left before there was a folder: it has no sandbox process and no control group yet, or no more.
		store.remove(id);
		return;
	}
	// What was made and never started has nothing to lose: as in runc.
	if ((record.status === 'running' || record.status === 'paused') && !force) {
		throw new Error(`cannot delete container ${id} that is not stopped: ${record.status}`);
	}
	await destroyContainer(store, record);
}

/** `isopod ps`: the container's processes, by the host's pids as runc has them. `psOptions` are ps(1)'s own. */
export async function ps(root: string, id: string, format: string, psOptions: readonly string[]): Promise<void> {
	const processes = await containerProcesses(new StateStore(root), id);
	if (format === 'json') {
		process.stdout.write(`${JSON.stringify(processes.map(({ pid }) => pid))}\n`);
		return;
	}
	if (psOptions.length > 0) {
		printHostPs(new Set(processes.map(({ pid }) => `${pid}`)), psOptions);
		return;
	}
	printTable(
		['PID', 'NSPID', 'CMD'],
		processes.map(({ pid, insidePid, command }) => [`${pid}`, `${insidePid}`, command]),
	);
}

async function containerProcesses(store: StateStore, id: string): Promise<GuestProcess[]> {
	const { status, pid } = store.load(id);
	if (status !== 'running' && status !== 'paused') return [];
	const sandbox = GuestSandbox.open(store, id);
	try {
		if (sandbox.isMachine(id)) return await sandbox.machineProcesses(id);
		const own = new Set(await sandbox.processes(id));
		return guestProcesses(pid).filter((process) => own.has(process.pid));
	} finally {
		sandbox.close();
	}
}

/** The lines of ps(1) that are about `pids`, below its header. */
function printHostPs(pids: ReadonlySet<string>, options: readonly string[]): void {
	const result = spawnSync('ps', options, { encoding: 'utf8' });
	if (result.error !== undefined) throw new Error(`Run ps: ${(result.error as NodeJS.ErrnoException).code}`);
	if (result.status !== 0) throw new Error(`Run ps ${options.join(' ')}: ${result.stderr.trim()}`);
	const [header = '', ...lines] = result.stdout.split('\n');
	const column = header.trim().split(/\s+/).indexOf('PID');
	if (column < 0) throw new Error("couldn't find PID field in ps output");
	const ours = lines.filter((line) => pids.has(line.trim().split(/\s+/)[column] ?? ''));
	process.stdout.write(`${[header, ...ours].join('\n')}\n`);
}

/** A program's terminal has a new size; one that has just ended has no use for it. */
function tellSize(sandbox: GuestSandbox, id: string, execId: string, size: TerminalSize): void {
	sandbox.resize(id, execId, size).catch(() => {});
}
