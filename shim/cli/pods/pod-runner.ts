// What kubelet does for one pod, while `isopod pod run` is in the foreground: starts it, restarts what ends, probes it, and takes it down.

import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';
import { act } from './actions.js';
import { type Connection, isUnavailable } from './connection.js';
import type { PodAddresses } from './environment.js';
import { isSidecar, type Manifest } from './manifest.js';
import { EXITED, listContainers, RUNNING, SANDBOX_READY, type Sandbox } from './names.js';
import type { Container, Pod } from './pod.js';
import { containerConfig, hostsFile, namespaceOf, sandboxConfig } from './pod-config.js';
import { removePod, stopContainer, stopPod } from './pod-end.js';
import { Probes } from './probes.js';
import { removePodFolder, Volumes } from './volumes.js';

/** RunPodSandbox makes a network and may pull an image (kubelet's limit). */
const RUN_SANDBOX_MS = 240_000;
const CREATE_MS = 120_000;
const POLL_MS = 250;
/** How long a pod is kept whose server does not answer. */
const UNAVAILABLE_MS = 60_000;
/** kubelet's back-off: the first restart at once, then 10 s, doubled each time, and anew after ten good minutes. */
const FIRST_BACK_OFF_MS = 10_000;
const MAX_BACK_OFF_MS = 300_000;
const GOOD_MS = 600_000;
/** How long a postStart hook may take. */
const HOOK_MS = 600_000;
const MAX_TERMINATION_MESSAGE = 4096;

export interface RunnerEvents {
	/** A line for the user. */
	say(text: string): void;
	/** An instance of a container has a log, which may not be there yet. */
	onLog(container: string, path: string): void;
	/** What a container still had to say is to be shown before its end is told. */
	flush(container: string): void;
	pull(image: string): Promise<void>;
}

/** One container of the pod, over all of its instances. */
interface Run {
	readonly container: Container;
	readonly isInit: boolean;
	readonly isSide: boolean;
	id: string;
	/** The instance before, whose log is kept. */
	previousId: string;
	attempt: number;
	startedMs: number;
	backOffMs: number;
	state: 'waiting' | 'running' | 'backing off' | 'ended';
	exitCode: number;
	isStarted: boolean;
	isReady: boolean;
	probes: Probes | null;
	timer: NodeJS.Timeout | null;
	/** A probe or hook has failed: the container is being killed. */
	isKilled: boolean;
}

export class PodRunner {
	readonly pod: Pod;
	private readonly uid: string;
	private readonly folder: string;
	private readonly runs: Run[];
	private readonly volumes: Volumes;
	private readonly manifest: Manifest;
	private sandbox: Sandbox | null = null;
	private config: ReturnType<typeof sandboxConfig> = {};
	private addresses: PodAddresses = { podIps: [], hostIp: '127.0.0.1' };
	private isEnding = false;
	private hasFolder = false;

	constructor(
		private readonly connection: Connection,
		manifest: Manifest,
		/** Where the folders of pods are. */
		dataFolder: string,
		private readonly events: RunnerEvents,
		/** Aborted when the user wants an end. */
		private readonly signal: AbortSignal,
	) {
		this.uid = manifest.pod.metadata.uid ?? randomUUID();
		this.pod = { ...manifest.pod, metadata: { ...manifest.pod.metadata, uid: this.uid } };
		this.manifest = { ...manifest, pod: this.pod };
		this.folder = join(dataFolder, this.uid);
		this.volumes = new Volumes(this.folder, this.manifest);
		const { initContainers = [], containers } = this.pod.spec;
		const makeRun = (container: Container, isInit: boolean): Run => ({
			container,
			isInit,
			isSide: isSidecar(container, isInit),
			id: '',
			previousId: '',
			attempt: -1,
			startedMs: 0,
			backOffMs: 0,
			state: 'waiting',
			exitCode: 0,
			isStarted: false,
			isReady: false,
			probes: null,
			timer: null,
			isKilled: false,
		});
		this.runs = [...initContainers.map((one) => makeRun(one, true)), ...containers.map((one) => makeRun(one, false))];
	}

	get id(): string {
		return this.sandbox?.id ?? '';
	}

