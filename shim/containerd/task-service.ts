import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { containerd } from '../../proto/generated/task.js';
import { Cgroup } from '../../runtime/oci/cgroup/cgroup.js';
import { ConfigError, parseConfig, parseProcess } from '../../runtime/oci/config.js';
import { parseResources } from '../../runtime/oci/resources.js';
import { Section } from '../../runtime/oci/section.js';
import type { StateStore } from '../../runtime/oci/state.js';
import { GuestSandbox } from '../../runtime/sandbox/guest-sandbox.js';
import { sandboxOf } from '../../runtime/sandbox/pod.js';
import type { ContainerSpec, Exit, Handler } from '../../runtime/sandbox/sandbox.js';
import { type Mount, podMounts } from '../cri/runtime/pod-spec.js';
import { metrics } from './metrics.js';
import { admit, operatorConfig } from './operator.js';
import { ProcessIo, type StdioPaths } from './process-io.js';
import { type Publisher, timestampOf } from './publisher.js';
import { Task, TaskProcess } from './task.js';
import { type Service, unary } from './ttrpc/service.js';
import { Code, RpcError } from './ttrpc/status.js';

const messages = containerd.task;
const { Status } = messages;
type Create = InstanceType<typeof messages.CreateTaskRequest>;
type Exec = InstanceType<typeof messages.ExecProcessRequest>;

const SIGTERM = 15;
const SIGKILL = 9;
/** The zero of Go's time.Time, which stands for "not yet". */
const NEVER = { seconds: -62135596800, nanos: 0 };

/** A sandbox that this shim serves. */
interface ShimPod {
	readonly sandbox: GuestSandbox;
	/** A folder with what its containers have in /etc and /dev/shm (pod-files.ts), if it isn't containerd that gives them that; else null. */
	readonly files: string | null;
}

/** containerd's task service for the containers of one pod (or of one container by itself). */
export class TaskService {
	private readonly tasks = new Map<string, Task>();
	/** By the id of their first containers. */
	private readonly pods = new Map<string, ShimPod>();
	/** The control group that this process was moved to; null for the one that it was started in. */
	private cgroup: string | null = null;

	constructor(
		private readonly store: StateStore,
		private readonly handler: Handler['name'],
		private readonly namespace: string,
		private readonly publisher: Publisher,
		private readonly log: (level: 'info' | 'error', message: string) => void,
		/** Nothing is left to do. */
		private readonly shutDown: () => void,
	) {}

