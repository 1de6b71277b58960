import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants, userInfo } from 'node:os';
import { join } from 'node:path';
import type { isopod } from '../../proto/generated/sandbox.js';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { Cgroup } from '../oci/cgroup/cgroup.js';
import { type GroupFiles, oomKills, readStats, type Stats } from '../oci/cgroup/stats.js';
import { type Config, ConfigError, parseConfig, SHARED_NAMESPACES } from '../oci/config.js';
import { type Hooks, runHooks } from '../oci/hooks.js';
import type { Resources } from '../oci/resources.js';
import { type ContainerRecord, processStart, type StateStore } from '../oci/state.js';
import { setNetworkSysctls } from '../oci/sysctl.js';
import { type Answer, SandboxClient, SandboxGone } from './client.js';
import { enterCgroup, freeze, groupPath, helpers, livingGroup, thaw } from './control-group.js';
import { adoptEarly } from './early.js';
import { readExit } from './exit-record.js';
import { exitCode } from './exit-status.js';
import type { GuestProcess } from './guests.js';
import { launchSandbox, openTrees, sealRoot } from './launch.js';
import { refuseHostNamespaces } from './pod.js';
import { unmountRootfs } from './rootfs.js';
import type { ContainerSpec, ContainerStatus, Exit, Handler, Sandbox } from './sandbox.js';
import { killSandbox, waitForEnd } from './sandbox-process.js';
import { withStdio } from './stdio.js';

/** An end, with how the container's system calls were answered until then; null when nobody can tell any more. */
export interface GuestExit extends Exit {
	readonly counts: isopod.sandbox.ICounts | null;
}

/** A stack with the error above it. */
const LAST_WORDS_LINES = 20;

/** A pod in a guest kernel: its sandbox process, with records of its containers in a StateStore. */
export class GuestSandbox implements Sandbox {
	readonly ended: Promise<string>;
	private readonly listeners: ((id: string) => void)[] = [];
	/** Kills for want of memory that were told, by container; those without a control group have no limit. */
	private readonly oomTold = new Map<string, { readonly cgroup: Cgroup; kills: number }>();
	/** Those of a machine's containers, as it has told them. */
	private readonly machineKills = new Map<string, number>();

	private constructor(
		readonly store: StateStore,
		readonly id: string,
		readonly pid: number,
		private readonly connection: SandboxClient | null,
		logPath: string,
	) {
		this.ended = (connection?.gone ?? Promise.resolve()).then(() => lastWords(logPath) || GONE);
	}

	/** Throws SandboxGone when the sandbox process was gone already as the pod was opened. */
	private get client(): SandboxClient {
		if (this.connection === null) throw new SandboxGone(GONE);
		return this.connection;
	}

	/** Starts a sandbox process (or takes the early one) for a pod whose first container is `spec`, and makes that. Its own words go to `log`. */
	static async make(store: StateStore, spec: ContainerSpec, log?: string, handler: Handler['name'] = 'isopod'): Promise<GuestSandbox> {
		const { id, config } = spec;
		for (const type of SHARED_NAMESPACES) {
			const path = config.linux.joined[type];
			if (path !== undefined)
				throw new ConfigError('linux.namespaces', `the ${type} namespace ${path} can be joined by a later container of a pod only`);
		}
		refuseHostNamespaces(config);
		const record = newRecord(spec, id, handler);
		const logPath = log ?? join(store.folder(id), LOG);
		store.create(record, spec.text);
		let sandbox: GuestSandbox | null = null;
		// Whose start is interrupted before it has a container ends by itself.
		let letGo = (): void => {};
		try {
			const canBeEarly = handler === 'isopod' && log === undefined;
			const early = canBeEarly ? adoptEarly(store, id, config.linux.networkNamespace) : null;
			if (early === null) {
				record.idSlot = store.takeSlot(id);
				store.save(record);
				if (handler === 'isopod-vm') {
					// What starts a machine takes some time to load, which pods without one don't spend.
					const { launchMachine } = await import('../vm/launch.js');
					const { release, ...launched } = await launchMachine(store.socket(id), logPath, record.idSlot, config);
					letGo = release;
					Object.assign(record, launched);
				} else {
					const launched = launchSandbox(store.socket(id), logPath, record.idSlot, config.linux.networkNamespace);
					letGo = () => native.close(launched.lifeLine);
					Object.assign(record, { pid: launched.pid, pidStart: launched.pidStart });
				}
			} else {
				Object.assign(record, early);
			}
			store.save(record);
			// A machine's own kernel has them; its monitor is in the host's network namespace.
			if (handler === 'isopod' && Object.keys(config.linux.sysctl).length > 0) applySysctls(config, record.pid);
			sandbox = new GuestSandbox(store, id, record.pid, SandboxClient.connect(store.socket(id)), logPath);
			await sandbox.build(record, spec, '');
			return sandbox;
		} catch (error) {
			sandbox?.close();
			const why = record.pid > 0 ? lastWords(logPath) : '';
			await destroyPod(store, record);
			if (error instanceof Error && why !== '') error.message += `\n${why}`;
			throw error;
		} finally {
			letGo();
		}
	}