	/** Pulls, makes the sandbox and its volumes, runs the init containers and starts the others. Rejects when any of it fails. */
	async start(): Promise<void> {
		await this.pullImages();
		this.signal.throwIfAborted();
		this.makeFolder();
		const logs = join(this.folder, 'logs');
		for (const { container } of this.runs) mkdirSync(join(logs, container.name), { recursive: true });
		this.config = sandboxConfig(this.pod, this.uid, logs, this.folder);
		const runtimeHandler = this.pod.spec.runtimeClassName ?? '';
		const { podSandboxId } = await this.connection.call('RunPodSandbox', { config: this.config, runtimeHandler }, RUN_SANDBOX_MS);
		this.sandbox = {
			id: podSandboxId,
			metadata: this.config.metadata ?? null,
			annotations: this.config.annotations ?? {},
			createdAt: Date.now() * 1e6,
		};
		await this.findAddresses();
		this.signal.throwIfAborted();
		this.volumes.make(this.addresses);
		writeFileSync(join(this.folder, 'hosts'), hostsFile(this.pod, this.addresses));
		for (const run of this.runs.filter(({ isInit }) => isInit)) await this.runInit(run);
		for (const run of this.runs.filter(({ isInit }) => !isInit)) {
			this.signal.throwIfAborted();
			await this.startRun(run);
		}
	}

	/** Watches over the pod until all of its containers have ended for good: the exit code. Rejects when the sandbox dies, or by `signal`. */
	async supervise(): Promise<number> {
		const { activeDeadlineSeconds } = this.pod.spec;
		const deadlineMs = activeDeadlineSeconds === undefined ? Number.POSITIVE_INFINITY : Date.now() + activeDeadlineSeconds * 1000;
		const main = this.runs.filter(({ isInit }) => !isInit);
		let answeredMs = Date.now();
		while (main.some(({ state }) => state !== 'ended')) {
			this.signal.throwIfAborted();
			if (Date.now() > deadlineMs) throw new Error(`DeadlineExceeded: the pod was active longer than ${activeDeadlineSeconds} s`);
			try {
				await this.look();
				answeredMs = Date.now();
			} catch (error) {
				// A server that is started anew finds its pods again.
				if (!isUnavailable(error) || Date.now() - answeredMs > UNAVAILABLE_MS) throw error;
			}
			await this.pause(POLL_MS);
		}
		return main.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0;
	}

	/** Stops all and removes what there is of it; `graceSeconds` null for the pod's own. */
	async end(graceSeconds: number | null): Promise<void> {
		this.isEnding = true;
		for (const run of this.runs) this.quiet(run);
		if (this.sandbox === null) {
			if (this.hasFolder) removePodFolder(this.folder);
			return;
		}
		await stopPod(this.connection, this.sandbox, graceSeconds);
		for (const { container } of this.runs) this.events.flush(container.name);
		await removePod(this.connection, this.sandbox);
		this.sandbox = null;
	}

	/** Kills what {@link end} is waiting for. */
	async kill(): Promise<void> {
		// Without a pod the filter would name no one, which is everyone.
		if (this.sandbox === null) return;
		const running = await listContainers(this.connection.call, { podSandboxId: this.id }).catch(() => []);
		const kill = ({ id }: { id?: string | null }): Promise<unknown> =>
			this.connection.call('StopContainer', { containerId: id ?? '', timeout: 0 });
		await Promise.allSettled(running.filter(({ state }) => state === RUNNING).map(kill));
	}

	/** Leaves the pod as it is. */
	detach(): void {
		this.isEnding = true;
		for (const run of this.runs) this.quiet(run);
	}

	/** The pod's own folder: of nobody else's pod, whatever uid the file names. */
	private makeFolder(): void {
		mkdirSync(dirname(this.folder), { recursive: true });
		try {
			mkdirSync(this.folder, { mode: 0o755 });
		} catch (error) {
			throw HostError.from(`Make the pod's folder ${this.folder}`, error);
		}
		this.hasFolder = true;
	}

	private quiet(run: Run): void {
		run.probes?.stop();
		if (run.timer !== null) clearTimeout(run.timer);
		run.timer = null;
	}

	private async pullImages(): Promise<void> {
		const policies = new Map<string, Set<string>>();
		for (const { container } of this.runs) {
			const policy = container.imagePullPolicy ?? (/(:latest|\/[^:@]*|^[^:@/]*)$/.test(container.image) ? 'Always' : 'IfNotPresent');
			policies.set(container.image, (policies.get(container.image) ?? new Set()).add(policy));
		}
		for (const [image, wanted] of policies) {
			this.signal.throwIfAborted();
			if (!wanted.has('Always')) {
				const { image: present } = await this.connection.call('ImageStatus', { image: { image } });
				if (present != null) continue;
				if (!wanted.has('IfNotPresent')) throw new Error(`image ${JSON.stringify(image)} is not here, and its pull policy is Never`);
			}
			await this.events.pull(image);
		}
	}

