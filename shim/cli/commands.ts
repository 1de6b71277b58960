import { spawnSync } from 'node:child_process';
import { existsSync, fstatSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { constants, userInfo } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { HostError } from '../../runtime/host-error.js';
import { native } from '../../runtime/native.js';
import { Cgroup } from '../../runtime/oci/cgroup/cgroup.js';
import { type Config, ConfigError, parseConfig, parseProcess } from '../../runtime/oci/config.js';
import { type Hooks, runHooks } from '../../runtime/oci/hooks.js';
import { hasResources } from '../../runtime/oci/resources.js';
import { Section } from '../../runtime/oci/section.js';
import { type ContainerRecord, processStart, StateStore } from '../../runtime/oci/state.js';
import { setNetworkSysctls } from '../../runtime/oci/sysctl.js';
import { type Answer, SandboxClient, SandboxGone } from '../../runtime/sandbox/client.js';
import { adoptEarly } from '../../runtime/sandbox/early.js';
import { guestProcesses, hostPid } from '../../runtime/sandbox/guests.js';
import { launchSandbox, openTrees, sealRoot } from '../../runtime/sandbox/launch.js';
import { isKeeper, startKeeper, tellStarted } from './keeper.js';
import { defaultGroupPath, enterCgroup, helpers, resume } from './resources.js';
import { defaultConfig } from './spec.js';
import { type AttachedTerminal, ContainerTerminal, checkTerminal } from './terminal.js';
import { Trace } from './trace.js';
import { exitCode, waitForEnd } from './wait.js';

export interface CreateOptions {
	readonly root: string;
	readonly log?: string | undefined;
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
	readonly store: StateStore;
	readonly record: ContainerRecord;
	readonly client: SandboxClient;
	/** What of the program's terminal is here; null without one, or when its master was handed over. */
	readonly terminal: ContainerTerminal | null;
}

/** `isopod create`: leaves nothing behind when it fails. */
export async function create(options: CreateOptions): Promise<void> {
	const { client } = await createContainer(options, true);
	client.close();
}

async function createContainer(
	{ root, log, id, bundle: folder, pidFile, consoleSocket, tty = false }: CreateOptions,
	isDetached: boolean,
): Promise<Created> {
	const bundle = resolve(folder);
	const { config, text } = readConfig(bundle, tty);
	const hasTerminal = config.process.terminal;
	checkTerminal(isDetached, hasTerminal, consoleSocket);
	const rootfs = isAbsolute(config.root.path) ? config.root.path : join(bundle, config.root.path);
	if (!statSync(rootfs, { throwIfNoEntry: false })?.isDirectory()) throw new ConfigError('root.path', `${rootfs} is no directory`);
	const store = new StateStore(root);
	const record: ContainerRecord = {
		ociVersion: config.ociVersion,
		id,
		bundle,
		rootfs,
		created: new Date().toISOString(),
		owner: userInfo().username,
		annotations: config.annotations,
		status: 'creating',
		pid: 0,
		pidStart: '',
		idSlot: -1,
		cgroupsPath: groupPath(config, id),
	};
	store.create(record, text);
	let client: SandboxClient | null = null;
	const fds: number[] = [];
	let terminal: ContainerTerminal | null = null;
	try {
		const early = config.linux.networkNamespace === null && log === undefined ? adoptEarly(store, id) : null;
		if (early === null) {
			Object.assign(record, { idSlot: store.takeSlot(id) });
			store.save(record);
			const logPath = log ?? join(store.folder(id), 'sandbox.log');
			Object.assign(record, launchSandbox(store.socket(id), logPath, record.idSlot, config.linux.networkNamespace));
		} else {
			Object.assign(record, early);
		}
		store.save(record);
		if (Object.keys(config.linux.sysctl).length > 0) applySysctls(config, record.pid);
		fds.push(...openTrees(config, rootfs, bundle, record.pid));
		terminal = hasTerminal ? ContainerTerminal.open(config.process) : null;
		if (terminal === null) for (const fd of [0, 1, 2]) fds.push(stdioDescriptor(fd));
		client = SandboxClient.connect(store.socket(id));
		await client.call({ create: { containerId: id, config: text } }, terminal === null ? fds : [...fds, ...terminal.stdio]);
		terminal?.closeSlave();
		if (consoleSocket !== undefined) terminal?.sendTo(consoleSocket);
		sealRoot(config, fds[0]!);
		if (record.cgroupsPath !== null) await enterCgroup(client, record, Cgroup.at(record.cgroupsPath), config.linux.resources);
		setOomScore(record.pid, config.process.oomScoreAdj);
		for (const point of ['prestart', 'createRuntime', 'createContainer'] as const) runHooks(config.hooks, point, hookState(record));
		record.status = 'created';
		store.save(record);
		if (pidFile !== undefined) writePid(pidFile, record.pid);
		if (consoleSocket === undefined) return { store, record, client, terminal };
		terminal?.close();
		return { store, record, client, terminal: null };
	} catch (error) {
		client?.close();
		terminal?.close();
		const why = record.pid > 0 ? lastWords(log ?? join(store.folder(id), 'sandbox.log')) : '';
		destroy(store, record);
		if (error instanceof Error && why !== '') error.message += `\n${why}`;
		throw error;
	} finally {
		for (const fd of fds) native.close(fd);
	}
}

/** What a hook reads: the state of the runtime specification. */
function hookState({ ociVersion, id, status, pid, bundle, annotations }: ContainerRecord): object {
	return { ociVersion, id, status, pid, bundle, annotations };
}

/** Runs hooks whose failure changes nothing any more: it is told. */
function runLateHooks(store: StateStore, record: ContainerRecord, point: 'poststart' | 'poststop'): void {
	let hooks: Hooks;
	try {
		({ hooks } = parseConfig(store.config(record.id)));
	} catch {
		// Without a config there are no hooks.
		return;
	}
	try {
		runHooks(hooks, point, hookState(record));
	} catch (error) {
		process.stderr.write(`isopod: ${error instanceof Error ? error.message : String(error)}\n`);
	}
}

/** The sandbox process's network namespace is the container's. */
function applySysctls(config: Config, sandboxPid: number): void {
	const fd = native.openNamespace(sandboxPid, 'net');
	if (fd < 0) throw HostError.errno(`Open the network namespace of the sandbox process ${sandboxPid}`, -fd);
	try {
		setNetworkSysctls(config.linux.sysctl, fd);
	} finally {
		native.close(fd);
	}
}

/** Guests have the score of the helper that makes them. */
function setOomScore(sandboxPid: number, score: number | null): void {
	if (score === null || score === 0) return;
	for (const pid of helpers(sandboxPid)) {
		const file = `/proc/${pid}/oom_score_adj`;
		try {
			writeFileSync(file, `${score}`);
		} catch (error) {
			throw HostError.from(`Write process.oomScoreAdj ${score} to ${file}`, error);
		}
	}
}

/** A container has a control group of its own when its config names one or sets limits; `pause` and `update` make one for whoever has none. */
function groupPath({ linux }: Config, id: string): string | null {
	if (linux.cgroupsPath !== '') return linux.cgroupsPath;
	return hasResources(linux.resources) ? defaultGroupPath(id) : null;
}

/** Whoever waits for the file reads a whole number: it appears under its name when it is complete. */
function writePid(file: string, pid: number): void {
	const incomplete = join(dirname(resolve(file)), `.${basename(file)}`);
	writeFileSync(incomplete, `${pid}`);
	renameSync(incomplete, file);
}

/** A stack with the error above it. */
const LAST_WORDS_LINES = 20;

/** What a sandbox process wrote before it ended, for the user who will not find its log any more. */
function lastWords(file: string): string {
	try {
		return readFileSync(file, 'utf8').trim().split('\n').slice(-LAST_WORDS_LINES).join('\n');
	} catch {
		return '';
	}
}

const S_IFREG = 0o100000;
const O_NONBLOCK = 0o4000;

/**
 * A descriptor of our own stdio for the container: opened anew where that is possible, so that it can be non-blocking without changing the caller's.
 */
function stdioDescriptor(fd: number): number {
	const mode = fstatSync(fd).mode & 0o170000;
	if (mode === S_IFREG) return native.dup(fd);
	const again = native.reopen(fd, (fd === 0 ? 0 : 1) | O_NONBLOCK);
	if (again >= 0) return again;
	const copy = native.dup(fd);
	native.setNonBlocking(copy, true);
	return copy;
}

/** Kills the sandbox process (its guests die with it) and forgets the container. */
function destroy(store: StateStore, record: ContainerRecord): void {
	const { id, pid, pidStart, cgroupsPath } = record;
	if (pid > 0) {
		killSandbox(pid, pidStart);
		// What is frozen doesn't die.
		if (cgroupsPath !== null && Cgroup.at(cgroupsPath).isFrozen()) Cgroup.at(cgroupsPath).freeze(false);
		waitForEnd(pid, pidStart);
	}
	if (cgroupsPath !== null) Cgroup.at(cgroupsPath).remove();
	if (record.status !== 'creating') runLateHooks(store, { ...record, status: 'stopped', pid: 0 }, 'poststop');
	store.remove(id);
}

function killSandbox(pid: number, pidStart: string): void {
	if (pidStart === '' || processStart(pid) !== pidStart) return;
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended by itself meanwhile.
	}
}