	/** The sandbox that the container `id` lives in, or lived in. Throws when there is no such container. */
	static open(store: StateStore, id: string): GuestSandbox {
		const { sandboxId, pid, pidStart } = store.load(id);
		const isAlive = pid > 0 && processStart(pid) === pidStart;
		const client = isAlive ? connectIfThere(store.socket(sandboxId)) : null;
		return new GuestSandbox(store, sandboxId, client === null ? 0 : pid, client, join(store.folder(sandboxId), LOG));
	}

	async create(spec: ContainerSpec): Promise<void> {
		const first = this.store.load(this.id);
		if (first.status !== 'running' && first.status !== 'created')
			throw new Error(`cannot join the sandbox ${this.id}: its first container is ${first.status}`);
		const pidsOf = this.checkTarget(spec.pidsOf) ?? this.checkNamespaces(spec.config, first.pid);
		const { handler, pid, pidStart, treesPid, idSlot } = first;
		const record: ContainerRecord = { ...newRecord(spec, this.id, handler), pid, pidStart, treesPid, idSlot };
		this.store.create(record, spec.text);
		try {
			await this.build(record, spec, pidsOf);
		} catch (error) {
			await this.delete(spec.id);
			throw error;
		}
	}

	/** Throws ConfigError when it is none of the pod's that run. */
	private checkTarget(id: string | undefined): string | undefined {
		if (id === undefined) return undefined;
		const { sandboxId, status } = this.store.load(id);
		if (sandboxId !== this.id || (status !== 'running' && status !== 'paused'))
			throw new ConfigError('linux.namespaces', `the container ${id} is none of this pod that runs`);
		return id;
	}

	/**
	 * A pod's later containers live in its sandbox's namespaces, and in none of another's; their PID namespace may be any other container's of the pod (kubectl
	 * debug's --target): whose, '' for their own. Throws ConfigError.
	 */
	private checkNamespaces({ linux: { joined, networkNamespace } }: Config, sandboxPid: number): string {
		const isOwn = this.isMachine(this.id) ? isMachineNamespace : isNamespaceOf;
		const refuse = (type: string, path: string): never => {
			throw new ConfigError('linux.namespaces', `the ${type} namespace ${path} is none of its own sandbox's (process ${sandboxPid})`);
		};
		for (const [type, path, file] of [
			['ipc', joined.ipc, 'ipc'],
			['uts', joined.uts, 'uts'],
			['network', networkNamespace, 'net'],
		] as const)
			if (path != null && !isOwn(path, sandboxPid, file)) refuse(type, path);
		const { pid: path } = joined;
		if (path === undefined) return '';
		if (isOwn(path, sandboxPid, 'pid')) return this.id;
		const members = this.store
			.list()
			.filter(({ sandboxId, status }) => sandboxId === this.id && (status === 'running' || status === 'paused'));
		return members.find(({ initPid }) => initPid > 0 && isNamespaceOf(path, initPid, 'pid'))?.id ?? refuse('pid', path);
	}

