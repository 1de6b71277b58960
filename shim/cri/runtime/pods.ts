import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { constants, hostname as ownHostname } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { runtime } from '../../../proto/generated/cri.js';
import { HostError } from '../../../runtime/host-error.js';
import { parseConfig } from '../../../runtime/oci/config.js';
import { parseResources } from '../../../runtime/oci/resources.js';
import { Section } from '../../../runtime/oci/section.js';
import { StateStore } from '../../../runtime/oci/state.js';
import { findHandler } from '../../../runtime/sandbox/handlers.js';
import { packageRoot } from '../../../runtime/sandbox/launch.js';
import type { ContainerSpec, Exit } from '../../../runtime/sandbox/sandbox.js';
import { checkAnnotations } from '../../annotations.js';
import type { Image, ImageStore } from '../../image/image-store.js';
import type { Cni, PortMapping, RuntimeCapabilities } from '../cni/network.js';
import type { NetworkConfigs } from '../cni/network-config.js';
import type { NetworkNamespaces } from '../cni/network-namespace.js';
import { cri } from '../methods.js';
import { CriError, invalid, notFound } from '../server/cri-error.js';
import { traced } from '../server/tracing.js';
import { Container } from './container.js';
import { ContainerEvents } from './container-events.js';
import { ContainerIo, type ContainerIoOptions } from './container-io.js';
import { checkContainer, checkPod, containerSpec } from './oci-spec.js';
import { Pod } from './pod.js';
import { makePodFiles } from './pod-files.js';
import { ociResources, type PodPlace, podSpec, sharesPids } from './pod-spec.js';
import { type ContainerRecord, type PodRecord, Records } from './records.js';
import { unmountAll } from './unmount.js';
import { findUser, type User } from './users.js';

type PodConfig = InstanceType<typeof cri.PodSandboxConfig>;
type ContainerConfig = InstanceType<typeof cri.ContainerConfig>;
type Resources = InstanceType<typeof cri.LinuxContainerResources>;
type ResourceFields = runtime.v1.LinuxContainerResources.$Properties;

export interface PodsOptions {
	/** What outlives a reboot: records. */
	readonly root: string;
	/** What doesn't: sandboxes, mounts, FIFOs. */
	readonly state: string;
	/** The handler of pods that name none. */
	readonly defaultHandler: string;
	readonly allowedAnnotations: readonly string[];
	readonly allowPrivileged: boolean;
	/** Seccomp profiles that pods may name lie below it. */
	readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}

export interface Network {
	readonly cni: Cni;
	readonly configs: NetworkConfigs;
	readonly namespaces: NetworkNamespaces;
}

const NANOSECONDS = 1_000_000;
/** How long the last output of a container may take into its log when the container has ended. */
const DRAIN_MS = 2000;
/** As containerd has it for a container whose end nobody saw. */
const UNKNOWN_EXIT = 255;

/** All pods and containers: their lives, on disk before the caller hears of them. */
export class Pods {
	readonly events = new ContainerEvents();
	private readonly pods = new Map<string, Pod>();
	private readonly containers = new Map<string, Container>();
	/** Names that are taken, by pods and containers that may still be in the making. */
	private readonly names = new Set<string>();
	private readonly store: StateStore;
	private readonly podRecords: Records<PodRecord>;
	private readonly containerRecords: Records<ContainerRecord>;

	private constructor(
		private readonly options: PodsOptions,
		private readonly images: ImageStore,
		private readonly network: Network,
	) {
		this.store = new StateStore(join(options.state, 'sandboxes'));
		this.podRecords = new Records(join(options.root, 'pods'));
		this.containerRecords = new Records(join(options.root, 'containers'));
	}

	/** Finds what there is of an earlier server's pods, and finishes or undoes what was half done. */
	static async open(options: PodsOptions, images: ImageStore, network: Network): Promise<Pods> {
		const pods = new Pods(options, images, network);
		pods.installPause();
		await pods.recover();
		return pods;
	}

	// --- Lists ---