	private async findAddresses(): Promise<void> {
		const { status } = await this.connection.call('PodSandboxStatus', { podSandboxId: this.id });
		const hostIp =
			Object.values(networkInterfaces())
				.flat()
				.find((address) => address !== undefined && !address.internal && address.family === 'IPv4')?.address ?? '127.0.0.1';
		const { ip = '', additionalIps = [] } = status?.network ?? {};
		const own = [ip ?? '', ...(additionalIps ?? []).map((other) => other.ip ?? '')].filter(Boolean);
		this.addresses = { podIps: this.pod.spec.hostNetwork === true || own.length === 0 ? [hostIp] : own, hostIp };
	}

	/** Runs an init container to its good end, or a sidecar until it has started. */
	private async runInit(run: Run): Promise<void> {
		await this.startRun(run);
		const isDone = (): boolean => (run.isSide ? run.isStarted : run.state === 'ended');
		while (!isDone()) {
			this.signal.throwIfAborted();
			await this.look();
			if (!isDone()) await this.pause(POLL_MS);
		}
		if (!run.isSide && run.exitCode !== 0)
			throw new Error(`init container ${JSON.stringify(run.container.name)} failed with exit code ${run.exitCode}`);
	}

	/** Makes and starts the next instance of a container. */
	private async startRun(run: Run): Promise<void> {
		const { container } = run;
		const { call } = this.connection;
		run.attempt++;
		run.isKilled = false;
		const terminationLog = join(this.folder, 'logs', container.name, `${run.attempt}.message`);
		writeFileSync(terminationLog, '');
		// Whoever the program runs as writes to it.
		chmodSync(terminationLog, 0o666);
		await this.checkUser(container);
		const config = containerConfig(container, {
			manifest: this.manifest,
			uid: this.uid,
			addresses: this.addresses,
			volumes: this.volumes,
			attempt: run.attempt,
			hosts: join(this.folder, 'hosts'),
			terminationLog,
		});
		const fields = { podSandboxId: this.id, config, sandboxConfig: this.config };
		const { containerId } = await call('CreateContainer', fields, CREATE_MS);
		const { previousId } = run;
		run.previousId = run.id;
		run.id = containerId;
		// The log of the instance before the last one is nobody's.
		if (previousId !== '') await call('RemoveContainer', { containerId: previousId }).catch(() => undefined);
		this.events.onLog(container.name, join(this.folder, 'logs', config.logPath ?? ''));
		await call('StartContainer', { containerId }, CREATE_MS);
		run.state = 'running';
		run.startedMs = Date.now();
		const hook = container.lifecycle?.postStart;
		if (hook !== undefined) {
			const failure = await act(hook, { ...this.target(run), container }, HOOK_MS);
			if (failure !== null) {
				this.events.say(`container ${container.name}: PostStartHook failed: ${failure}`);
				await this.endRun(run);
				return;
			}
		}
		this.probe(run);
	}

	private target(run: Run): { call: Connection['call']; containerId: string; host: string } {
		return { call: this.connection.call, containerId: run.id, host: this.addresses.podIps[0] ?? '127.0.0.1' };
	}

	private probe(run: Run): void {
		const { container } = run;
		const hasProbes = [container.startupProbe, container.livenessProbe, container.readinessProbe].some((probe) => probe !== undefined);
		run.probes = new Probes(
			{ ...this.target(run), container },
			{
				onFailure: (kind, message) => this.events.say(`container ${container.name}: ${kind} probe failed: ${message}`),
				onStarted: () => {
					run.isStarted = true;
				},
				onReady: (isReady) => {
					if (hasProbes && isReady !== run.isReady) this.events.say(`container ${container.name} is ${isReady ? '' : 'not '}ready`);
					run.isReady = isReady;
				},
				onDead: (kind) => {
					this.events.say(`container ${container.name} failed its ${kind.toLowerCase()} probe and is restarted or ended by its policy`);
					const probe = kind === 'Startup' ? container.startupProbe : container.livenessProbe;
					this.endRun(run, probe?.terminationGracePeriodSeconds).catch((error: Error) => this.events.say(error.message));
				},
			},
		);
	}

	private async endRun(run: Run, graceSeconds = this.pod.spec.terminationGracePeriodSeconds ?? 30): Promise<void> {
		if (run.isKilled || this.isEnding) return;
		run.isKilled = true;
		const failure = await stopContainer(this.target(run), run.container, graceSeconds);
		if (failure !== null) this.events.say(`container ${run.container.name}: PreStopHook failed: ${failure}`);
	}