	/** Its methods, as ttrpc serves them. */
	readonly service: Service = {
		Create: unary(messages.CreateTaskRequest, messages.CreateTaskResponse, async (request) =>
			messages.CreateTaskResponse.create({ pid: await this.create(request) }),
		),
		Start: unary(messages.StartRequest, messages.StartResponse, async ({ id, execId }) =>
			messages.StartResponse.create({ pid: await this.start(id, execId) }),
		),
		State: unary(messages.StateRequest, messages.StateResponse, ({ id, execId }) => this.state(id, execId)),
		Delete: unary(messages.DeleteRequest, messages.DeleteResponse, ({ id, execId }) => this.delete(id, execId)),
		Exec: unary(messages.ExecProcessRequest, messages.Empty, (request) => this.exec(request)),
		Kill: unary(messages.KillRequest, messages.Empty, ({ id, execId, signal, all }) => this.kill(id, execId, signal, all)),
		Wait: unary(messages.WaitRequest, messages.WaitResponse, async ({ id, execId }) => {
			const { status, atMs } = await this.process(id, execId).wait();
			return messages.WaitResponse.create({ exitStatus: status, exitedAt: timestampOf(atMs) });
		}),
		Pids: unary(messages.PidsRequest, messages.PidsResponse, async ({ id }) => {
			const pids = await this.task(id).sandbox.processes(id);
			return messages.PidsResponse.create({ processes: pids.map((pid) => ({ pid })) });
		}),
		ResizePty: unary(messages.ResizePtyRequest, messages.Empty, async ({ id, execId, width, height }) => {
			const process = this.process(id, execId);
			process.size = { rows: height, columns: width };
			if (process.isStarted && process.exit === null) await this.task(id).sandbox.resize(id, execId, process.size);
			return EMPTY;
		}),
		CloseIO: unary(messages.CloseIORequest, messages.Empty, ({ id, execId, stdin }) => {
			if (stdin) this.process(id, execId).io.closeStdin();
			return EMPTY;
		}),
		Pause: unary(messages.PauseRequest, messages.Empty, async ({ id }) => {
			const task = this.task(id);
			await task.sandbox.pause(id);
			task.isPaused = true;
			this.publisher.publish('TaskPaused', { containerId: id });
			return EMPTY;
		}),
		Resume: unary(messages.ResumeRequest, messages.Empty, async ({ id }) => {
			const task = this.task(id);
			await task.sandbox.resume(id);
			task.isPaused = false;
			this.publisher.publish('TaskResumed', { containerId: id });
			return EMPTY;
		}),
		Update: unary(messages.UpdateTaskRequest, messages.Empty, async ({ id, resources }) => {
			const { sandbox } = this.task(id);
			const given = readJson(resources?.value ?? null, 'the resources');
			await sandbox.update(
				id,
				asArgument(() => parseResources(new Section(given, 'resources'))),
			);
			return EMPTY;
		}),
		Stats: unary(messages.StatsRequest, messages.StatsResponse, async ({ id }) => {
			const { sandbox } = this.task(id);
			if (sandbox.cgroupsPath(id) === null) throw new RpcError(Code.FailedPrecondition, `container ${id} has no control group`);
			return messages.StatsResponse.create({ stats: metrics(await sandbox.groupFiles(id)) });
		}),
		Connect: unary(messages.ConnectRequest, messages.ConnectResponse, ({ id }) =>
			messages.ConnectResponse.create({ shimPid: process.pid, taskPid: this.tasks.get(id)?.init.pid ?? 0 }),
		),
		Shutdown: unary(messages.ShutdownRequest, messages.Empty, ({ now }) => {
			// The answer goes first.
			if ((this.tasks.size === 0 && this.pods.size === 0) || now) setImmediate(this.shutDown);
			return EMPTY;
		}),
	};

	private task(id: string): Task {
		const task = this.tasks.get(id);
		if (task === undefined) throw new RpcError(Code.NotFound, `container ${id}: not found`);
		return task;
	}

	private process(id: string, execId: string): TaskProcess {
		const task = this.task(id);
		const found = execId === '' ? task.init : task.execs.get(execId);
		if (found === undefined) throw new RpcError(Code.NotFound, `exec ${execId} of container ${id}: not found`);
		return found;
	}

	private async create(request: Create): Promise<number> {
		const { id, bundle, rootfs, terminal, stdin, stdout, stderr, checkpoint, options } = request;
		if (this.tasks.has(id)) throw new RpcError(Code.AlreadyExists, `container ${id}: already exists`);
		if (checkpoint !== '') throw new RpcError(Code.Unimplemented, 'restoring a checkpoint is not there');
		const file = join(bundle, 'config.json');
		const written = readFileSync(file, 'utf8');
		const given = readJson(Buffer.from(written), file);
		const operator = operatorConfig(options);
		const admitted = admit(given, operator);
		const checked = asArgument(() => parseConfig(admitted));
		const sandboxId = sandboxOf(checked.annotations, id);
		const files = this.pods.get(sandboxId)?.files ?? null;
		const whole = files === null ? admitted : withPodFiles(admitted as OciConfig, files);
		const config = whole === admitted ? checked : asArgument(() => parseConfig(whole));
		const text = whole === given ? written : JSON.stringify(whole);
		this.enterCgroup(operator.shimCgroup);
		const paths = { stdin, stdout, stderr, terminal };
		const io = await this.openIo(id, paths);
		const spec: ContainerSpec = {
			id,
			bundle,
			rootfs: isAbsolute(config.root.path) ? config.root.path : join(bundle, config.root.path),
			rootfsMounts: rootfs.map(({ type, source, options }) => ({ type: type ?? '', source: source ?? '', options: options ?? [] })),
			config,
			text,
			stdio: io.stdio,
			onBuilt: () => io.handedOver(),
		};
		try {
			const sandbox = await this.createIn(sandboxId, spec);
			const task = new Task(id, bundle, sandbox, new TaskProcess('', paths, io));
			task.init.pid = sandbox.pid;
			this.tasks.set(id, task);
			this.publisher.publish('TaskCreate', { containerId: id, bundle, rootfs: request.rootfs, io: paths, pid: sandbox.pid });
			return sandbox.pid;
		} catch (error) {
			io.close();
			throw error instanceof ConfigError ? new RpcError(Code.InvalidArgument, error.message, { cause: error }) : error;
		}
	}

