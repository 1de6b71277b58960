import { status } from '@grpc/grpc-js';
import type { runtime } from '../../../proto/generated/cri.js';
import { cri } from '../methods.js';
import { CriError, invalid } from '../server/cri-error.js';
import type { Methods } from '../server/grpc-server.js';
import type { StreamingServer } from '../streaming/server.js';
import { type Command, exec, execSync, forwardPort } from './commands.js';
import type { Container } from './container.js';
import { matchesId, matchesLabels, pages } from './filters.js';
import type { Network, Pods } from './pods.js';
import type { ResourceStats } from './resource-stats.js';
import { statsMethods } from './stats-methods.js';

export interface RuntimeServiceOptions {
	readonly version: string;
	readonly handlers: readonly string[];
}

const { CONTAINER_RUNNING } = cri.ContainerState;

/** CRI's RuntimeService: what its proto says of each method, over `Pods`. */
export function runtimeService(
	pods: Pods,
	network: Network,
	streaming: StreamingServer,
	stats: ResourceStats,
	{ version, handlers }: RuntimeServiceOptions,
): Methods<'RuntimeService'> {
	/** A container that runs, and how to run another program in it. */
	const commandOf = (container: Container, args: readonly string[]): Command => {
		if (args.length === 0) throw invalid('the command is empty');
		return { sandbox: pods.sandboxOf(container), containerId: container.id, process: pods.processOf(container), args };
	};
	const running = (id: string): Container => {
		const container = pods.container(id);
		if (container.state !== CONTAINER_RUNNING)
			throw new CriError(status.FAILED_PRECONDITION, `container ${container.id} is ${container.record.state}, want one that runs`);
		return container;
	};
	const listPods = (filter: runtime.v1.PodSandboxFilter.$Properties | null | undefined): runtime.v1.PodSandbox.$Properties[] =>
		[...pods.allPods()]
			.map((pod) => pod.summary())
			.filter(
				({ id, state, labels }) =>
					matchesId(id, filter?.id) &&
					(filter?.state == null || (filter.state.state ?? 0) === state) &&
					matchesLabels(labels, filter?.labelSelector),
			);
	const listContainers = (filter: runtime.v1.ContainerFilter.$Properties | null | undefined): runtime.v1.Container.$Properties[] =>
		[...pods.allContainers()]
			.map((container) => container.summary())
			.filter(
				({ id, podSandboxId, state, labels }) =>
					matchesId(id, filter?.id) &&
					matchesId(podSandboxId, filter?.podSandboxId) &&
					(filter?.state == null || (filter.state.state ?? 0) === state) &&
					matchesLabels(labels, filter?.labelSelector),
			);
	return {
		...statsMethods(pods, stats),

		Version: () => ({ version: '0.1.0', runtimeName: 'isopod', runtimeVersion: version, runtimeApiVersion: 'v1' }),

		Status: ({ verbose }) => {
			const { current } = network.configs;
			const conditions = [
				{ type: 'RuntimeReady', status: true },
				current.config === null
					? { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: current.reason }
					: { type: 'NetworkReady', status: true },
			];
			const features = { recursiveReadOnlyMounts: true, userNamespaces: true };
			return {
				status: { conditions },
				runtimeHandlers: ['', ...handlers].map((name) => ({ name, features })),
				features: { supplementalGroupsPolicy: true, userNamespacesHostNetwork: false },
				info: verbose ? { config: JSON.stringify({ handlers, network: current }) } : {},
			};
		},

		RuntimeConfig: () => ({ linux: { cgroupDriver: cri.CgroupDriver.CGROUPFS } }),

		// kubelet gives the node's range of pods' addresses, which is the network configuration's to know here.
		UpdateRuntimeConfig: () => ({}),

		RunPodSandbox: async ({ config, runtimeHandler }) => {
			if (config == null) throw invalid('the pod sandbox has no config');
			if (runtimeHandler !== '' && !handlers.includes(runtimeHandler))
				throw invalid(`no handler is called ${JSON.stringify(runtimeHandler)}: want ${handlers.join(' or ')}`);
			return { podSandboxId: await pods.runPod(cri.PodSandboxConfig.create(config), runtimeHandler) };
		},

		StopPodSandbox: async ({ podSandboxId }) => {
			const pod = pods.findPod(podSandboxId);
			if (pod !== null) await pods.stopPod(pod);
			return {};
		},

		RemovePodSandbox: async ({ podSandboxId }) => {
			const pod = pods.findPod(podSandboxId);
			if (pod !== null) await pods.removePod(pod);
			return {};
		},

		PodSandboxStatus: ({ podSandboxId, verbose }) => {
			const pod = pods.pod(podSandboxId);
			return {
				status: pod.status(),
				containersStatuses: [...pod.containers.values()].map((container) => container.status()),
				timestamp: Date.now() * 1_000_000,
				info: verbose ? { info: JSON.stringify({ pid: pod.sandbox?.pid ?? 0, handler: pod.record.handler }) } : {},
			};
		},

		ListPodSandbox: ({ filter }) => ({ items: listPods(filter) }),

		StreamPodSandboxes: ({ filter }) => pages(listPods(filter), (podSandboxes) => ({ podSandboxes })),

		UpdatePodSandboxResources: async ({ podSandboxId, overhead, resources }) => {
			await pods.updatePod(pods.pod(podSandboxId), overhead ?? null, resources ?? null);
			return {};
		},

		CreateContainer: async ({ podSandboxId, config }) => {
			if (config == null) throw invalid('the container has no config');
			return { containerId: await pods.createContainer(pods.pod(podSandboxId), cri.ContainerConfig.create(config)) };
		},

		StartContainer: async ({ containerId }) => {
			await pods.startContainer(pods.container(containerId));
			return {};
		},

		StopContainer: async ({ containerId, timeout }) => {
			const container = pods.findContainer(containerId);
			if (container !== null) await pods.stopContainer(container, timeout);
			return {};
		},

		RemoveContainer: async ({ containerId }) => {
			const container = pods.findContainer(containerId);
			if (container !== null) await pods.removeContainer(container);
			return {};
		},

		ListContainers: ({ filter }) => ({ containers: listContainers(filter) }),

		StreamContainers: ({ filter }) => pages(listContainers(filter), (containers) => ({ containers })),

		ContainerStatus: ({ containerId, verbose }) => {
			const container = pods.container(containerId);
			const info = { pid: container.pid, sandboxID: container.pod.id, runtimeHandler: container.pod.record.handler };
			return { status: container.status(), info: verbose ? { info: JSON.stringify(info) } : {} };
		},

		UpdateContainerResources: async ({ containerId, linux }) => {
			if (linux != null) await pods.updateContainer(pods.container(containerId), cri.LinuxContainerResources.create(linux));
			return {};
		},

		ReopenContainerLog: async ({ containerId }) => {
			await running(containerId).io?.reopenLog();
			return {};
		},

		ExecSync: ({ containerId, cmd, timeout }) => execSync(commandOf(running(containerId), cmd), timeout),

		Exec: ({ containerId, cmd, tty, stdin, stdout, stderr }) => {
			const command = commandOf(running(containerId), cmd);
			const url = streaming.exec({
				...{ hasStdin: stdin, hasStdout: stdout, hasStderr: stderr, isTerminal: tty },
				run: (session) => exec(command, { stdin, stdout: stdout || tty, stderr, terminal: tty }, session),
			});
			return { url };
		},

		Attach: ({ containerId, tty, stdin, stdout, stderr }) => {
			const container = running(containerId);
			const url = streaming.attach({
				...{ hasStdin: stdin, hasStdout: stdout, hasStderr: stderr, isTerminal: tty },
				run: async (session) => {
					const { io } = container;
					if (io === null) throw new CriError(status.FAILED_PRECONDITION, `container ${container.id} has ended`);
					session.onResize((size) => {
						void container.pod.sandbox?.resize(container.id, '', size).catch(() => undefined);
					});
					await io.attach(session.stdin, session.stdout, session.stderr, session.signal);
					return 0;
				},
			});
			return { url };
		},

		PortForward: ({ podSandboxId, port }) => {
			const pod = pods.pod(podSandboxId);
			if (!pod.isReady) throw new CriError(status.FAILED_PRECONDITION, `the pod sandbox ${pod.id} is not running`);
			// A machine's localhost is within it: what listens there alone is not reached.
			const target =
				pod.record.handler === 'isopod-vm'
					? { netns: null, hosts: pod.record.ips }
					: { netns: network.namespaces.path(pod.id), hosts: ['127.0.0.1', '::1'] };
			return { url: streaming.portForward({ ports: port, connect: (to, stream, signal) => forwardPort(target, to, stream, signal) }) };
		},

		GetContainerEvents: (_, signal) => pods.events.listen(signal),
	};
}