	/** By its id or the beginning of it. Throws CriError (NOT_FOUND). */
	pod(id: string): Pod {
		return find(this.pods, id) ?? fail(notFound(`pod sandbox ${id}`));
	}

	container(id: string): Container {
		return find(this.containers, id) ?? fail(notFound(`container ${id}`));
	}

	findPod(id: string): Pod | null {
		return find(this.pods, id);
	}

	findContainer(id: string): Container | null {
		return find(this.containers, id);
	}

	allPods(): Iterable<Pod> {
		return this.pods.values();
	}

	allContainers(): Iterable<Container> {
		return this.containers.values();
	}

	/** Of a container that runs, or of one that was made. */
	sandboxOf(container: Container): NonNullable<Pod['sandbox']> {
		return container.pod.sandbox ?? fail(new CriError(status.FAILED_PRECONDITION, `the pod sandbox ${container.pod.id} is not running`));
	}

	/** The OCI `process` of a container. */
	processOf(container: Container): Record<string, unknown> {
		return this.store.config(container.id).process;
	}

	// --- Pods ---

	/** Makes a pod and starts it; its id. Leaves nothing when it fails. */
	async runPod(config: PodConfig, handlerName: string): Promise<string> {
		checkPod(config, this.options.allowPrivileged);
		const handler = asInvalid(() => findHandler(handlerName || this.options.defaultHandler));
		asInvalid(() => checkAnnotations(Object.keys(config.annotations), this.options.allowedAnnotations));
		const release = this.reserve('pod sandbox', podName(config));
		const pod = new Pod({
			id: randomBytes(32).toString('hex'),
			config: encodeConfig(config),
			handler: handler.name,
			createdAt: Date.now() * NANOSECONDS,
			state: 'making',
			ips: [],
		});
		try {
			await this.podRecords.save(pod.record);
			const steps = { 'isopod.pod': pod.id, 'isopod.handler': handler.name };
			const ips = await traced('network', steps, () => this.connect(pod));
			const place = this.placeOf(pod);
			const hostname = config.hostname || ownHostname();
			makePodFiles(place.files, hostname, ips, config.dnsConfig ?? null);
			const text = JSON.stringify(podSpec(place, hostname, this.pauseRoot));
			const spec = {
				...{ id: pod.id, bundle: place.files, rootfs: this.pauseRoot, text },
				...{ config: parseConfig(JSON.parse(text)), stdio: [-1, -1, -1] },
			};
			const sandbox = await traced('sandbox', steps, () => handler.make(this.store, spec));
			pod.sandbox = sandbox;
			// Nobody else needs a program there: the namespaces are there without one, but for that of pids, which has no first process then.
			if (sharesPids(config)) await traced('first instruction', steps, () => sandbox.start(pod.id));
			Object.assign(pod.record, { state: 'ready', ips });
			await this.podRecords.save(pod.record);
		} catch (error) {
			await this.undo(pod);
			release();
			throw error;
		}
		this.adopt(pod);
		this.tell(pod, pod.id, cri.ContainerEventType.CONTAINER_CREATED_EVENT);
		this.tell(pod, pod.id, cri.ContainerEventType.CONTAINER_STARTED_EVENT);
		return pod.id;
	}

	/** Kills what runs in a pod and takes it off its network. What has been stopped is so already. */
	stopPod(pod: Pod): Promise<void> {
		return pod.alone(async () => {
			for (const container of pod.containers.values()) if (container.record.state === 'running') await this.kill(container);
			const wasReady = pod.record.state === 'ready';
			pod.record.state = 'stopped';
			await this.podRecords.save(pod.record);
			await this.release(pod);
			if (wasReady) this.tell(pod, pod.id, cri.ContainerEventType.CONTAINER_STOPPED_EVENT);
		});
	}

	/** Forgets a pod with all of its containers. */
	async removePod(pod: Pod): Promise<void> {
		await this.stopPod(pod);
		await pod.alone(async () => {
			if (!this.pods.has(pod.id)) return;
			for (const container of pod.containers.values()) await this.removeOne(container);
			await this.forget(pod);
			this.pods.delete(pod.id);
			this.names.delete(podName(pod.config));
			this.tell(pod, pod.id, cri.ContainerEventType.CONTAINER_DELETED_EVENT);
		});
	}

