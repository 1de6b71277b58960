import { status } from '@grpc/grpc-js';
import type { runtime } from '../../../proto/generated/cri.js';
import { CriError } from '../server/cri-error.js';
import type { Methods } from '../server/grpc-server.js';
import { fulfilled, matchesId, matchesLabels, pages } from './filters.js';
import { metricDescriptors, podMetrics } from './pod-metrics.js';
import type { Pods } from './pods.js';
import type { ResourceStats } from './resource-stats.js';

/** The methods of RuntimeService that tell what pods and containers use. */
export function statsMethods(pods: Pods, stats: ResourceStats): Methods<'RuntimeService'> {
	const listContainers = async (
		filter: runtime.v1.ContainerStatsFilter.$Properties | null | undefined,
	): Promise<runtime.v1.ContainerStats.$Properties[]> => {
		stats.keepOnly(pods.allContainers());
		const chosen = [...pods.allContainers()].filter(
			({ id, pod, config, record }) =>
				record.state === 'running' &&
				matchesId(id, filter?.id) &&
				matchesId(pod.id, filter?.podSandboxId) &&
				matchesLabels(config.labels, filter?.labelSelector),
		);
		return fulfilled(chosen.map((container) => stats.container(container)));
	};
	const listPods = async (
		filter: runtime.v1.PodSandboxStatsFilter.$Properties | null | undefined,
	): Promise<runtime.v1.PodSandboxStats.$Properties[]> => {
		const chosen = [...pods.allPods()].filter(
			(pod) => pod.isReady && matchesId(pod.id, filter?.id) && matchesLabels(pod.config.labels, filter?.labelSelector),
		);
		return fulfilled(chosen.map((pod) => stats.pod(pod)));
	};
	const listMetrics = (): Promise<runtime.v1.PodSandboxMetrics.$Properties[]> =>
		fulfilled([...pods.allPods()].filter((pod) => pod.isReady).map((pod) => podMetrics(pod)));
	return {
		ContainerStats: async ({ containerId }) => ({ stats: await stats.container(pods.container(containerId)) }),
		ListContainerStats: async ({ filter }) => ({ stats: await listContainers(filter) }),
		PodSandboxStats: async ({ podSandboxId }) => {
			const pod = pods.pod(podSandboxId);
			if (!pod.isReady) throw new CriError(status.FAILED_PRECONDITION, `the pod sandbox ${pod.id} is not running`);
			return { stats: await stats.pod(pod) };
		},
		ListPodSandboxStats: async ({ filter }) => ({ stats: await listPods(filter) }),
		ListMetricDescriptors: () => ({ descriptors: metricDescriptors() }),
		ListPodSandboxMetrics: async () => ({ podMetrics: await listMetrics() }),

		async *StreamContainerStats({ filter }) {
			yield* pages(await listContainers(filter), (containerStats) => ({ containerStats }));
		},
		async *StreamPodSandboxStats({ filter }) {
			yield* pages(await listPods(filter), (podSandboxStats) => ({ podSandboxStats }));
		},
		async *StreamPodSandboxMetrics() {
			yield* pages(await listMetrics(), (podSandboxMetrics) => ({ podSandboxMetrics }));
		},
	};
}
