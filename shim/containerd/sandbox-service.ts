import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { hostname as ownHostname } from 'node:os';
import { join } from 'node:path';
import { runtime } from '../../proto/generated/pod-config.js';
import { containerd } from '../../proto/generated/pod-sandbox.js';
import { ConfigError, parseConfig } from '../../runtime/oci/config.js';
import type { StateStore } from '../../runtime/oci/state.js';
import { GuestSandbox } from '../../runtime/sandbox/guest-sandbox.js';
import { packageRoot } from '../../runtime/sandbox/launch.js';
import type { Handler } from '../../runtime/sandbox/sandbox.js';
import { checkAnnotations } from '../annotations.js';
import { makePodFiles } from '../cri/runtime/pod-files.js';
import { podSpec, refusedNamespace, sharesPids } from '../cri/runtime/pod-spec.js';
import { unmountAll } from '../cri/runtime/unmount.js';
import { metrics } from './metrics.js';
import { type AnyMessage, operatorConfig } from './operator.js';
import { timestampOf } from './publisher.js';
import type { TaskService } from './task-service.js';
import { type Service, unary } from './ttrpc/service.js';
import { Code, RpcError } from './ttrpc/status.js';

const messages = containerd.runtime.sandbox;
type Create = InstanceType<typeof messages.CreateSandboxRequest>;
type PodConfig = InstanceType<typeof runtime.v1.PodSandboxConfig>;

const SIGKILL_STATUS = 137;

/** Where in a sandbox's bundle the files of its pod are. */
export function podFiles(bundle: string): string {
	return join(bundle, 'pod');
}

interface End {
	readonly status: number;
	readonly atMs: number;
}

/** The pod that containerd has had this shim make. */
interface Made {
	readonly id: string;
	readonly sandbox: GuestSandbox;
	readonly config: PodConfig;
	/** config.json of what holds its namespaces. */
	readonly spec: object;
	readonly files: string;
	readonly createdAtMs: number;
	end: End | null;
	/** Of a sandbox that dies, or is stopped. */
	readonly ended: Promise<End>;
}

/** containerd 2's sandbox service (`sandboxer = "shim"`): a pod by itself, without a container of a pause image. Its containers are then tasks of the same shim. */
export class SandboxService {
	private made: Made | null = null;
	private isMaking = false;

	constructor(
		private readonly store: StateStore,
		private readonly handler: Handler['name'],
		private readonly tasks: TaskService,
		/** Nothing is left to do. */
		private readonly shutDown: () => void,
	) {}

	/** Its methods, as ttrpc serves them. */
	readonly service: Service = {
		CreateSandbox: unary(messages.CreateSandboxRequest, messages.CreateSandboxResponse, async (request) => {
			await this.create(request);
			return messages.CreateSandboxResponse.create();
		}),
		StartSandbox: unary(messages.StartSandboxRequest, messages.StartSandboxResponse, async ({ sandboxId }) => {
			const { sandbox, config, createdAtMs, end } = this.find(sandboxId);
			if (end !== null) throw new RpcError(Code.FailedPrecondition, `sandbox ${sandboxId} has ended`);
			// Nobody else needs a program there: the namespaces are there without one, but for that of pids, which has no first process then.
			if (sharesPids(config)) await sandbox.start(sandboxId);
			return messages.StartSandboxResponse.create({ pid: sandbox.pid, createdAt: timestampOf(createdAtMs) });
		}),
		Platform: unary(messages.PlatformRequest, messages.PlatformResponse, () =>
			messages.PlatformResponse.create({ platform: { os: 'linux', architecture: 'amd64' } }),
		),
		StopSandbox: unary(messages.StopSandboxRequest, messages.StopSandboxResponse, async ({ sandboxId }) => {
			await this.stop(this.find(sandboxId));
			return messages.StopSandboxResponse.create();
		}),
		WaitSandbox: unary(messages.WaitSandboxRequest, messages.WaitSandboxResponse, async ({ sandboxId }) => {
			const { status, atMs } = await this.find(sandboxId).ended;
			return messages.WaitSandboxResponse.create({ exitStatus: status, exitedAt: timestampOf(atMs) });
		}),
		SandboxStatus: unary(messages.SandboxStatusRequest, messages.SandboxStatusResponse, ({ sandboxId, verbose }) => {
			const { sandbox, spec, createdAtMs, end } = this.find(sandboxId);
			const pid = end === null ? sandbox.pid : 0;
			const report = {
				pid,
				processStatus: end === null ? 'running' : 'stopped',
				runtimeType: `io.containerd.${this.handler}.v1`,
				runtimeSpec: spec,
			};
			return messages.SandboxStatusResponse.create({
				sandboxId,
				pid,
				state: end === null ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
				info: verbose ? { info: JSON.stringify(report) } : {},
				createdAt: timestampOf(createdAtMs),
				exitedAt: timestampOf(end?.atMs ?? 0),
			});
		}),
		PingSandbox: unary(messages.PingRequest, messages.PingResponse, ({ sandboxId }) => {
			if (this.find(sandboxId).end !== null) throw new RpcError(Code.Unavailable, `sandbox ${sandboxId} has ended`);
			return messages.PingResponse.create();
		}),
		ShutdownSandbox: unary(messages.ShutdownSandboxRequest, messages.ShutdownSandboxResponse, async ({ sandboxId }) => {
			// It comes also after a failed CreateSandbox.
			if (this.made?.id === sandboxId) await this.remove(this.made);
			// The answer goes first.
			setImmediate(this.shutDown);
			return messages.ShutdownSandboxResponse.create();
		}),
		SandboxMetrics: unary(messages.SandboxMetricsRequest, messages.SandboxMetricsResponse, async ({ sandboxId }) => {
			const { sandbox } = this.find(sandboxId);
			if (sandbox.cgroupsPath(sandboxId) === null) throw new RpcError(Code.FailedPrecondition, `sandbox ${sandboxId} has no control group`);
			const data = metrics(await sandbox.groupFiles(sandboxId));
			return messages.SandboxMetricsResponse.create({ metrics: { timestamp: timestampOf(Date.now()), id: sandboxId, data } });
		}),
	};