	/** `pidsOf` is the container whose PID namespace it joins, '' for its own. */
	private async build(record: ContainerRecord, spec: ContainerSpec, pidsOf: string): Promise<void> {
		const { client, store } = this;
		const { id, config, text, stdio, onBuilt } = spec;
		const trees = openTrees(config, spec, record.treesPid > 0 ? record.treesPid : record.pid, record.idSlot);
		const exitFile = openSync(store.exitFile(id), 'a', 0o600);
		try {
			await withStdio(stdio, config.process.terminal, (fds, kept) =>
				client.call({ create: { containerId: id, config: text, pidContainerId: pidsOf, keptCount: kept.length } }, [
					...[...trees, ...fds, exitFile],
					...kept,
				]),
			);
			onBuilt?.();
			// A machine's monitor has attached and sealed it.
			if (record.treesPid === 0) sealRoot(config, trees[0]!);
		} finally {
			closeSync(exitFile);
			for (const fd of trees) native.close(fd);
		}
		if (record.cgroupsPath !== null) await enterCgroup(client, record, Cgroup.at(record.cgroupsPath), config.linux.resources);
		for (const point of ['prestart', 'createRuntime', 'createContainer'] as const) runHooks(config.hooks, point, hookState(record));
		record.status = 'created';
		store.save(record);
		if (this.listeners.length > 0) this.watchOom(id);
	}

	/** Start and wait are one request: a program may have ended, and its sandbox process with it, before a second one is read. */
	async start(id: string): Promise<{ readonly pid: number; readonly ended: Promise<GuestExit> }> {
		const record = this.store.load(id);
		const { client } = this;
		this.setOomScore(id, {});
		const { started, ended } = client.start(id, startHookState(this.store, record));
		const { outsidePid } = await started;
		const pid = this.hostPid(outsidePid);
		record.status = 'running';
		if (id !== this.id) Object.assign(record, { initPid: pid, initStart: processStart(pid) });
		this.store.save(record);
		runLateHooks(this.store, record, 'poststart');
		return { pid, ended: this.endOf(id, '', ended) };
	}

	async exec(id: string, execId: string, process: object, stdio: readonly number[]): Promise<number> {
		const { client } = this;
		this.setOomScore(id, process);
		const { outsidePid } = await withStdio(stdio, (process as { terminal?: boolean }).terminal === true, (fds) =>
			client.call({ exec: { containerId: id, execId, process: JSON.stringify(process) } }, fds),
		);
		return this.hostPid(outsidePid);
	}

	async deleteExec(id: string, execId: string): Promise<void> {
		await this.client.call({ delete: { containerId: id, execId } });
	}

	wait(id: string, execId: string): Promise<GuestExit> {
		const answer = this.connection?.call({ wait: { containerId: id, execId } }) ?? Promise.reject(new SandboxGone(GONE));
		return this.endOf(id, execId, answer);
	}

	/** A program's end. A sandbox process that dies takes its guests with it: they were killed, if they had not ended by then. */
	private async endOf(id: string, execId: string, answer: Promise<Answer>): Promise<GuestExit> {
		try {
			const { status, endedAtMs, counts, reason, oomKills: kills } = await answer;
			this.tellOom(id, kills);
			return { status: exitCode(status), atMs: endedAtMs, ...(reason === '' ? {} : { reason }), counts: counts ?? null };
		} catch (error) {
			if (!(error instanceof SandboxGone)) throw error;
			this.tellOom(id);
			const ended = execId === '' ? readExit(this.store.exitFile(id)) : null;
			if (ended !== null) return { status: exitCode(ended.status), atMs: ended.atMs, counts: null };
			return { status: 128 + constants.signals.SIGKILL, atMs: Date.now(), reason: error.message, counts: null };
		}
	}

	async signal(id: string, execId: string, signal: number, all: boolean): Promise<void> {
		await this.client.call({ signal: { containerId: id, execId, signal, all } });
	}

	async resize(id: string, execId: string, { rows, columns }: { readonly rows: number; readonly columns: number }): Promise<void> {
		await this.client.call({ resize: { containerId: id, execId, rows, columns } });
	}

