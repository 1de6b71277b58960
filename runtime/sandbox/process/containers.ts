import { writeSync } from 'node:fs';
import { isopod } from '../../../proto/generated/sandbox.js';
import { EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from '../../kernel/abi/errno.js';
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY } from '../../kernel/abi/fcntl.js';
import { RLIMIT_CORE, RLIMIT_CPU, RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_STACK } from '../../kernel/abi/resource.js';
import { SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH } from '../../kernel/abi/signal-numbers.js';
import { bounds, setBounds } from '../../kernel/bounds.js';
import type { Container } from '../../kernel/container.js';
import { Timer } from '../../kernel/event/timers.js';
import { HostStream } from '../../kernel/fs/host/host-stream.js';
import type { Kernel } from '../../kernel/kernel.js';
import { compileProfile } from '../../kernel/syscalls/seccomp-profile.js';
import { SYSCALLS } from '../../kernel/syscalls/table.js';
import type { Credentials } from '../../kernel/task/credentials.js';
import { FileSystemContext } from '../../kernel/task/file-system-context.js';
import { registerSpawned } from '../../kernel/task/identify.js';
import { Limits } from '../../kernel/task/limits.js';
import { NATIVE_CWD } from '../../kernel/task/native-root.js';
import { Task } from '../../kernel/task/task.js';
import { ThreadGroup } from '../../kernel/task/thread-group.js';
import type { HostConsole } from '../../kernel/tty/host-console.js';
import { DescriptorTable } from '../../kernel/vfs/descriptor-table.js';
import type { Path } from '../../kernel/vfs/path.js';
import { pathWalk, WALK_FOLLOW } from '../../kernel/vfs/path-walk.js';
import { checkPermission, MAY_EXEC } from '../../kernel/vfs/permission.js';
import { native } from '../../native.js';
import type { Config, ProcessConfig } from '../../oci/config.js';
import { type Ended, exitText } from '../exit-record.js';
import { openConsole } from './console-setup.js';
import { buildContainer, processCredentials } from './container-setup.js';
import { MemoryEvents } from './memory-events.js';
import { kernelProfile } from './seccomp-conditions.js';
import { runStartHooks, type SpawnHook } from './start-hooks.js';

