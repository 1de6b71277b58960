import { writeSync } from 'node:fs';
import { native } from '../../native.js';
import { type Config, type ProcessConfig, parseProcess } from '../../oci/config.js';
import type { Resources } from '../../oci/resources.js';
import { Section } from '../../oci/section.js';
import { exitText } from '../../sandbox/exit-record.js';
import type { HostLoop } from './host-loop.js';
import type { Machine } from './machine.js';
import { Program, type ProgramEnd } from './program.js';
import { containerSpec, limitSettings, programSpec, rootName } from './program-spec.js';
import { seccompFilter } from './seccomp-filter.js';
import { SharedTrees } from './shared-trees.js';

const SIGKILL = 9;
/** By default they end nobody: SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH. */
const HARMLESS: ReadonlySet<number> = new Set([17, 18, 19, 20, 21, 22, 23, 28]);
const MIB = 1 << 20;
const STREAMS = 3;

/** As isopod.sandbox.Container.Status has them. */
export const CREATED = 0;
export const RUNNING = 1;
export const STOPPED = 2;

interface VmContainer {
	readonly id: string;
	readonly program: Program;
	/** Names of the trees that its bind mounts are of, in their order. */
	readonly volumes: readonly string[];
	/** Its end is written here. */
	readonly exitFd: number;
	/** Readers of its output, so that what it wrote waits for a front end that comes back. Owned. */
	readonly keptFds: readonly number[];
	/** Of its programs: seccomp(2). */
	readonly filter: Uint8Array;
	readonly execs: Map<string, Program>;
	status: number;
	/** How often one of its processes was killed for want of memory. */
	oomKills: number;
}

/** The containers of one machine, as front ends name them. Failures are Errors for the user. */
export class VmContainers {
	private readonly containers = new Map<string, VmContainer>();
	private readonly trees: SharedTrees;
	private nextExec = 1;
	private readonly memoryListeners = new Set<(id: string, kills: number) => boolean>();
	/** Was there ever a container, or the wish for one? */
	hasAny = false;

	constructor(
		private readonly loop: HostLoop,
		private readonly machine: Machine,
		/** Told when the pod's first container has ended. */
		private readonly onFirstEnd: () => void,
	) {
		this.trees = new SharedTrees(machine);
		machine.ended.then((why) => this.lose(why));
		machine.agent.onOutOfMemory = (id, kills) => {
			const container = this.containers.get(id);
			if (container === undefined) return;
			container.oomKills = kills;
			for (const listener of this.memoryListeners) if (!listener(id, kills)) this.memoryListeners.delete(listener);
		};
	}

	list(): { id: string; status: number; execIds: string[] }[] {
		return [...this.containers.values()].map(({ id, status, execs }) => ({ id, status, execIds: [...execs.keys()] }));
	}

	/** Takes the descriptors over: the root tree, one tree per bind mount, stdin, stdout, stderr, the file for its end, and those that are only kept. */
	async create(id: string, config: Config, pidsOf: string, fds: readonly number[]): Promise<void> {
		if (this.containers.has(id)) throw new Error(`there is a container ${JSON.stringify(id)} in this sandbox`);
		this.hasAny = true;
		const binds = config.mounts.filter(({ type }) => type === 'bind');
		const count = 1 + binds.length;
		const trees = fds.slice(0, count);
		const stdio = fds.slice(count, count + STREAMS);
		const [exitFd, ...keptFds] = fds.slice(count + STREAMS);
		if (exitFd === undefined) throw new Error(`want ${count + STREAMS + 1} descriptors, got ${fds.length}`);
		const root = rootName(id);
		let hasRoot = false;
		const volumes: string[] = [];
		const program = new Program(this.loop, this.machine.agent, stdio, config.process.terminal, (end) => this.ended(id, end));
		try {
			this.machine.attach(trees[0]!, root);
			hasRoot = true;
			for (const [i, mount] of binds.entries()) volumes.push(this.trees.take(mount, trees[i + 1]!));
			const filter = seccompFilter(config.linux.seccomp);
			const spec = programSpec(program.number, sized(config.process, stdio[1]!), [true, true, true], filter);
			const [first = ''] = this.containers.keys();
			const utsContainerId = config.linux.joined.uts === undefined ? '' : first;
			await this.machine.agent.call({ create: { ...containerSpec(config, id, volumes, spec), utsContainerId, pidContainerId: pidsOf } });
			// Its mount points are made.
			if (config.root.readonly) this.machine.seal(root);
			this.containers.set(id, { id, program, volumes, exitFd, keptFds, filter, execs: new Map(), status: CREATED, oomKills: 0 });
			program.begin();
		} catch (error) {
			program.abandon();
			await this.machine.agent.call({ remove: { containerId: id } }).catch(() => {});
			if (hasRoot) this.machine.detach(root);
			for (const name of volumes) this.trees.give(name);
			for (const fd of [exitFd, ...keptFds]) native.close(fd);
			throw error;
		} finally {
			for (const fd of trees) native.close(fd);
		}
	}