	/** Keeps what kubelet has done to a pod's own control group: its limits are kubelet's to set. */
	async updatePod(pod: Pod, overhead: ResourceFields | null, resources: ResourceFields | null): Promise<void> {
		await pod.alone(async () => {
			const { config, record } = pod;
			const linux = cri.LinuxPodSandboxConfig.create(config.linux ?? {});
			if (overhead !== null) linux.overhead = overhead;
			if (resources !== null) linux.resources = resources;
			config.linux = linux;
			record.config = encodeConfig(config);
			await this.podRecords.save(record);
		});
	}

	/** Gives a pod its network namespace and its place in the network: its addresses. */
	private async connect(pod: Pod): Promise<readonly string[]> {
		const { cni, configs, namespaces } = this.network;
		const { current } = configs;
		if (current.config === null) throw new CriError(status.UNAVAILABLE, `the network is not ready: ${current.reason}`);
		const netns = await namespaces.create(pod.id);
		const { metadata, annotations } = pod.config;
		const { name, namespace, uid } = metadata ?? {};
		const capabilities = capabilitiesOf(pod.config, annotations);
		const { ips } = await cni.add(
			current.config,
			{ id: pod.id, name: name ?? '', namespace: namespace ?? '', uid: uid ?? '', netns },
			capabilities,
		);
		return ips;
	}

	/** Undoes a pod that could not be made. */
	private async undo(pod: Pod): Promise<void> {
		try {
			await this.release(pod);
			await this.forget(pod);
		} catch (error) {
			// Its record stays: the next server tries again.
			this.options.log('error', `Undo the pod sandbox ${pod.id}: ${messageOf(error)}`);
		}
	}

	/** Ends a pod's sandbox and takes away what it has of the host; it may have none of it. */
	private async release(pod: Pod): Promise<void> {
		const { cni, namespaces } = this.network;
		const sandbox = pod.sandbox ?? (await this.leftSandbox(pod));
		pod.sandbox = null;
		await sandbox?.shutdown();
		await cni.del(pod.id, 'eth0', existsSync(namespaces.path(pod.id)));
		await namespaces.remove(pod.id);
		const { files } = this.placeOf(pod);
		unmountAll(files);
		rmSync(files, { recursive: true, force: true });
	}

	private async forget(pod: Pod): Promise<void> {
		await this.podRecords.remove(pod.id);
	}

	private async openSandbox(pod: Pod): Promise<NonNullable<Pod['sandbox']>> {
		return findHandler(pod.record.handler).open(this.store, pod.id);
	}

	/** The sandbox of a pod that another server made; null when there is none. */
	private async leftSandbox(pod: Pod): Promise<Pod['sandbox']> {
		if (pod.id === '' || !existsSync(this.store.folder(pod.id))) return null;
		try {
			return await this.openSandbox(pod);
		} catch (error) {
			// A record is written before there is anything else: without one there is nothing.
			this.options.log('warn', `Open the sandbox of the pod ${pod.id}: ${messageOf(error)}`);
			this.store.remove(pod.id);
			return null;
		}
	}

	/** A pod that runs is one of ours from now on. */
	private adopt(pod: Pod): void {
		this.pods.set(pod.id, pod);
		const { sandbox } = pod;
		sandbox?.ended.then((why) => {
			if (pod.sandbox !== sandbox) return;
			this.options.log('warn', `The sandbox of the pod ${pod.id} has ended: ${why}`);
			pod.sandbox = null;
			sandbox.close();
			// Its containers' ends come by their waits.
			void this.stopPod(pod).catch((error: unknown) => this.options.log('error', `Clear up the pod ${pod.id}: ${messageOf(error)}`));
		});
	}

	private placeOf(pod: Pod): PodPlace {
		return {
			id: pod.id,
			netns: this.network.namespaces.path(pod.id),
			pid: pod.sandbox?.pid ?? 0,
			files: join(this.options.state, 'pods', pod.id),
			config: pod.config,
		};
	}