/** Core files are never written, and a host's pipe handler is not run either: 1, not 0 (facts about RLIMIT_CORE). */
const NATIVE_CORE_LIMIT = 1;
/** How long the sandbox process waits, when all programs have ended, for someone to read the rest of a console's output. */
const OUTPUT_WAIT_NS = 2e9;
/** That run or were not forgotten, for one container. */
const MAX_EXECS = 4096;
/** Signals that end no process, and 0. */
const HARMLESS: ReadonlySet<number> = new Set([0, SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);
const NATIVE_MEMLOCK_BYTES = 8 << 20;
/** passwd(5) is read so far. */
const MAX_PASSWD_BYTES = 1 << 20;
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Why a program can't be found, in runc's words. */
const HOST_MESSAGES: ReadonlyMap<number, string> = new Map([
	[ENOENT, 'no such file or directory'],
	[EACCES, 'permission denied'],
	[ENOTDIR, 'not a directory'],
	[ELOOP, 'too many levels of symbolic links'],
	[ENAMETOOLONG, 'file name too long'],
]);

/** A failure that the user is to read. */
export class SetupError extends Error {}

/** One process that the front end asked for: a container's init, or an exec. */
interface Started {
	readonly group: ThreadGroup;
	/** Its terminal; null for one with streams. */
	readonly console: HostConsole | null;
	ended: Ended | null;
	readonly waiting: ((ended: Ended) => void)[];
}

/** What `create` prepared and `start` runs. */
interface Prepared {
	readonly container: Container;
	readonly config: Config;
	readonly stdio: number[];
	/** Whose PID namespace it joins; null for one of its own. */
	readonly pids: Prepared | null;
	init: Started | null;
	/** A signal has ended it before it was started. */
	ended: Ended | null;
	/** Where its end is written; -1 when it was. Owned. */
	recordFd: number;
	/** Readers of its output, so that what it wrote waits for a front end that comes back. Owned. */
	readonly keptFds: readonly number[];
	/** Its control group's word that memory has run out; null without a group. */
	memory: MemoryEvents | null;
	/** Size of its terminal that was told before the start: rows and columns. */
	size: readonly [number, number] | null;
	readonly execs: Map<string, Started>;
	/** cgroup.procs files that each of its first processes is written to. */
	cgroupFds: readonly number[];
	/** The pod's, or one of its own for a seccomp profile. */
	readonly filter: Uint8Array;
	/** Who waits for its end, from before its start on. */
	readonly waiting: ((ended: Ended) => void)[];
}

/** The pod's containers, as the front end names them. */
export class Containers {
	private readonly prepared = new Map<string, Prepared>();
	/** The pod ends with it; others may join its namespaces. */
	private first: Prepared | null = null;
	/** Told of a container whose control group has run out of memory. */
	readonly memoryListeners = new Set<(id: string) => void>();
	private nextListener = 1;
	private nextExec = 1;

	constructor(
		private readonly kernel: Kernel,
		private readonly nativeRootFd: number,
		private readonly filter: Uint8Array,
		/** Told when the pod has ended. */
		private readonly onIdle: (status: number) => void,
	) {}

	get(id: string): Prepared {
		const found = this.prepared.get(id);
		if (found === undefined) throw new SetupError(`no container ${JSON.stringify(id)} in this sandbox`);
		return found;
	}

	/**
	 * Builds the container's tree; `fds` are the root, the bind mounts' sources, stdin, stdout, stderr, the file for its end, and `keptCount` that are only kept:
	 * taken out of the list, also when this throws. `pidsOf` is the container whose PID namespace it joins, '' for one of its own.
	 */
	create(id: string, config: Config, pidsOf: string, fds: number[], keptCount: number): void {
		const keptFds = fds.splice(fds.length - keptCount);
		const recordFd = fds.pop() ?? -1;
		const stdio = fds.splice(-3);
		const trees = fds.splice(0);
		let container: Container | null = null;
		try {
			if (this.first === null) {
				setBounds(config.annotations);
				for (const [name, value] of Object.entries(config.linux.sysctl)) this.kernel.network.sysctls.set(name.replaceAll('/', '.'), value);
			}
			const filter = this.filterFor(config);
			if (this.prepared.has(id)) throw new SetupError(`container ${JSON.stringify(id)} is there already`);
			const pids = pidsOf === '' ? null : this.get(pidsOf);
			container = buildContainer(this.kernel, id, config, trees, this.first?.container ?? null, pids?.container ?? null);
			// Linux finds a missing program at create: so does runc.
			this.findProgram(container, config.process, processCredentials(config.process));
			this.kernel.containers.set(id, container);
			const prepared: Prepared = {
				...{ container, config, stdio, pids, init: null, ended: null, recordFd, keptFds, memory: null, size: null },
				...{ execs: new Map(), cgroupFds: [], filter, waiting: [] },
			};
			this.first ??= prepared;
			this.prepared.set(id, prepared);
		} catch (error) {
			container?.dispose();
			for (const fd of [...trees, ...stdio, recordFd, ...keptFds]) if (fd >= 0) native.close(fd);
			throw error;
		}
	}

	/**
	 * Starts the first process, after the container's startContainer hooks, which read `hookState`: they live in its namespaces, so it is made before them and
	 * held before its program. `then` is told its pid, or why a hook failed: then it is killed.
	 */
	start(id: string, hookState: string, then: (pid: number, failure: string | null) => void): void {
		const prepared = this.get(id);
		if (prepared.init !== null) throw new SetupError(`container ${JSON.stringify(id)} was started already`);
		if (prepared.ended !== null) throw new SetupError('cannot start a container that has stopped');
		const { container, config, pids, size } = prepared;
		const init = this.spawn(prepared, config.process, prepared.stdio, null, pids === null ? null : liveInit(pids));
		prepared.init = init;
		if (size !== null) init.console?.setSize(...size);
		init.waiting.push((ended) => record(prepared, ended), ...prepared.waiting.splice(0));
		if (prepared === this.first) {
			init.waiting.push(({ status }) =>
				this.afterOutput(init, () => {
					container.dispose();
					this.onIdle(status);
				}),
			);
		}
		const { group } = init;
		const hooks = config.hooks.startContainer;
		if (hooks.length === 0) {
			then(group.pid, null);
			return;
		}
		group.spawn!.isHeld = true;
		const state = JSON.stringify({ ...(JSON.parse(hookState) as object), pid: group.insideId });
		const spawnHook: SpawnHook = ({ path, args, env }, stdio, ended) => {
			if (group.isDead) throw new SetupError('the container has ended');
			const process = { ...config.process, terminal: false, args: args ?? [path], env, scheduler: null, ioPriority: null };
			const started = this.spawn(prepared, process, stdio, group, group, path);
			started.waiting.push(({ status }) => ended(status));
			return started.group.pid;
		};
		runStartHooks(this.kernel, hooks, state, spawnHook, (failure) => {
			// Of one that has ended already, the number may be another's.
			if (failure !== null && !group.isDead) native.sendSignal(group.pid, -1, SIGKILL);
			else if (group.spawn !== null) group.spawn.isHeld = false;
			group.execQueue.wake();
			then(group.pid, failure);
		});
	}

	/** Forgets a container that has ended or was never started. */
	delete(id: string): void {
		const prepared = this.get(id);
		const { container, init, stdio, cgroupFds, recordFd, keptFds } = prepared;
		if (init !== null && init.ended === null) throw new SetupError(`container ${JSON.stringify(id)} is running`);
		if (prepared === this.first) throw new SetupError(`container ${JSON.stringify(id)} is the pod's: it ends with its sandbox process`);
		this.prepared.delete(id);
		this.kernel.containers.delete(id);
		prepared.memory?.close();
		for (const fd of [...cgroupFds, ...keptFds]) native.close(fd);
		if (recordFd >= 0) native.close(recordFd);
		if (init === null) for (const fd of stdio) native.close(fd);
		// What was killed with it may still be on its way out.
		if (container.groups.size === 0) container.dispose();
		else container.onEmpty = () => container.dispose();
	}

	/** Forgets an exec that has ended. */
	deleteExec(id: string, execId: string): void {
		const { execs } = this.get(id);
		const exec = execs.get(execId);
		if (exec === undefined) throw new SetupError(`container ${JSON.stringify(id)} has no exec ${JSON.stringify(execId)}`);
		if (exec.ended === null) throw new SetupError(`exec ${JSON.stringify(execId)} is running`);
		execs.delete(execId);
	}

	/** What there is. */
	list(): { readonly id: string; readonly status: number; readonly execIds: readonly string[] }[] {
		const { CREATED, RUNNING, STOPPED } = isopod.sandbox.Container.Status;
		return [...this.prepared].map(([id, { init, ended, execs }]) => ({
			id,
			status: (init?.ended ?? ended) !== null ? STOPPED : init === null ? CREATED : RUNNING,
			execIds: [...execs.keys()],
		}));
	}

	/** `wantedId` is the front end's name for it, '' for one of ours. */
	exec(id: string, wantedId: string, process: ProcessConfig, stdio: readonly number[]): { execId: string; outsidePid: number } {
		const prepared = this.get(id);
		const init = prepared.container.init;
		if (init === null || init.isDead) throw new SetupError(`container ${JSON.stringify(id)} is not running`);
		const execId = wantedId === '' ? `${this.nextExec++}` : wantedId;
		if (prepared.execs.has(execId)) throw new SetupError(`exec ${JSON.stringify(execId)} is there already`);
		if (prepared.execs.size >= MAX_EXECS) throw new SetupError(`container ${JSON.stringify(id)} has ${MAX_EXECS} execs already`);
		const started = this.spawn(prepared, process, stdio, init, init);
		prepared.execs.set(execId, started);
		return { execId, outsidePid: started.group.pid };
	}

	/** Puts the container's processes into a control group; takes `fds` out of the list. The last is what tells of memory running out, if `hasMemoryEvents`. */
	joinCgroup(id: string, fds: number[], hasMemoryEvents: boolean): void {
		const prepared = this.get(id);
		prepared.memory?.close();
		const memoryFd = hasMemoryEvents ? (fds.pop() ?? -1) : -1;
		prepared.memory =
			memoryFd < 0
				? null
				: new MemoryEvents(this.kernel, memoryFd, () => {
						for (const listener of this.memoryListeners) listener(id);
					});
		for (const fd of prepared.cgroupFds) native.close(fd);
		prepared.cgroupFds = fds.splice(0);
		for (const group of prepared.container.groups.values()) enterCgroup(prepared.cgroupFds, group.pid);
	}

	/** The host freezes the container's processes, or is about to let them go on. */
	pause(id: string, isPaused: boolean): void {
		const { container } = this.get(id);
		container.isPaused = isPaused;
		if (isPaused) for (const group of container.groups.values()) this.kernel.signals.endAll(group);
	}

	/** Signals a container's init, the first process of an exec, or all processes. */
	signal(id: string, signal: number, all: boolean, execId: string): void {
		const prepared = this.get(id);
		const { container, execs } = prepared;
		if (execId === '' && prepared.init === null && prepared.ended === null) {
			if (!HARMLESS.has(signal)) this.endUnstarted(prepared, signal);
			return;
		}
		const init = execId === '' ? container.init : (execs.get(execId)?.group ?? null);
		if (init === null || init.isDead) throw new SetupError('container not running');
		if (!all) this.kernel.signals.sendToGroup(init, signal);
		else for (const group of [...container.groups.values()]) this.kernel.signals.sendToGroup(group, signal);
	}

	/** There is no program yet that could handle the signal: it does what it does by default. */
	private endUnstarted(prepared: Prepared, signal: number): void {
		const ended = { status: signal, atMs: Date.now() };
		prepared.ended = ended;
		for (const fd of prepared.stdio.splice(0)) native.close(fd);
		record(prepared, ended);
		for (const then of prepared.waiting.splice(0)) then(ended);
		if (prepared === this.first) this.onIdle(signal);
	}

	/** Sets the size of a terminal. */
	resize(id: string, execId: string, rows: number, columns: number): void {
		const prepared = this.get(id);
		const started = execId === '' ? prepared.init : (prepared.execs.get(execId) ?? null);
		if (started === null && execId === '') prepared.size = [rows, columns];
		else if (started?.console == null) throw new SetupError(`no terminal to resize in container ${JSON.stringify(id)}`);
		else started.console.setSize(rows, columns);
	}

	/** Calls `then` with the end of init (or an exec) once it has ended; of an init also if it is yet to be started. */
	wait(id: string, execId: string, then: (ended: Ended) => void): void {
		const prepared = this.get(id);
		const started = execId === '' ? prepared.init : prepared.execs.get(execId);
		if (started === undefined) throw new SetupError(`container ${JSON.stringify(id)} has no exec ${JSON.stringify(execId)}`);
		if (started === null && prepared.ended !== null) then(prepared.ended);
		else if (started === null) prepared.waiting.push(then);
		else if (started.ended !== null) then(started.ended);
		else started.waiting.push(then);
	}

	/** Ends every guest: the sandbox process is about to go. */
	killAll(): void {
		for (const { container } of this.prepared.values()) {
			if (container.init !== null && !container.init.isDead) native.sendSignal(container.init.pid, -1, SIGKILL);
		}
	}

	/** Calls `then` when what a process wrote to its console is with the host, or nobody takes it. */
	private afterOutput({ console }: Started, then: () => void): void {
		if (console === null) {
			then();
			return;
		}
		const { timers } = this.kernel;
		const timer = new Timer(then);
		timers.arm(timer, native.monotonicNs() + OUTPUT_WAIT_NS);
		console.whenClosed(() => {
			timers.disarm(timer);
			then();
		});
	}

	/**
	 * `exec` is the container's init for another process in it; `join` is whose namespaces the process lives in, null for new ones; `wanted` is its program where
	 * its first argument isn't.
	 */
	private spawn(
		prepared: Prepared,
		process: ProcessConfig,
		stdio: readonly number[],
		exec: ThreadGroup | null,
		join = exec,
		wanted = process.args[0]!,
	): Started {
		const { container } = prepared;
		const credentials = processCredentials(process);
		const { path: program, name } = this.findProgram(container, process, credentials, wanted);
		const limits = new Limits();
		for (const { resource, soft, hard } of process.rlimits) limits.set(resource, soft, hard);
		const cookie = this.kernel.forks.newCookie();
		const files = new DescriptorTable();
		const maximum = this.kernel.maxDescriptors;
		const console = process.terminal ? openConsole(this.kernel, container, process.user.uid, stdio, files, exec === null) : null;
		const ensured = this.kernel.nativeRoot.ensure(name);
		if (ensured < 0) throw new SetupError(`make ${name} lead to the loader: errno ${-ensured}`);
		const directory = this.directory(container, process, credentials);
		const { pid, failedStep } = native.spawn({
			listener: this.listenerKey(),
			filter: prepared.filter,
			rootFd: this.nativeRootFd,
			cwd: NATIVE_CWD,
			path: name,
			argv: process.args,
			envp: this.environment(container, process, credentials),
			insideUid: 0,
			insideGid: 0,
			limits: [
				[RLIMIT_CORE, NATIVE_CORE_LIMIT, NATIVE_CORE_LIMIT],
				[RLIMIT_MEMLOCK, NATIVE_MEMLOCK_BYTES, NATIVE_MEMLOCK_BYTES],
				[RLIMIT_NOFILE, maximum, maximum],
				[RLIMIT_NPROC, bounds.tasks, bounds.tasks],
				[RLIMIT_STACK, limits.soft[RLIMIT_STACK]!, -1],
				...(Number.isFinite(limits.soft[RLIMIT_CPU]!) ? [[RLIMIT_CPU, limits.soft[RLIMIT_CPU]!, -1] as const] : []),
			],
			joinPid: join?.pid ?? 0,
			netnsFd: -1,
			cookie,
			isSession: console !== null,
		});
		if (pid < 0) console?.terminal.hangUp();
		if (pid < 0) throw new SetupError(`start the first process: ${failedStep ?? 'spawn'}: errno ${-pid}`);
		// It is stopped before its first instruction.
		enterCgroup(prepared.cgroupFds, pid);
		schedule(pid, process);
		const fs = new FileSystemContext(container.rootPath, directory, process.user.umask, container.mounts);
		const inheritance = { container, parentPid: 0, parent: null, filters: null, files, fs, limits, credentials };
		const group = registerSpawned(this.kernel, pid, cookie, inheritance);
		if (group === null) throw new SetupError('start the first process: it died at once');
		// Nothing fails from here on: until now the descriptors were the caller's to close, now they close with the process's table.
		if (console === null) this.addStreams(files, stdio, process.user.uid);
		const started: Started = { group, console, ended: null, waiting: [] };
		// The program's controlling terminal, as runc gives it.
		console?.terminal.control(pid, pid);
		group.isSpawned = true;
		group.oomScoreAdj = process.oomScoreAdj ?? exec?.oomScoreAdj ?? 0;
		group.spawn = { path: program, name, isHeld: false };
		group.onEnd = (status) => {
			const ended = { status, atMs: Date.now() };
			started.ended = ended;
			for (const then of started.waiting.splice(0)) then(ended);
		};
		if (exec === null) container.init = group;
		if (join === null) container.pids.begin(group);
		return started;
	}

	private filterFor({ linux }: Config): Uint8Array {
		return linux.seccomp === null ? this.filter : compileProfile(SYSCALLS, kernelProfile(linux.seccomp));
	}

	private addStreams(files: DescriptorTable, stdio: readonly number[], uid: number): void {
		for (let fd = 0; fd < 3; fd++) {
			const description = new HostStream(this.kernel, stdio[fd]!, fd === 0 ? O_RDONLY : stdio[fd] === stdio[0] ? O_RDWR : O_WRONLY);
			// As runc does, so that the user can open its /dev/stdout again.
			description.inode.chown(uid, -1);
			files.add(description, false, 3);
		}
	}

	private listenerKey(): number {
		return this.nextListener++;
	}

	/** Looks the program up as execvp(3) does, with the process's own rights and environment: where it is, and by what name, which a symlink may be. */
	private findProgram(
		container: Container,
		process: ProcessConfig,
		credentials: Credentials,
		name = process.args[0]!,
	): { path: Path; name: string } {
		const task = this.setupTask(container, credentials);
		task.group.fs.cwd = this.directory(container, process, credentials);
		const search = process.env.find((variable) => variable.startsWith('PATH='))?.slice(5) ?? DEFAULT_PATH;
		const candidates = name.includes('/') ? [name] : search.split(':').map((folder) => `${folder === '' ? '.' : folder}/${name}`);
		let why = `executable file not found in $PATH`;
		for (const candidate of candidates) {
			const bytes = Buffer.from(candidate, 'utf8').latin1Slice();
			const error = pathWalk.walk(task, task.fs.cwd, bytes, WALK_FOLLOW);
			if (error < 0) {
				if (name.includes('/')) why = `stat ${name}: ${HOST_MESSAGES.get(-error) ?? `errno ${-error}`}`;
				continue;
			}
			const path = pathWalk.path;
			if (!path.dentry.inode!.isRegular || checkPermission(path.dentry.inode!, MAY_EXEC, credentials) < 0) {
				why = 'permission denied';
				continue;
			}
			return { path, name: candidate.startsWith('/') ? candidate : pathName(path) };
		}
		throw new SetupError(`unable to start container process: exec: ${JSON.stringify(name)}: ${why}`);
	}

	/** The environment, with a HOME in it: its user's of the container's passwd(5), "/" when that has none, as runc does. */
	private environment(container: Container, { env, user }: ProcessConfig, credentials: Credentials): readonly string[] {
		if (env.some((variable) => variable.startsWith('HOME='))) return env;
		const isUsers = (line: string): boolean => Number(line.split(':')[2] || Number.NaN) === user.uid;
		const home = this.readText(container, '/etc/passwd', credentials).split('\n').find(isUsers)?.split(':')[5];
		return [...env, `HOME=${home || '/'}`];
	}

	/** The beginning of a small file of the container; "" when it can't be read. */
	private readText(container: Container, path: string, credentials: Credentials): string {
		if (pathWalk.walk(this.setupTask(container, credentials), container.rootPath, path, WALK_FOLLOW) < 0) return '';
		const inode = pathWalk.dentry.inode!;
		if (!inode.isRegular) return '';
		const fd = inode.openForMapping(O_RDONLY | O_CLOEXEC, false);
		if (fd < 0) return '';
		const buffer = Buffer.alloc(MAX_PASSWD_BYTES);
		const length = native.pread(fd, buffer, 0, buffer.length, 0);
		native.close(fd);
		return buffer.toString('utf8', 0, Math.max(0, length));
	}

	private directory(container: Container, process: ProcessConfig, credentials: Credentials): Path {
		const task = this.setupTask(container, credentials);
		const error = pathWalk.walk(task, container.rootPath, Buffer.from(process.cwd, 'utf8').latin1Slice(), WALK_FOLLOW);
		if (error === 0 && pathWalk.dentry.inode!.isDirectory) return pathWalk.path;
		throw new SetupError(`process.cwd: ${JSON.stringify(process.cwd)} is no directory of the container (errno ${-error})`);
	}

	/** A task that is nobody's: whose rights a walk has before the process exists. */
	private setupTask(container: Container, credentials: Credentials): Task {
		const fs = new FileSystemContext(container.rootPath, container.rootPath, 0o022, container.mounts);
		const group = new ThreadGroup(container, 0, 0, 0, new DescriptorTable(), fs, new Limits(), credentials);
		return new Task(this.kernel, group, 0, credentials);
	}
}

/** The first process of a container whose PID namespace is to be joined. */
function liveInit({ container }: Prepared): ThreadGroup {
	const { init } = container;
	if (init === null || init.isDead)
		throw new SetupError(`container ${JSON.stringify(container.id)}, whose PID namespace is to be joined, is not running`);
	return init;
}

/** Writes down how a container ended, for a front end that comes later. */
function record(prepared: Prepared, ended: Ended): void {
	if (prepared.recordFd < 0) return;
	try {
		writeSync(prepared.recordFd, exitText(ended));
	} finally {
		native.close(prepared.recordFd);
		prepared.recordFd = -1;
	}
}

/** Sets how the host schedules a process that has not run yet; what it makes inherits it. */
function schedule(pid: number, { scheduler, ioPriority }: ProcessConfig): void {
	const set = scheduler === null ? 0 : native.setScheduler(pid, scheduler.policy, scheduler.nice, scheduler.flags);
	if (set < 0) fail('process.scheduler', set);
	const setIo = ioPriority === null ? 0 : native.setIoPriority(pid, ioPriority);
	if (setIo < 0) fail('process.ioPriority', setIo);

	function fail(field: string, error: number): never {
		native.sendSignal(pid, -1, SIGKILL);
		throw new SetupError(`set ${field}: errno ${-error}`);
	}
}

/** Moves a process. It may have ended. */
function enterCgroup(fds: readonly number[], pid: number): void {
	for (const fd of fds) {
		try {
			writeSync(fd, `${pid}`);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ESRCH')
				throw new SetupError(`move process ${pid} into its control group: ${String(error)}`);
		}
	}
}

function pathName(path: Path): string {
	let text = '';
	for (let dentry = path.dentry; dentry.parent !== null; dentry = dentry.parent) text = `/${dentry.name}${text}`;
	return text;
}

/** The directory that guests have as their native root. */
export function openNativeRoot(): number {
	return native.openat2(-100, '/guest', O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0);
}