	async start(id: string): Promise<void> {
		const container = this.get(id);
		if (container.status !== CREATED)
			throw new Error(
				container.status === RUNNING ? 'cannot start an already running container' : 'cannot start a container that has stopped',
			);
		await this.machine.agent.call({ start: { containerId: id } });
		if (container.status === CREATED) container.status = RUNNING;
	}

	/** Its id. */
	async exec(id: string, wantedId: string, process: string, stdio: readonly number[]): Promise<string> {
		const container = this.get(id);
		if (container.status !== RUNNING) throw new Error('cannot exec in a container that is not running');
		const execId = wantedId === '' ? `exec-${this.nextExec++}` : wantedId;
		if (container.execs.has(execId)) throw new Error(`there is an exec ${JSON.stringify(execId)} in this container`);
		const config = parseProcess(new Section(JSON.parse(process), 'process'));
		const program = new Program(this.loop, this.machine.agent, stdio, config.terminal, () => {});
		container.execs.set(execId, program);
		try {
			await this.machine.agent.call({
				exec: { containerId: id, program: programSpec(program.number, sized(config, stdio[1]!), [true, true, true], container.filter) },
			});
			program.begin();
			return execId;
		} catch (error) {
			container.execs.delete(execId);
			program.abandon();
			throw error;
		}
	}

	wait(id: string, execId: string, action: (end: ProgramEnd) => void): void {
		this.program(id, execId).wait(action);
	}

	async signal(id: string, execId: string, signal: number, all: boolean): Promise<void> {
		const container = this.get(id);
		const { number } = this.program(id, execId);
		if (container.status === STOPPED) throw new Error('container not running');
		// There is no program yet that could handle it: it does what it does by default, and most end.
		if (container.status === CREATED && HARMLESS.has(signal)) return;
		const sent = container.status === CREATED && signal !== 0 ? SIGKILL : signal;
		await this.machine.agent.call({ signal: { containerId: id, number, signal: sent, toAll: all } });
		if (container.status === CREATED && sent === SIGKILL) this.ended(id, { status: signal, atMs: Date.now() });
	}

	async resize(id: string, execId: string, rows: number, columns: number): Promise<void> {
		await this.machine.agent.call({ resize: { number: this.program(id, execId).number, rows, columns } });
	}

	async freeze(id: string, isFrozen: boolean): Promise<void> {
		this.get(id);
		await this.machine.agent.call({ freeze: { containerId: id, isFrozen } });
	}

	async processes(id: string): Promise<{ pid: number; command: string }[]> {
		this.get(id);
		const { processes } = await this.machine.agent.call({ processes: { containerId: id } });
		return processes.map(({ pid, command }) => ({ pid: pid ?? 0, command: command ?? '?' }));
	}