	// --- Containers ---

	/** Makes a container of a pod; its id. Leaves nothing when it fails. */
	createContainer(pod: Pod, config: ContainerConfig): Promise<string> {
		return pod.alone(async () => {
			checkContainer(config, this.options.allowPrivileged);
			if (config.linux?.securityContext?.privileged === true && pod.config.linux?.securityContext?.privileged !== true)
				throw invalid(`the pod sandbox ${pod.id} is not privileged, so that no container of it can be`);
			const { sandbox } = pod;
			if (!pod.isReady || sandbox === null) throw new CriError(status.FAILED_PRECONDITION, `the pod sandbox ${pod.id} is not running`);
			const image = await this.imageOf(config);
			const release = this.reserve('container', containerName(pod, config));
			const id = randomBytes(32).toString('hex');
			try {
				const container = await this.makeContainer(id, pod, config, image);
				pod.containers.set(id, container);
				this.containers.set(id, container);
			} catch (error) {
				release();
				throw error;
			}
			this.tell(pod, id, cri.ContainerEventType.CONTAINER_CREATED_EVENT);
			return id;
		});
	}

	private async makeContainer(id: string, pod: Pod, config: ContainerConfig, image: Image): Promise<Container> {
		const user = await this.userOf(config, image);
		const container = new Container(pod, {
			...{ id, podId: pod.id, imageId: image.id, imageRef: image.repoDigests[0] ?? image.id },
			config: Buffer.from(cri.ContainerConfig.encode(config).finish()).toString('base64'),
			createdAt: Date.now() * NANOSECONDS,
			user,
			stopSignal: stopSignal(config, image),
			state: 'making',
			...{ startedAt: 0, finishedAt: 0, exitCode: 0, reason: '', message: '' },
			resources: encodeResources(cri.LinuxContainerResources.create(config.linux?.resources ?? {})),
		});
		try {
			await this.containerRecords.save(container.record);
			const steps = { 'isopod.pod': pod.id, 'isopod.container': id };
			const { folder, options } = await traced('root file system', steps, () => this.images.prepare(id, image.id));
			const bundle = this.bundleOf(id);
			mkdirSync(bundle, { recursive: true, mode: 0o711 });
			const rootfs = join(bundle, 'rootfs');
			for (const { hostPath } of config.mounts) makeSource(hostPath ?? '');
			const target = config.linux?.securityContext?.namespaceOptions?.targetId;
			const targetPid = target ? this.container(target).pid : 0;
			const { config: imageConfig } = image.config;
			const text = JSON.stringify(containerSpec(id, this.placeOf(pod), config, imageConfig, user, rootfs, targetPid));
			const io = ContainerIo.make(this.ioOptions(container));
			container.io = io;
			const spec: ContainerSpec = {
				...{ id, bundle, rootfs, text },
				...(target && pod.record.handler === 'isopod-vm' && { pidsOf: target }),
				rootfsMounts: [{ type: 'overlay', source: 'overlay', options: options.map((option) => absolute(option, folder)) }],
				config: parseConfig(JSON.parse(text)),
				stdio: io.stdio,
				onBuilt: () => io.handedOver(),
			};
			await traced('sandbox', steps, () => this.sandboxOf(container).create(spec));
			container.record.state = 'created';
			await this.containerRecords.save(container.record);
			return container;
		} catch (error) {
			await this.clear(container);
			throw error;
		}
	}

	async startContainer(container: Container): Promise<void> {
		await container.pod.alone(async () => {
			const { record } = container;
			if (record.state !== 'created')
				throw new CriError(status.FAILED_PRECONDITION, `container ${container.id} is ${record.state}, want one that was created`);
			const sandbox = this.sandboxOf(container);
			let started: Awaited<ReturnType<typeof sandbox.start>>;
			try {
				// Resolves when the program has been executed.
				const steps = { 'isopod.pod': container.pod.id, 'isopod.container': container.id };
				started = await traced('first instruction', steps, () => sandbox.start(container.id));
			} catch (error) {
				await this.exited(container, { status: 128, atMs: Date.now(), reason: messageOf(error) }, 'StartError');
				throw error;
			}
			Object.assign(record, { state: 'running', startedAt: Date.now() * NANOSECONDS });
			container.pid = started.pid;
			await this.containerRecords.save(record);
			this.tell(container.pod, container.id, cri.ContainerEventType.CONTAINER_STARTED_EVENT);
			this.watch(container, started.ended);
		});
	}