	/** The shim's own. Sandbox processes are in groups beside their pods'. */
	private enterCgroup(path: string | null): void {
		if (path === null || path === this.cgroup) return;
		Cgroup.at(path).enter(process.pid);
		this.cgroup = path;
	}

	/** Has containers that are of `id` by their annotations made in a sandbox from now on. */
	addPod(id: string, sandbox: GuestSandbox, files: string | null): void {
		this.pods.set(id, { sandbox, files });
		sandbox.onOom((containerId) => this.publisher.publish('TaskOOM', { containerId }));
		sandbox.ended.then((why) => this.log('info', `The sandbox ${id} has ended: ${why}`));
	}

	removePod(id: string): void {
		this.pods.get(id)?.sandbox.close();
		this.pods.delete(id);
	}

	private async createIn(sandboxId: string, spec: ContainerSpec): Promise<GuestSandbox> {
		if (sandboxId === spec.id) {
			const made = await GuestSandbox.make(this.store, spec, undefined, this.handler);
			this.addPod(sandboxId, made, null);
			return made;
		}
		const sandbox = this.pods.get(sandboxId)?.sandbox;
		if (sandbox === undefined) throw new RpcError(Code.FailedPrecondition, `the sandbox ${sandboxId} of container ${spec.id} is not here`);
		await sandbox.create(spec);
		return sandbox;
	}

	private openIo(id: string, paths: StdioPaths): Promise<ProcessIo> {
		return ProcessIo.open(paths, { ...definedEnvironment(), CONTAINER_ID: id, CONTAINER_NAMESPACE: this.namespace });
	}

	private async start(id: string, execId: string): Promise<number> {
		const task = this.task(id);
		const process = this.process(id, execId);
		if (process.isStarted) throw new RpcError(Code.FailedPrecondition, `process ${execId || id} was started already`);
		process.isStarted = true;
		if (execId !== '') return this.startExec(task, process);
		const { ended } = await task.sandbox.start(id);
		if (process.size !== null) await task.sandbox.resize(id, '', process.size).catch(() => {});
		this.publisher.publish('TaskStart', { containerId: id, pid: process.pid });
		// Only now, so that the exit's event follows the start's.
		ended.then((exit) => this.exited(task, process, exit));
		return process.pid;
	}

	private async startExec(task: Task, process: TaskProcess): Promise<number> {
		const { execId, io } = process;
		const spec = task.specs.get(execId)!;
		task.specs.delete(execId);
		try {
			process.pid = await task.sandbox.exec(task.id, execId, spec, io.stdio);
		} catch (error) {
			io.close();
			throw error;
		}
		io.handedOver();
		if (process.size !== null) await task.sandbox.resize(task.id, execId, process.size).catch(() => {});
		this.publisher.publish('TaskExecStarted', { containerId: task.id, execId, pid: process.pid });
		task.sandbox.wait(task.id, execId).then(
			(exit) => this.exited(task, process, exit),
			(error: unknown) => this.exited(task, process, { status: 255, atMs: Date.now(), reason: String(error) }),
		);
		return process.pid;
	}

	private exited(task: Task, process: TaskProcess, exit: Exit): void {
		if (exit.reason !== undefined) this.log('error', `${process.execId || task.id} was killed: ${exit.reason}`);
		process.io.close();
		const id = process.execId || task.id;
		const { status: exitStatus, atMs } = exit;
		this.publisher.publish('TaskExit', { containerId: task.id, id, pid: process.pid, exitStatus, exitedAt: timestampOf(atMs) });
		process.ended(exit);
	}

	private state(id: string, execId: string): InstanceType<typeof messages.StateResponse> {
		const task = this.task(id);
		const { paths, exit, isStarted, pid } = this.process(id, execId);
		const running = task.isPaused && execId === '' ? Status.PAUSED : Status.RUNNING;
		return messages.StateResponse.create({
			...paths,
			id,
			execId,
			bundle: task.bundle,
			pid,
			status: exit !== null ? Status.STOPPED : isStarted ? running : Status.CREATED,
			exitStatus: exit?.status ?? 0,
			exitedAt: exit === null ? NEVER : timestampOf(exit.atMs),
		});
	}