	async update(id: string, resources: Resources): Promise<void> {
		this.get(id);
		const { memoryLimitBytes, isCheckedBeforeUpdate } = resources;
		const { memoryMib } = this.machine;
		if (isCheckedBeforeUpdate && memoryLimitBytes !== null) {
			const used = Number((await this.groupFiles(id)).find(({ name }) => name === 'memory.current')?.text);
			// The guest's kernel would kill for it.
			if (used > memoryLimitBytes) throw new Error(`Set the memory limit to ${memoryLimitBytes} bytes: ${used} are in use`);
		}
		if (memoryLimitBytes !== null && Number.isFinite(memoryLimitBytes) && memoryLimitBytes > memoryMib * MIB)
			throw new Error(`set a memory limit of ${memoryLimitBytes} bytes: its virtual machine has ${memoryMib} MiB, and keeps its size`);
		await this.machine.agent.call({ limits: { containerId: id, settings: limitSettings(resources) } });
	}

	/** What the guest's kernel counts of it. */
	async groupFiles(id: string): Promise<{ name: string; text: string }[]> {
		this.get(id);
		const { statistics } = await this.machine.agent.call({ statistics: { containerId: id } });
		return (statistics?.files ?? []).map(({ file, value }) => ({ name: file ?? '', text: value ?? '' }));
	}

	oomKills(id: string): number {
		return this.containers.get(id)?.oomKills ?? 0;
	}

	/** Tells of each kill for want of memory from now on, and of those that there were, as long as `listener` wants to hear (true). */
	watchMemory(listener: (id: string, kills: number) => boolean): void {
		this.memoryListeners.add(listener);
		for (const { id, oomKills } of this.containers.values()) if (oomKills > 0) listener(id, oomKills);
	}

	/** Forgets a container that does not run, or an exec that has ended. */
	async delete(id: string, execId: string): Promise<void> {
		const container = this.get(id);
		if (execId !== '') {
			if (this.program(id, execId).end === null) throw new Error('cannot delete an exec that is running');
			container.execs.get(execId)!.closeStreams();
			container.execs.delete(execId);
			return;
		}
		if (container.status === RUNNING) throw new Error('cannot delete a container that is running');
		await this.machine.agent.call({ remove: { containerId: id } });
		this.machine.detach(rootName(id));
		for (const name of container.volumes) this.trees.give(name);
		container.program.closeStreams();
		for (const exec of container.execs.values()) exec.closeStreams();
		for (const fd of [container.exitFd, ...container.keptFds]) native.close(fd);
		this.containers.delete(id);
	}

	private get(id: string): VmContainer {
		const found = this.containers.get(id);
		if (found === undefined) throw new Error(`no container ${JSON.stringify(id)} in this sandbox`);
		return found;
	}

	private program(id: string, execId: string): Program {
		const container = this.get(id);
		const program = execId === '' ? container.program : container.execs.get(execId);
		if (program === undefined) throw new Error(`no exec ${JSON.stringify(execId)} in this container`);
		return program;
	}

	private ended(id: string, end: ProgramEnd): void {
		const container = this.containers.get(id);
		if (container === undefined || container.status === STOPPED) return;
		container.status = STOPPED;
		writeSync(container.exitFd, exitText(end));
		const [first] = this.containers.keys();
		if (id === first) this.onFirstEnd();
	}

	/** The machine is gone, and all that ran in it. */
	private lose(why: string): void {
		const end = { status: SIGKILL, atMs: Date.now(), reason: `the virtual machine has ended: ${why}` };
		for (const { program, execs } of this.containers.values()) for (const one of [...execs.values(), program]) one.lose(end);
	}
}

/** A terminal has the size of the host's, if that has one. */
function sized(process: ProcessConfig, fd: number): ProcessConfig {
	const size = process.terminal ? Program.sizeOf(fd) : null;
	return size === null || (size.rows === 0 && size.columns === 0)
		? process
		: { ...process, consoleSize: { height: size.rows, width: size.columns } };
}