	/** Sends the stop signal, and SIGKILL after `seconds`; resolves when it has ended. One that doesn't run is stopped already. */
	async stopContainer(container: Container, seconds: number): Promise<void> {
		if (container.record.state !== 'running') return;
		if (seconds > 0) {
			await this.signal(container, container.record.stopSignal, false);
			let timer: NodeJS.Timeout | undefined;
			const isOver = await Promise.race([
				container.ended().then(() => true),
				new Promise<boolean>((resolve) => {
					timer = setTimeout(() => resolve(false), Math.min(seconds * 1000, MAX_TIMEOUT_MS));
				}),
			]);
			clearTimeout(timer);
			if (isOver) return;
		}
		await this.kill(container);
	}

	/** Kills it if it runs, and forgets it. */
	async removeContainer(container: Container): Promise<void> {
		await container.pod.alone(() => this.removeOne(container));
	}

	private async removeOne(container: Container): Promise<void> {
		const { id, pod, record } = container;
		if (!this.containers.has(id)) return;
		if (record.state === 'running') await this.kill(container);
		await this.clear(container);
		pod.containers.delete(id);
		this.containers.delete(id);
		this.names.delete(containerName(pod, container.config));
		container.tellEnd();
		this.tell(pod, id, cri.ContainerEventType.CONTAINER_DELETED_EVENT);
	}

	async updateContainer(container: Container, changes: Resources): Promise<void> {
		await container.pod.alone(async () => {
			if (container.record.state === 'exited') throw new CriError(status.FAILED_PRECONDITION, `container ${container.id} has ended`);
			const parsed = parseResources(new Section(ociResources(changes), 'resources'));
			await this.sandboxOf(container).update(container.id, parsed);
			const given = Object.entries(changes).filter(([, value]) => value !== 0 && value !== '');
			container.record.resources = encodeResources(
				cri.LinuxContainerResources.create({ ...container.resources, ...Object.fromEntries(given) }),
			);
			await this.containerRecords.save(container.record);
		});
	}

	private async kill(container: Container): Promise<void> {
		await this.signal(container, constants.signals.SIGKILL, true);
		await container.ended();
	}

	/** One that has ended meanwhile, or whose sandbox has, gets none. */
	private async signal(container: Container, number: number, toAll: boolean): Promise<void> {
		try {
			await container.pod.sandbox?.signal(container.id, '', number, toAll);
		} catch (error) {
			this.options.log('info', `Send signal ${number} to the container ${container.id}: ${messageOf(error)}`);
		}
	}

	private watch(container: Container, ended: Promise<Exit>): void {
		ended
			.catch((error: unknown): Exit => ({ status: UNKNOWN_EXIT, atMs: Date.now(), reason: messageOf(error) }))
			.then((exit) => this.exited(container, exit, ''))
			.catch((error: unknown) => this.options.log('error', `The end of the container ${container.id}: ${messageOf(error)}`));
	}