	containers(): readonly string[] {
		return this.store
			.list()
			.filter(({ sandboxId }) => sandboxId === this.id)
			.sort((a, b) => Number(b.id === this.id) - Number(a.id === this.id) || a.created.localeCompare(b.created))
			.map(({ id }) => id);
	}

	async status(id: string): Promise<ContainerStatus> {
		const { status } = this.store.load(id);
		return status === 'creating' ? 'created' : status;
	}

	async processes(id: string): Promise<number[]> {
		const { processes } = await this.client.call({ processes: { containerId: id } });
		return processes.map(({ outsidePid }) => this.hostPid(outsidePid ?? 0)).filter((pid) => pid > 0);
	}

	/** Those of a machine's container: for the host they are its monitor. */
	async machineProcesses(id: string): Promise<GuestProcess[]> {
		const { processes } = await this.client.call({ processes: { containerId: id } });
		return processes.map(({ pid, command }) => ({ pid: this.pid, outsidePid: this.pid, insidePid: pid ?? 0, command: command ?? '?' }));
	}

	async pause(id: string): Promise<void> {
		await freeze(this.client, id, await this.cgroup(id));
	}

	async resume(id: string): Promise<void> {
		await thaw(this.client, id, await this.cgroup(id));
	}

	async update(id: string, resources: Resources): Promise<void> {
		if (this.isMachine(id)) {
			await this.client.call({ update: { containerId: id, resources: JSON.stringify(resources, unlimitedAsText) } });
			return;
		}
		(await this.cgroup(id)).set(resources);
		const { memoryLimitBytes } = resources;
		if (memoryLimitBytes === null) return;
		// It is shown inside.
		const limit = Number.isFinite(memoryLimitBytes) ? { limitBytes: memoryLimitBytes } : {};
		await this.client.call({ setMemoryLimit: { containerId: id, ...limit } });
	}

	async stats(id: string): Promise<Stats> {
		return readStats(await this.groupFiles(id));
	}

	/** What is counted of a container's use: by the host, or by its machine's kernel. */
	async groupFiles(id: string): Promise<GroupFiles> {
		if (!this.isMachine(id)) return this.cgroup(id);
		const { groupFiles } = await this.client.call({ groupFiles: { containerId: id } });
		const files = new Map(groupFiles.map(({ name, text }) => [name, text ?? '']));
		return { version: 2, read: (_, file) => files.get(file) ?? '' };
	}

	isMachine(id: string): boolean {
		return this.store.load(id).handler === 'isopod-vm';
	}

	oomKills(id: string): number {
		if (this.isMachine(id)) return this.machineKills.get(id) ?? 0;
		const path = this.cgroupsPath(id);
		return path === null ? 0 : oomKills(Cgroup.at(path));
	}

	onOom(listener: (id: string) => void): void {
		this.listeners.push(listener);
		if (this.listeners.length > 1 || this.connection === null) return;
		for (const id of this.containers()) this.watchOom(id);
		// The group has run out of memory: whether somebody is killed for it, and counted, comes a little later.
		const look = (id: string, kills: number): void => {
			if (kills > 0) this.tellOom(id, kills);
			else for (const delayMs of OOM_DELAYS_MS) setTimeout(() => this.tellOom(id), delayMs).unref();
		};
		this.connection.watchMemory(look).catch(() => {});
	}

	/** Guests have the score of the helper that makes them: it gets that of the container (or of the exec) that is next, its own where none is asked for. */
	private setOomScore(id: string, process: { readonly oomScoreAdj?: unknown }): void {
		const wanted = process.oomScoreAdj ?? this.store.config(id).process['oomScoreAdj'];
		try {
			const score = wanted === undefined ? readFileSync(`/proc/${this.pid}/oom_score_adj`, 'latin1').trim() : String(wanted);
			for (const pid of helpers(this.pid)) {
				const file = `/proc/${pid}/oom_score_adj`;
				if (readFileSync(file, 'latin1').trim() !== score) writeFileSync(file, score);
			}
		} catch (error) {
			throw HostError.from(`Set process.oomScoreAdj ${wanted}`, error);
		}
	}

	private watchOom(id: string): void {
		const path = this.cgroupsPath(id);
		if (path !== null) this.oomTold.set(id, { cgroup: Cgroup.at(path), kills: 0 });
	}