/** `isopod start`. */
export async function start(root: string, id: string): Promise<void> {
	const store = new StateStore(root);
	const record = store.load(id);
	if (record.status !== 'created')
		throw new Error(
			record.status === 'running' ? 'cannot start an already running container' : `cannot start a container that has ${record.status}`,
		);
	const client = SandboxClient.connect(store.socket(id));
	try {
		await client.call({ start: { containerId: id } });
		record.status = 'running';
		store.save(record);
		runLateHooks(store, record, 'poststart');
	} finally {
		client.close();
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
		const { store, record, client, terminal } = created;
		attached = terminal?.attach() ?? null;
		if (options.trace !== undefined) trace = await Trace.begin(store.socket(id), { containerId: id }, options.trace);
		const { started, ended } = client.start(id);
		await started;
		record.status = 'running';
		store.save(record);
		runLateHooks(store, record, 'poststart');
		send = (signal) => {
			client.call({ signal: { containerId: id, signal } }).catch(() => {});
		};
		for (const signal of early) send(signal);
		if (options.detach) return 0;
		const { status, counts } = await orKilled(ended);
		await attached?.detach();
		attached = null;
		await trace?.ended;
		if (options.stats) printStats(counts);
		return exitCode(status);
	} catch (error) {
		if (created !== null) destroy(created.store, created.record);
		isKept = true;
		throw error;
	} finally {
		attached?.release();
		for (const signal of FORWARDED) process.off(signal, forward);
		trace?.close();
		created?.client.close();
		if (created !== null && !isKept) {
			waitForEnd(created.record.pid, created.record.pidStart);
			if (!options.keep) destroy(created.store, created.record);
		}
	}
}

