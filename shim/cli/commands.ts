import { existsSync, fstatSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { native } from '../../runtime/native.js';
import { type Config, ConfigError, parseConfig, parseProcess } from '../../runtime/oci/config.js';
import { Section } from '../../runtime/oci/section.js';
import { type ContainerRecord, StateStore } from '../../runtime/oci/state.js';
import { SandboxClient } from '../../runtime/sandbox/client.js';
import { launchSandbox, openTrees } from '../../runtime/sandbox/launch.js';
import { defaultConfig } from './spec.js';
import { exitCode, waitForEnd } from './wait.js';

export interface CreateOptions {
	readonly root: string;
	readonly log?: string | undefined;
	readonly id: string;
	readonly bundle: string;
	readonly pidFile?: string;
}

/** `isopod spec`. */
export function spec(bundle: string): void {
	const file = join(bundle, 'config.json');
	if (existsSync(file)) throw new Error(`File ${file} exists. Remove it first`);
	writeFileSync(file, `${JSON.stringify(defaultConfig(), null, '\t')}\n`, { mode: 0o666 });
}

function readConfig(bundle: string): { readonly config: Config; readonly text: string } {
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
	return { config: parseConfig(value), text };
}

interface Created {
	readonly store: StateStore;
	readonly record: ContainerRecord;
	readonly client: SandboxClient;
}

/** `isopod create`: leaves nothing behind when it fails. */
export async function create(options: CreateOptions): Promise<void> {
	const { client } = await createContainer(options);
	client.close();
}

async function createContainer({ root, log, id, bundle: folder, pidFile }: CreateOptions): Promise<Created> {
	const bundle = resolve(folder);
	const { config, text } = readConfig(bundle);
	const rootfs = isAbsolute(config.root.path) ? config.root.path : join(bundle, config.root.path);
	if (!existsSync(rootfs)) throw new ConfigError('root.path', `${rootfs} does not exist`);
	const store = new StateStore(root);
	const record: ContainerRecord = {
		ociVersion: config.ociVersion,
		id,
		bundle,
		rootfs,
		created: new Date().toISOString(),
		owner: '',
		annotations: config.annotations,
		status: 'creating',
		pid: 0,
		pidStart: '',
		idSlot: -1,
	};
	store.create(record);
	let client: SandboxClient | null = null;
	try {
		const placed = { ...record, idSlot: store.takeSlot() };
		store.save(placed);
		Object.assign(record, placed);
		const launched = launchSandbox(
			store.socket(id),
			log ?? join(store.folder(id), 'sandbox.log'),
			record.idSlot,
			config.linux.networkNamespace,
		);
		Object.assign(record, launched);
		store.save(record);
		const trees = openTrees(config, rootfs, record.pid);
		const stdio = [0, 1, 2].map(stdioDescriptor);
		client = SandboxClient.connect(store.socket(id));
		await client.call({ create: { containerId: id, config: text } }, [...trees, ...stdio]);
		for (const fd of [...trees, ...stdio]) native.close(fd);
		record.status = 'created';
		store.save(record);
		if (pidFile !== undefined) writeFileSync(pidFile, `${record.pid}`);
		return { store, record, client };
	} catch (error) {
		client?.close();
		const why = record.pid > 0 ? lastWords(log ?? join(store.folder(id), 'sandbox.log')) : '';
		destroy(store, record);
		if (error instanceof Error && why !== '') error.message += `\n${why}`;
		throw error;
	}
}

/** What a sandbox process wrote before it ended, for the user who will not find its log any more. */
function lastWords(file: string): string {
	try {
		return readFileSync(file, 'utf8').trim().split('\n').slice(-5).join('\n');
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
	if (record.pid > 0 && store.load(record.id).status !== 'stopped') {
		try {
			process.kill(record.pid, 'SIGKILL');
		} catch {
			// It ended by itself meanwhile.
		}
	}
	if (record.pid > 0) waitForEnd(record.pid, record.pidStart);
	store.remove(record);
}

/** `isopod start`. */
export async function start(root: string, id: string): Promise<void> {
	const store = new StateStore(root);
	const record = store.load(id);
	if (record.status !== 'created')
		throw new Error(`cannot start a container that has ${record.status === 'running' ? 'already been started' : record.status}`);
	const client = SandboxClient.connect(store.socket(id));
	try {
		await client.call({ start: { containerId: id } });
		record.status = 'running';
		store.save(record);
	} finally {
		client.close();
	}
}

export interface RunOptions extends CreateOptions {
	readonly detach?: boolean;
	readonly keep?: boolean;
	readonly stats?: boolean;
}

/** Signals that `run` passes on to the container, as runc does. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGTSTP'];

/** `isopod run`: the exit status of the container's program. */
export async function run(options: RunOptions): Promise<number> {
	const { store, record, client } = await createContainer(options);
	const { id } = record;
	const forward = (signal: NodeJS.Signals): void => {
		client.call({ signal: { containerId: id, signal: constants.signals[signal] } }).catch(() => {});
	};
	try {
		for (const signal of FORWARDED) process.on(signal, forward);
		await client.call({ start: { containerId: id } });
		record.status = 'running';
		store.save(record);
		if (options.detach) return 0;
		const ended = client.call({ wait: { containerId: id } });
		const { status } = await ended;
		return exitCode(status);
	} finally {
		for (const signal of FORWARDED) process.off(signal, forward);
		client.close();
		if (!options.detach) {
			waitForEnd(record.pid, record.pidStart);
			if (!options.keep) destroy(store, record);
		}
	}
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
}

/** `isopod exec`: the exit status of the program. */
export async function exec(root: string, id: string, options: ExecOptions): Promise<number> {
	const store = new StateStore(root);
	const record = store.load(id);
	if (record.status === 'stopped') throw new Error(`cannot exec in a stopped container: ${id}`);
	const text = options.process === undefined ? JSON.stringify(execProcess(record, options)) : readFileSync(options.process, 'utf8');
	parseProcess(new Section(JSON.parse(text), 'process'));
	const client = SandboxClient.connect(store.socket(id));
	const stdio = [0, 1, 2].map(stdioDescriptor);
	try {
		const { execId } = await client.call({ exec: { containerId: id, process: text } }, stdio);
		if (options.detach) return 0;
		const { status } = await client.call({ wait: { containerId: id, execId } });
		return exitCode(status);
	} finally {
		for (const fd of stdio) native.close(fd);
		client.close();
	}
}

/** The process of an exec: the container's own, with what the command line says otherwise. */
function execProcess(record: ContainerRecord, options: ExecOptions): object {
	const { process } = JSON.parse(readFileSync(join(record.bundle, 'config.json'), 'utf8')) as { process: Record<string, unknown> };
	const [uid, gid] = (options.user ?? '').split(':');
	const user = { ...(process['user'] as object), ...(uid ? { uid: Number(uid) } : {}), ...(gid ? { gid: Number(gid) } : {}) };
	const additionalGids = options.additionalGids.map(Number);
	const capabilities = { ...(process['capabilities'] as Record<string, string[]>) };
	for (const set of ['bounding', 'effective', 'permitted'])
		capabilities[set] = [...new Set([...(capabilities[set] ?? []), ...options.cap])];
	return {
		...process,
		terminal: false,
		args: options.command,
		env: [...(process['env'] as string[]), ...options.env],
		cwd: options.cwd ?? process['cwd'],
		user: additionalGids.length > 0 ? { ...user, additionalGids } : user,
		capabilities,
		noNewPrivileges: options.newPrivs === false ? true : process['noNewPrivileges'],
	};
}

/** `isopod state`: the state of the runtime specification, with runc's additions. */
export function state(root: string, id: string): void {
	const { ociVersion, bundle, rootfs, created, owner, annotations, status, pid } = new StateStore(root).load(id);
	const shown = { ociVersion, id, pid: status === 'stopped' ? 0 : pid, status, bundle, rootfs, created, annotations, owner };
	process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
}

/** `isopod list`. */
export function list(root: string, { format, quiet }: { readonly format: string; readonly quiet?: boolean }): void {
	const records = new StateStore(root).list();
	if (quiet) {
		for (const { id } of records) process.stdout.write(`${id}\n`);
		return;
	}
	const rows = records.map(({ ociVersion, id, pid, status, bundle, rootfs, created, owner }) => ({
		ociVersion,
		id,
		pid: status === 'stopped' ? 0 : pid,
		status,
		bundle,
		rootfs,
		created,
		owner,
	}));
	if (format === 'json') process.stdout.write(`${JSON.stringify(rows)}\n`);
	else
		printTable(
			['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'],
			rows.map((row) => [row.id, `${row.pid}`, row.status, row.bundle, row.created, row.owner]),
		);
}

function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
	const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
	for (const row of [header, ...rows])
		process.stdout.write(
			`${row
				.map((cell, i) => cell.padEnd(widths[i]! + 2))
				.join('')
				.trimEnd()}\n`,
		);
}

/** `isopod kill`. */
export async function kill(root: string, id: string, name: string, all: boolean): Promise<void> {
	const signal = signalNumber(name);
	const store = new StateStore(root);
	const record = store.load(id);
	if (record.status === 'stopped') throw new Error('container not running');
	if (record.status === 'created' && signal === constants.signals.SIGKILL) {
		process.kill(record.pid, 'SIGKILL');
		return;
	}
	const client = SandboxClient.connect(store.socket(id));
	try {
		await client.call({ signal: { containerId: id, signal, all } });
	} finally {
		client.close();
	}
}

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
		if (force && error instanceof Error && error.message.startsWith('container does not exist')) return;
		throw error;
	}
	if (record.status !== 'stopped' && !force && record.status !== 'creating') {
		throw new Error(`cannot delete container ${id} that is not stopped: ${record.status}`);
	}
	destroy(store, record);
}

/** `isopod ps`: guests as the host sees them would say little; as the container sees them. */
export async function ps(root: string, id: string, format: string): Promise<void> {
	const store = new StateStore(root);
	if (store.load(id).status === 'stopped') throw new Error('container not running');
	const client = SandboxClient.connect(store.socket(id));
	try {
		const { processes } = await client.call({ processes: { containerId: id } });
		if (format === 'json') process.stdout.write(`${JSON.stringify(processes.map(({ pid }) => pid))}\n`);
		else
			printTable(
				['PID', 'CMD'],
				processes.map(({ pid, command }) => [`${pid}`, command ?? '']),
			);
	} finally {
		client.close();
	}
}