	/** Tells of kills for want of memory that were not told yet. */
	private tellOom(id: string, machineKills = 0): void {
		if (machineKills > (this.machineKills.get(id) ?? 0)) {
			this.machineKills.set(id, machineKills);
			for (const listener of this.listeners) listener(id);
			return;
		}
		const told = this.oomTold.get(id);
		if (told === undefined) return;
		const kills = oomKills(told.cgroup);
		if (kills <= told.kills) return;
		told.kills = kills;
		for (const listener of this.listeners) listener(id);
	}

	cgroupsPath(id: string): string | null {
		return this.store.load(id).cgroupsPath;
	}

	async delete(id: string): Promise<void> {
		const record = this.store.load(id);
		if (id === this.id) await destroyPod(this.store, record);
		else await destroyMember(this.store, record, this.connection);
		this.oomTold.delete(id);
		this.machineKills.delete(id);
	}

	async shutdown(): Promise<void> {
		const ids = this.containers();
		// Without the pod there is nothing that the others would have to be taken out of.
		for (const id of ids) await this.delete(id);
		// A record may be unreadable after a crash of the host.
		if (!ids.includes(this.id)) this.store.remove(this.id);
		this.close();
	}

	close(): void {
		this.connection?.close();
	}

	/** A living container's control group. */
	cgroup(id: string): Promise<Cgroup> {
		return livingGroup(this.store, this.client, this.store.load(id));
	}

	/** The host's pid of what the sandbox process calls `outsidePid`; 0 when it has ended. */
	private hostPid(outsidePid: number): number {
		const namespace = native.openNamespace(this.pid, 'pid');
		if (namespace < 0) return 0;
		const pid = native.translatePid(namespace, outsidePid, false, false);
		native.close(namespace);
		return Math.max(0, pid);
	}
}

/** JSON has no infinity. */
function unlimitedAsText(_: string, value: unknown): unknown {
	return value === Number.POSITIVE_INFINITY ? 'unlimited' : value;
}

/** The sandbox process's log, in its container's folder. */
const LOG = 'sandbox.log';
const GONE = 'the sandbox process has ended';
/** When the host's count of kills is looked at after a word that memory has run out. An end is told of exactly. */
const OOM_DELAYS_MS = [0, 20, 100, 500, 2000];