/** A program's wait status. A sandbox process that dies takes its guests with it: they were killed. */
async function orKilled(ended: Promise<Answer>): Promise<Pick<Answer, 'status' | 'counts'>> {
	try {
		return await ended;
	} catch (error) {
		if (!(error instanceof SandboxGone)) throw error;
		process.stderr.write(`isopod: ${error.message}\n`);
		return { status: constants.signals.SIGKILL };
	}
}

/** `run --stats`: how the container's system calls were answered. */
function printStats(counts: Answer['counts']): void {
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
	const client = SandboxClient.connect(store.socket(id));
	const stdio = program.terminal ? [] : [0, 1, 2].map(stdioDescriptor);
	let terminal: ContainerTerminal | null = null;
	let attached: AttachedTerminal | null = null;
	try {
		terminal = program.terminal ? ContainerTerminal.open(program) : null;
		const { execId, outsidePid } = await client.call({ exec: { containerId: id, process: text } }, terminal?.stdio ?? stdio);
		terminal?.closeSlave();
		if (options.consoleSocket !== undefined) terminal?.sendTo(options.consoleSocket);
		else attached = terminal?.attach() ?? null;
		if (isKeeper()) tellStarted();
		else if (options.pidFile !== undefined) writePid(options.pidFile, hostPid(record.pid, outsidePid));
		send = (signal) => {
			client.call({ signal: { containerId: id, execId, signal } }).catch(() => {});
		};
		for (const signal of FORWARDED) process.on(signal, forward);
		const { status } = await orKilled(client.call({ wait: { containerId: id, execId } }));
		await attached?.detach();
		attached = null;
		return exitCode(status);
	} finally {
		attached?.release();
		terminal?.close();
		for (const signal of FORWARDED) process.off(signal, forward);
		for (const fd of stdio) native.close(fd);
		client.close();
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
	if (record.status !== 'running' && record.status !== 'paused') {
		// There is no program yet that could handle it: it does what it does by default.
		if (!HARMLESS.has(signal)) killSandbox(record.pid, record.pidStart);
		return;
	}
	const client = SandboxClient.connect(store.socket(id));
	try {
		await client.call({ signal: { containerId: id, signal, all } });
		// As runc: what is frozen doesn't die.
		if (record.status === 'paused' && signal === constants.signals.SIGKILL) await resume(root, id);
	} finally {
		client.close();
	}
}

/** Signals that end no process, and 0. */
const HARMLESS: ReadonlySet<number> = new Set([
	0,
	...(['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const).map(
		(name) => constants.signals[name],
	),
]);

function signalNumber(name: string): number {
	const number = /^\d+$/.test(name) ? Number(name) : constants.signals[`SIG${name.replace(/^SIG/i, '').toUpperCase()}` as NodeJS.Signals];
	if (number === undefined || number > 64) throw new Error(`unknown signal ${JSON.stringify(name)}`);
	return number;
}

/** `isopod delete`. */
export function deleteContainer(root: string, id: string, force: boolean): void {
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
	destroy(store, record);
}

/** `isopod ps`: the container's processes, by the host's pids as runc has them. `psOptions` are ps(1)'s own. */
export function ps(root: string, id: string, format: string, psOptions: readonly string[]): void {
	const record = new StateStore(root).load(id);
	const processes = record.status === 'running' || record.status === 'paused' ? guestProcesses(record.pid) : [];
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