	private async exited(container: Container, { status: exitCode, atMs, reason: message = '' }: Exit, reason: string): Promise<void> {
		const { record, pod, id, io } = container;
		const { sandbox } = pod;
		const isOom = sandbox !== null && exitCode === 128 + constants.signals.SIGKILL && tryCount(() => sandbox.oomKills(id)) > 0;
		// Whoever sees that it has ended finds its whole output in the log.
		await Promise.race([io?.drained, new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
		await io?.close();
		container.io = null;
		container.pid = 0;
		const end = {
			state: 'exited' as const,
			finishedAt: atMs * NANOSECONDS,
			exitCode,
			reason: reason || (isOom ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error'),
			message,
		};
		await this.containerRecords.save({ ...record, ...end });
		// What it had of the sandbox is given back; its files stay until it is removed.
		await sandbox?.delete(id).catch((error: unknown) => this.options.log('warn', `Delete the container ${id}: ${messageOf(error)}`));
		Object.assign(record, end);
		container.tellEnd();
		this.tell(pod, id, cri.ContainerEventType.CONTAINER_STOPPED_EVENT);
	}

	/** Takes away all of a container that doesn't run. */
	private async clear(container: Container): Promise<void> {
		const { id, pod } = container;
		await container.io?.close();
		container.io = null;
		await this.deleteFrom(pod.sandbox ?? (await this.leftSandbox(pod)), id);
		await this.images.snapshots.remove(id);
		unmountAll(this.bundleOf(id));
		rmSync(this.bundleOf(id), { recursive: true, force: true });
		await this.containerRecords.remove(id);
	}

	/** Takes a container out of its sandbox, which may know nothing of it, or be gone. */
	private async deleteFrom(sandbox: Pod['sandbox'], id: string): Promise<void> {
		if (!existsSync(this.store.folder(id))) return;
		if (sandbox !== null && this.store.has(id)) await sandbox.delete(id);
		else this.store.remove(id);
	}

	private bundleOf(id: string): string {
		return join(this.options.state, 'containers', id);
	}

	private ioOptions({ id, config, logPath }: Container): ContainerIoOptions {
		return {
			folder: join(this.bundleOf(id), 'io'),
			logPath,
			stdin: config.stdin,
			stdinOnce: config.stdinOnce,
			terminal: config.tty,
			onLost: (message) => this.options.log('warn', message),
		};
	}

	private async imageOf({ image }: ContainerConfig): Promise<Image> {
		const name = image?.image ?? '';
		return (await this.images.status(name)) ?? fail(notFound(`image ${name}`));
	}

	private async userOf(config: ContainerConfig, { config: image, chainId }: Image): Promise<User> {
		const read = (path: string): Promise<string> =>
			chainId === null ? Promise.resolve('') : this.images.snapshots.readText(chainId, path);
		const security = config.linux?.securityContext;
		const { runAsUser, runAsGroup, runAsUsername } = security ?? {};
		const name = runAsUser != null ? `${runAsUser.value ?? 0}` : runAsUsername || image.config.user;
		const wanted = runAsGroup == null ? name : `${name.split(':', 1)[0]}:${runAsGroup.value ?? 0}`;
		const user = findUser(wanted, await read('etc/passwd'), await read('etc/group'));
		const isStrict = security?.supplementalGroupsPolicy === cri.SupplementalGroupsPolicy.Strict;
		const groups = [...(isStrict ? [] : user.groups), ...(security?.supplementalGroups ?? [])];
		return { ...user, groups: [...new Set([user.gid, ...groups])] };
	}

	// --- After a restart ---

	private async recover(): Promise<void> {
		const pods = await this.podRecords.load();
		const containers = await this.containerRecords.load();
		for (const { id, why } of [...pods.broken, ...containers.broken])
			this.options.log('error', `${why}; what there is of ${id} is taken away`);
		for (const { id } of pods.broken) await this.undo(new Pod({ ...ORPHANED, id }));
		// One that can't be taken up again, or away, must not keep all the others from it.
		const attempt = async (id: string, action: () => Promise<void>): Promise<void> => {
			try {
				await action();
			} catch (error) {
				this.options.log('error', `Take up ${id} again: ${messageOf(error)}`);
			}
		};
		for (const record of pods.records) await attempt(record.id, () => this.recoverPod(new Pod(record)));
		for (const record of containers.records)
			await attempt(record.id, async () => {
				const pod = this.pods.get(record.podId);
				const container = new Container(pod ?? new Pod({ ...ORPHANED, id: record.podId }), record);
				if (pod === undefined || record.state === 'making') await this.clear(container);
				else await this.recoverContainer(pod, container);
			});
		for (const { id } of containers.broken)
			await attempt(id, async () => {
				const podId = this.podOf(id);
				await this.clear(new Container(this.pods.get(podId) ?? new Pod({ ...ORPHANED, id: podId }), { ...UNREADABLE, id, podId }));
			});
		for (const id of pods.remnants) await this.podRecords.remove(id);
		for (const id of containers.remnants) await this.containerRecords.remove(id);
		const living = new Set(containers.records.map(({ id }) => id));
		for (const { key } of this.images.snapshots.list()) if (!living.has(key)) await this.images.snapshots.remove(key);
	}

	/** The pod that a container was made in, by the sandbox's own records; '' when they don't say. */
	private podOf(containerId: string): string {
		try {
			return this.store.load(containerId).sandboxId;
		} catch {
			return '';
		}
	}

	private async recoverPod(pod: Pod): Promise<void> {
		const { record } = pod;
		if (record.state === 'making') {
			await this.undo(pod);
			return;
		}
		this.names.add(podName(pod.config));
		if (record.state === 'ready') pod.sandbox = await this.leftSandbox(pod);
		this.adopt(pod);
		// It was being stopped, or the host was started anew.
		if (pod.sandbox === null) {
			record.state = 'stopped';
			await this.podRecords.save(record);
			await this.release(pod);
		}
	}

	private async recoverContainer(pod: Pod, container: Container): Promise<void> {
		const { id, record } = container;
		pod.containers.set(id, container);
		this.containers.set(id, container);
		this.names.add(containerName(pod, container.config));
		const { sandbox } = pod;
		if (record.state === 'exited') {
			await this.deleteFrom(sandbox, id);
			return;
		}
		if (sandbox === null || !this.store.has(id)) {
			await this.exited(container, { status: UNKNOWN_EXIT, atMs: Date.now(), reason: 'its end was not seen' }, 'Unknown');
			return;
		}
		container.io = ContainerIo.reopen(this.ioOptions(container));
		const { status: state } = this.store.load(id);
		// Started, perhaps, by a server that could not write it down.
		if (record.state === 'created' && state !== 'created' && state !== 'creating') {
			Object.assign(record, { state: 'running', startedAt: Date.now() * NANOSECONDS });
			await this.containerRecords.save(record);
		}
		if (record.state === 'running') {
			container.pid = this.store.load(id).initPid;
			this.watch(container, sandbox.wait(id, ''));
		}
	}

	// --- The rest ---

	/** The tree of the container that holds a pod: one program. */
	private get pauseRoot(): string {
		return join(this.options.state, 'pause');
	}

	private installPause(): void {
		mkdirSync(this.pauseRoot, { recursive: true, mode: 0o755 });
		const fresh = join(this.pauseRoot, '.pause');
		copyFileSync(join(packageRoot(), 'native/build/isopod-pause'), fresh);
		renameSync(fresh, join(this.pauseRoot, 'pause'));
	}

	/** Takes a name, which only one may have. Throws CriError (ALREADY_EXISTS); returns what gives it back. */
	private reserve(kind: string, name: string): () => void {
		if (this.names.has(name)) throw new CriError(status.ALREADY_EXISTS, `the ${kind} ${name.slice(name.indexOf(' ') + 1)} exists already`);
		this.names.add(name);
		return () => this.names.delete(name);
	}

	private tell(pod: Pod, containerId: string, type: number): void {
		this.events.publish({
			containerId,
			containerEventType: type,
			createdAt: Date.now() * NANOSECONDS,
			podSandboxStatus: pod.status(),
			containersStatuses: [...pod.containers.values()].map((container) => container.status()),
		});
	}
}

/** setTimeout takes no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** The pod of a container whose pod has no record. */
const ORPHANED: Omit<PodRecord, 'id'> = { config: '', handler: 'isopod', createdAt: 0, state: 'stopped', ips: [] };

/** A container whose record can't be read: enough to take it away. */
const UNREADABLE: Omit<ContainerRecord, 'id' | 'podId'> = {
	...{ config: '', imageRef: '', imageId: '', createdAt: 0, startedAt: 0, finishedAt: 0, stopSignal: 0 },
	...{ user: { uid: 0, gid: 0, groups: [] }, state: 'making', exitCode: 0, reason: '', message: '', resources: '' },
};

function find<T>(all: ReadonlyMap<string, T>, id: string): T | null {
	const exact = all.get(id);
	if (exact !== undefined || id === '') return exact ?? null;
	const found = [...all.keys()].filter((key) => key.startsWith(id));
	if (found.length > 1) throw invalid(`${id} is the beginning of ${found.length} ids`);
	return found.length === 1 ? all.get(found[0]!)! : null;
}

function fail(error: Error): never {
	throw error;
}

function podName({ metadata }: PodConfig): string {
	const { name, namespace, uid, attempt } = metadata ?? {};
	return `pod ${namespace}/${name} (uid ${uid}, attempt ${attempt ?? 0})`;
}

function containerName(pod: Pod, { metadata }: ContainerConfig): string {
	return `${pod.id} ${metadata?.name} (attempt ${metadata?.attempt ?? 0})`;
}

/** What of a pod its network's plugins are told, if they ask for it. */
function capabilitiesOf({ portMappings, dnsConfig }: PodConfig, annotations: Readonly<Record<string, string>>): RuntimeCapabilities {
	const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
	const mappings = portMappings.map(
		({ hostPort, containerPort, protocol, hostIp }): PortMapping => ({
			hostPort: hostPort ?? 0,
			containerPort: containerPort ?? 0,
			protocol: PROTOCOLS[protocol ?? 0],
			...(hostIp ? { hostIP: hostIp } : {}),
		}),
	);
	const { servers, searches, options } = dnsConfig ?? {};
	return {
		...(mappings.length > 0 && { portMappings: mappings }),
		...(dnsConfig != null && { dns: { servers: servers ?? [], searches: searches ?? [], options: options ?? [] } }),
		'io.kubernetes.cri.pod-annotations': annotations,
	};
}

/** By the container, else by its image, else SIGTERM. Throws CriError. */
function stopSignal({ stopSignal: wanted }: ContainerConfig, { config: { config } }: Image): number {
	const name = wanted > 0 ? cri.Signal[wanted] : config.stopSignal.toUpperCase();
	if (name === undefined || name === '') return constants.signals.SIGTERM;
	if (/^\d+$/.test(name)) return Number(name);
	const full = name.startsWith('SIG') ? name : `SIG${name}`;
	const real = /^SIGRT(MIN|MAX)(?:(?:PLUS|MINUS|\+|-)(\d+))?$/.exec(full);
	if (real !== null) return real[1] === 'MIN' ? SIGRTMIN + Number(real[2] ?? 0) : SIGRTMAX - Number(real[2] ?? 0);
	return constants.signals[full as NodeJS.Signals] ?? fail(invalid(`no signal is called ${name}`));
}

/** signal(7). */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

function encodeConfig(config: PodConfig): string {
	return Buffer.from(cri.PodSandboxConfig.encode(config).finish()).toString('base64');
}

function encodeResources(resources: Resources): string {
	return Buffer.from(cri.LinuxContainerResources.encode(resources).finish()).toString('base64');
}

/** A folder of the host that is to be mounted is made when it is missing, as Docker and containerd do. */
function makeSource(path: string): void {
	if (path === '' || existsSync(path)) return;
	try {
		mkdirSync(path, { recursive: true, mode: 0o755 });
	} catch (error) {
		throw HostError.from(`Make the folder ${path} that is to be mounted`, error);
	}
}

/** An option of overlayfs with its paths below `folder`. */
function absolute(option: string, folder: string): string {
	const [, name, paths] = /^(lowerdir|upperdir|workdir)=(.*)$/.exec(option) ?? [];
	if (name === undefined || paths === undefined) return option;
	return `${name}=${paths
		.split(':')
		.map((path) => join(folder, path))
		.join(':')}`;
}

function asInvalid<T>(action: () => T): T {
	try {
		return action();
	} catch (error) {
		throw invalid(messageOf(error));
	}
}

function tryCount(count: () => number): number {
	try {
		return count();
	} catch {
		return 0;
	}
}

function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