	private find(id: string): Made {
		if (this.made?.id !== id) throw new RpcError(Code.NotFound, `sandbox ${id}: not found`);
		return this.made;
	}

	/** Makes the pod; leaves nothing when that fails. */
	private async create({ sandboxId: id, bundlePath: bundle, options, netnsPath: netns }: Create): Promise<void> {
		if (this.made !== null || this.isMaking) throw new RpcError(Code.AlreadyExists, `sandbox ${this.made?.id ?? id}: already exists`);
		const config = podConfig(options ?? null);
		const files = podFiles(bundle);
		this.isMaking = true;
		try {
			const hostname = config.hostname || ownHostname();
			makePodFiles(files, hostname, [], config.dnsConfig ?? null);
			const rootfs = join(files, 'root');
			mkdirSync(rootfs, { mode: 0o755 });
			copyFileSync(join(packageRoot(), 'native/build/isopod-pause'), join(rootfs, 'pause'));
			const spec = podSpec({ id, netns, pid: 0, files, config }, hostname, rootfs);
			const parsed = parseConfig(spec);
			const container = { id, bundle, rootfs, text: JSON.stringify(spec), config: parsed, stdio: [-1, -1, -1] };
			const sandbox = await GuestSandbox.make(this.store, container, undefined, this.handler);
			const ended = sandbox.ended.then(() => {
				made.end ??= { status: SIGKILL_STATUS, atMs: Date.now() };
				return made.end;
			});
			const made: Made = { id, sandbox, config, spec, files, createdAtMs: Date.now(), end: null, ended };
			this.made = made;
			this.tasks.addPod(id, sandbox, files);
		} catch (error) {
			removePodFiles(files);
			throw error instanceof ConfigError ? new RpcError(Code.InvalidArgument, error.message, { cause: error }) : error;
		} finally {
			this.isMaking = false;
		}
	}

	/** Kills all that runs in it. One that has ended already is cleared up. */
	private async stop({ id, sandbox }: Made): Promise<void> {
		if (this.store.has(id)) await sandbox.delete(id);
	}

	private async remove(made: Made): Promise<void> {
		await this.stop(made);
		this.tasks.removePod(made.id);
		removePodFiles(made.files);
		this.made = null;
	}
}

function removePodFiles(files: string): void {
	unmountAll(files);
	rmSync(files, { recursive: true, force: true });
}

/** CRI's configuration of the pod; another client may give none. Throws RpcError for what a sandbox can't give, or the operator doesn't. */
function podConfig(options: AnyMessage | null): PodConfig {
	const { PodSandboxConfig } = runtime.v1;
	const isCri = options?.type_url?.split('/').at(-1) === 'runtime.v1.PodSandboxConfig';
	const config = isCri ? PodSandboxConfig.decode(options?.value ?? new Uint8Array(0)) : PodSandboxConfig.create();
	const { namespaceOptions, privileged } = config.linux?.securityContext ?? {};
	const refuse = (what: string): never => {
		throw new RpcError(Code.InvalidArgument, what);
	};
	const refused = refusedNamespace(namespaceOptions ?? {});
	if (refused !== null) refuse(refused);
	const { allowedAnnotations, allowPrivileged } = operatorConfig(isCri ? null : options);
	if (privileged === true && !allowPrivileged) refuse('a privileged pod is not allowed on this node (runtime.allow_privileged)');
	try {
		checkAnnotations(Object.keys(config.annotations), allowedAnnotations);
	} catch (error) {
		throw RpcError.from(error, Code.InvalidArgument);
	}
	return config;
}