	private async delete(id: string, execId: string): Promise<InstanceType<typeof messages.DeleteResponse>> {
		const task = this.task(id);
		const process = this.process(id, execId);
		if (process.isStarted && process.exit === null)
			throw new RpcError(Code.FailedPrecondition, `${execId === '' ? `container ${id}` : `exec ${execId}`} is running`);
		if (execId !== '') {
			task.execs.delete(execId);
			task.specs.delete(execId);
			process.io.close();
			// The sandbox may be gone.
			if (process.isStarted) await task.sandbox.deleteExec(id, execId).catch(() => {});
		} else {
			await task.sandbox.delete(id);
			process.io.close();
			this.tasks.delete(id);
			if (this.pods.get(id)?.sandbox === task.sandbox) this.removePod(id);
		}
		const { status: exitStatus, atMs } = process.exit ?? { status: 128 + SIGKILL, atMs: Date.now() };
		const answer = { pid: process.pid, exitStatus, exitedAt: timestampOf(atMs) };
		this.publisher.publish('TaskDelete', { ...answer, containerId: id, id: execId });
		return messages.DeleteResponse.create(answer);
	}

	private async exec({ id, execId, terminal, stdin, stdout, stderr, spec }: Exec): Promise<typeof EMPTY> {
		const task = this.task(id);
		if (task.execs.has(execId)) throw new RpcError(Code.AlreadyExists, `exec ${execId}: already exists`);
		if (task.init.exit !== null) throw new RpcError(Code.FailedPrecondition, `container ${id} has ended`);
		const given = readJson(spec?.value ?? null, 'the process') as object;
		const value = { ...given, terminal };
		asArgument(() => parseProcess(new Section(value, 'process')));
		const paths = { stdin, stdout, stderr, terminal };
		const io = await this.openIo(id, paths);
		task.specs.set(execId, value);
		task.execs.set(execId, new TaskProcess(execId, paths, io));
		this.publisher.publish('TaskExecAdded', { containerId: id, execId });
		return EMPTY;
	}

	private async kill(id: string, execId: string, signal: number, all: boolean): Promise<typeof EMPTY> {
		const task = this.task(id);
		const process = this.process(id, execId);
		if (process.exit !== null) throw new RpcError(Code.NotFound, 'process already finished: not found');
		if (!process.isStarted) {
			// There is no program yet that could handle it.
			process.isStarted = true;
			if (signal === SIGKILL || signal === SIGTERM) this.exited(task, process, { status: 128 + signal, atMs: Date.now() });
			return EMPTY;
		}
		await task.sandbox.signal(id, execId, signal, all);
		// What is frozen doesn't die.
		if (task.isPaused && signal === SIGKILL) await task.sandbox.resume(id);
		return EMPTY;
	}
}

const EMPTY = messages.Empty.create();

interface OciConfig {
	readonly root?: { readonly readonly?: boolean };
	readonly mounts?: readonly Mount[];
}

/** A container's config with its pod's files where it has none of its own. */
function withPodFiles(config: OciConfig, files: string): OciConfig {
	const { root, mounts = [] } = config;
	const taken = new Set(mounts.map(({ destination }) => destination));
	const added = podMounts(files, root?.readonly ?? false).filter(({ destination }) => !taken.has(destination));
	return { ...config, mounts: [...mounts, ...added] };
}

/** A message's JSON. Throws RpcError. */
function readJson(bytes: Uint8Array | null, what: string): unknown {
	try {
		return JSON.parse(Buffer.from(bytes ?? []).toString('utf8'));
	} catch (error) {
		throw new RpcError(Code.InvalidArgument, `${what}: no JSON: ${error instanceof Error ? error.message : String(error)}`, {
			cause: error,
		});
	}
}

/** What a config says wrong is the caller's mistake. */
function asArgument<T>(parse: () => T): T {
	try {
		return parse();
	} catch (error) {
		throw error instanceof ConfigError ? new RpcError(Code.InvalidArgument, error.message, { cause: error }) : error;
	}
}

function definedEnvironment(): Record<string, string> {
	return Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