	/** runAsNonRoot: the user of the image counts when the pod names none. */
	private async checkUser({ name, image, securityContext: own = {} }: Container): Promise<void> {
		const { securityContext: shared = {} } = this.pod.spec;
		if ((own.runAsNonRoot ?? shared.runAsNonRoot) !== true) return;
		const chosen = own.runAsUser ?? shared.runAsUser;
		const refuse = (reason: string): never => {
			throw new Error(`container ${JSON.stringify(name)} has runAsNonRoot and ${reason}`);
		};
		if (chosen === 0) refuse('would run as root');
		if (chosen !== undefined) return;
		const { image: found } = await this.connection.call('ImageStatus', { image: { image } });
		if (found?.uid != null ? found.uid.value === 0 : (found?.username ?? '') === '') refuse('its image runs as root');
		else if (found?.uid == null) refuse(`its image has a user by name (${found?.username}): it can't be known that this is not root`);
	}

	/** Sees which containers have ended. */
	private async look(): Promise<void> {
		const podSandboxId = this.id;
		const [containers, { items }] = await Promise.all([
			listContainers(this.connection.call, { podSandboxId }),
			this.connection.call('ListPodSandbox', { filter: { id: podSandboxId } }),
		]);
		for (const run of this.runs) {
			if (run.state !== 'running') continue;
			const item = containers.find(({ id }) => id === run.id);
			if (item === undefined) throw new Error(`container ${JSON.stringify(run.container.name)} was removed by somebody else`);
			if (item.state === EXITED) await this.onExit(run);
		}
		if (items[0]?.state !== SANDBOX_READY && this.runs.some(({ state }) => state !== 'ended'))
			throw new Error(`the sandbox of pod ${JSON.stringify(this.pod.metadata.name)} is gone`);
	}

	private async onExit(run: Run): Promise<void> {
		const { container } = run;
		this.quiet(run);
		run.isReady = false;
		const { status } = await this.connection.call('ContainerStatus', { containerId: run.id });
		run.exitCode = status?.exitCode ?? 255;
		this.events.flush(container.name);
		const policy = run.isSide ? 'Always' : (this.pod.spec.restartPolicy ?? 'Always');
		const isFine = run.exitCode === 0;
		const isRestarted =
			run.isInit && !run.isSide ? !isFine && policy !== 'Never' : policy === 'Always' || (policy === 'OnFailure' && !isFine);
		const message = this.terminationMessage(run);
		const reason = status?.reason ?? '';
		const detail = [reason === 'Completed' || reason === 'Error' ? '' : reason, message].filter(Boolean).join(': ');
		if (!isFine || isRestarted || detail !== '')
			this.events.say(`container ${container.name} ended with exit code ${run.exitCode}${detail === '' ? '' : ` (${detail})`}`);
		if (!isRestarted) {
			run.state = 'ended';
			return;
		}
		if (Date.now() - run.startedMs > GOOD_MS) run.backOffMs = 0;
		const waitMs = run.backOffMs;
		run.backOffMs = Math.min(Math.max(2 * run.backOffMs, FIRST_BACK_OFF_MS), MAX_BACK_OFF_MS);
		run.state = 'backing off';
		if (waitMs > 0) this.events.say(`container ${container.name}: back-off ${waitMs / 1000} s before it is restarted`);
		run.timer = setTimeout(() => {
			run.timer = null;
			if (this.isEnding) return;
			this.startRun(run).catch((error: Error) => {
				if (this.isEnding) return;
				this.events.say(`container ${container.name}: ${error.message}`);
				run.exitCode = 128;
				run.state = 'ended';
			});
		}, waitMs);
	}

	private terminationMessage({ container, attempt }: Run): string {
		const fd = openSync(join(this.folder, 'logs', container.name, `${attempt}.message`), 'r');
		try {
			const buffer = Buffer.alloc(MAX_TERMINATION_MESSAGE);
			return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0)).trim();
		} finally {
			closeSync(fd);
		}
	}

	private async pause(ms: number): Promise<void> {
		await new Promise<void>((resolve) => {
			const end = (): void => {
				clearTimeout(timer);
				this.signal.removeEventListener('abort', end);
				resolve();
			};
			const timer = setTimeout(end, ms);
			this.signal.addEventListener('abort', end);
		});
	}

	/** Where the pod is, for the user. */
	get title(): string {
		return `${namespaceOf(this.pod)}/${this.pod.metadata.name}`;
	}

	get address(): string {
		return this.addresses.podIps[0] ?? '';
	}
}