/** Null when nobody listens any more. */
function connectIfThere(socket: string): SandboxClient | null {
	try {
		return SandboxClient.connect(socket);
	} catch (error) {
		if (error instanceof HostError && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT')) return null;
		throw error;
	}
}

/** Kills what is left of a container and forgets it, with its pod if it is the first. */
export async function destroyContainer(store: StateStore, record: ContainerRecord): Promise<void> {
	if (record.id === record.sandboxId) {
		await destroyPod(store, record);
		return;
	}
	let client: SandboxClient | null = null;
	try {
		client = processStart(record.pid) === record.pidStart ? SandboxClient.connect(store.socket(record.sandboxId)) : null;
		await destroyMember(store, record, client);
	} finally {
		client?.close();
	}
}

async function destroyPod(store: StateStore, record: ContainerRecord): Promise<void> {
	const { id, pid, pidStart, cgroupsPath } = record;
	if (pid > 0) {
		killSandbox(pid, pidStart);
		// What is frozen doesn't die.
		if (cgroupsPath !== null && Cgroup.at(cgroupsPath).isFrozen()) Cgroup.at(cgroupsPath).freeze(false);
		await waitForEnd(pid, pidStart);
	}
	if (record.handler === 'isopod-vm') await leaveMachineNetwork(store, id);
	forget(store, record, id);
}

async function leaveMachineNetwork(store: StateStore, id: string): Promise<void> {
	let namespace: string | null;
	try {
		namespace = parseConfig(store.config(id)).linux.networkNamespace;
	} catch {
		// Without a config it was joined to none.
		return;
	}
	if (namespace === null) return;
	const { leaveNetwork } = await import('../vm/network.js');
	leaveNetwork(namespace);
}

/** `client` is null when the sandbox process is gone. */
async function destroyMember(store: StateStore, record: ContainerRecord, client: SandboxClient | null): Promise<void> {
	const { id, cgroupsPath } = record;
	if (client !== null) {
		try {
			await endMember(client, id, cgroupsPath);
		} catch (error) {
			if (!(error instanceof SandboxGone)) throw error;
		}
	}
	forget(store, record, id);
}

async function endMember(client: SandboxClient, id: string, cgroupsPath: string | null): Promise<void> {
	const { containers } = await client.call({ containers: {} });
	const found = containers.find((container) => container.id === id);
	// Making it may have failed before the sandbox process knew of it.
	if (found === undefined) return;
	if ((found.status ?? CREATED) === RUNNING) {
		// It may end by itself just now.
		await client.call({ signal: { containerId: id, signal: constants.signals.SIGKILL, all: true } }).catch(() => {});
		if (cgroupsPath !== null && Cgroup.at(cgroupsPath).isFrozen()) await thaw(client, id, Cgroup.at(cgroupsPath));
		await client.call({ wait: { containerId: id } });
	}
	await client.call({ delete: { containerId: id } });
}

/** isopod.sandbox.Container.Status, of which the generated code has only a type here. */
const CREATED = 0;
const RUNNING = 1;

function forget(store: StateStore, record: ContainerRecord, id: string): void {
	if (record.cgroupsPath !== null) Cgroup.at(record.cgroupsPath).remove();
	if (record.hasRootfsMounts) unmountRootfs(record.rootfs);
	if (record.status !== 'creating') runLateHooks(store, { ...record, status: 'stopped', pid: 0 }, 'poststop');
	store.remove(id);
}

function newRecord(
	{ id, bundle, rootfs, rootfsMounts = [], config }: ContainerSpec,
	sandboxId: string,
	handler: Handler['name'],
): ContainerRecord {
	return {
		ociVersion: config.ociVersion,
		id,
		sandboxId,
		handler,
		bundle,
		rootfs,
		hasRootfsMounts: rootfsMounts.length > 0,
		created: new Date().toISOString(),
		owner: userInfo().username,
		annotations: config.annotations,
		status: 'creating',
		pid: 0,
		pidStart: '',
		treesPid: 0,
		initPid: 0,
		initStart: '',
		idSlot: -1,
		cgroupsPath: groupPath(config, id),
	};
}

/** Is `path`, that a config.json names, the namespace `file` of the process `pid`? Throws ConfigError when it is none at all. */
function isNamespaceOf(path: string, pid: number, file: string): boolean {
	const theirs = statSync(path, { throwIfNoEntry: false });
	if (theirs === undefined) throw new ConfigError('linux.namespaces', `there is no namespace ${path}`);
	const own = statSync(`/proc/${pid}/ns/${file}`, { throwIfNoEntry: false });
	return own !== undefined && theirs.ino === own.ino && theirs.dev === own.dev;
}

/**
 * Does `path` stand for a namespace of the machine whose monitor is the process `pid`? Those of the host that the monitor is in are none of a pod's, but for a
 * network namespace that is not this process's own.
 */
function isMachineNamespace(path: string, pid: number, file: string): boolean {
	if (path === `/proc/${pid}/ns/${file}`) return true;
	return file === 'net' && isNamespaceOf(path, pid, file) && !isNamespaceOf(path, process.pid, file);
}

/** What a hook reads: the state of the runtime specification. */
function hookState({ ociVersion, id, status, pid, bundle, annotations }: ContainerRecord): object {
	return { ociVersion, id, status, pid, bundle, annotations };
}

/** The state that startContainer hooks read, inside; '' without any. */
function startHookState(store: StateStore, record: ContainerRecord): string {
	const { hooks } = parseConfig(store.config(record.id));
	return hooks.startContainer.length === 0 ? '' : JSON.stringify({ ...hookState(record), status: 'created' });
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

/** What a sandbox process wrote before it ended, for the user who will not find its log any more. */
function lastWords(file: string): string {
	try {
		return readFileSync(file, 'utf8').trim().split('\n').slice(-LAST_WORDS_LINES).join('\n');
	} catch {
		return '';
	}
}
