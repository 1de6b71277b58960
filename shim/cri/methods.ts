import { runtime } from '../../proto/generated/cri.js';

export import cri = runtime.v1;

/** A message's generated class. */
export interface MessageClass<T extends object> {
	encode(message: T): { finish(): Uint8Array };
	decode(bytes: Uint8Array): T;
	create(properties?: object): T;
}

/** The methods that have one answer: the classes of their messages. */
export const UNARY = {
	RuntimeService: {
		Version: [cri.VersionRequest, cri.VersionResponse],
		RunPodSandbox: [cri.RunPodSandboxRequest, cri.RunPodSandboxResponse],
		StopPodSandbox: [cri.StopPodSandboxRequest, cri.StopPodSandboxResponse],
		RemovePodSandbox: [cri.RemovePodSandboxRequest, cri.RemovePodSandboxResponse],
		PodSandboxStatus: [cri.PodSandboxStatusRequest, cri.PodSandboxStatusResponse],
		ListPodSandbox: [cri.ListPodSandboxRequest, cri.ListPodSandboxResponse],
		CreateContainer: [cri.CreateContainerRequest, cri.CreateContainerResponse],
		StartContainer: [cri.StartContainerRequest, cri.StartContainerResponse],
		StopContainer: [cri.StopContainerRequest, cri.StopContainerResponse],
		RemoveContainer: [cri.RemoveContainerRequest, cri.RemoveContainerResponse],
		ListContainers: [cri.ListContainersRequest, cri.ListContainersResponse],
		ContainerStatus: [cri.ContainerStatusRequest, cri.ContainerStatusResponse],
		UpdateContainerResources: [cri.UpdateContainerResourcesRequest, cri.UpdateContainerResourcesResponse],
		ReopenContainerLog: [cri.ReopenContainerLogRequest, cri.ReopenContainerLogResponse],
		ExecSync: [cri.ExecSyncRequest, cri.ExecSyncResponse],
		Exec: [cri.ExecRequest, cri.ExecResponse],
		Attach: [cri.AttachRequest, cri.AttachResponse],
		PortForward: [cri.PortForwardRequest, cri.PortForwardResponse],
		ContainerStats: [cri.ContainerStatsRequest, cri.ContainerStatsResponse],
		ListContainerStats: [cri.ListContainerStatsRequest, cri.ListContainerStatsResponse],
		PodSandboxStats: [cri.PodSandboxStatsRequest, cri.PodSandboxStatsResponse],
		ListPodSandboxStats: [cri.ListPodSandboxStatsRequest, cri.ListPodSandboxStatsResponse],
		UpdateRuntimeConfig: [cri.UpdateRuntimeConfigRequest, cri.UpdateRuntimeConfigResponse],
		Status: [cri.StatusRequest, cri.StatusResponse],
		CheckpointContainer: [cri.CheckpointContainerRequest, cri.CheckpointContainerResponse],
		ListMetricDescriptors: [cri.ListMetricDescriptorsRequest, cri.ListMetricDescriptorsResponse],
		ListPodSandboxMetrics: [cri.ListPodSandboxMetricsRequest, cri.ListPodSandboxMetricsResponse],
		RuntimeConfig: [cri.RuntimeConfigRequest, cri.RuntimeConfigResponse],
		UpdatePodSandboxResources: [cri.UpdatePodSandboxResourcesRequest, cri.UpdatePodSandboxResourcesResponse],
	},
	ImageService: {
		ListImages: [cri.ListImagesRequest, cri.ListImagesResponse],
		ImageStatus: [cri.ImageStatusRequest, cri.ImageStatusResponse],
		PullImage: [cri.PullImageRequest, cri.PullImageResponse],
		RemoveImage: [cri.RemoveImageRequest, cri.RemoveImageResponse],
		ImageFsInfo: [cri.ImageFsInfoRequest, cri.ImageFsInfoResponse],
	},
} as const;

/** The methods of RuntimeService and ImageService whose answer is a stream of messages. */
export const STREAMING = {
	RuntimeService: {
		GetContainerEvents: [cri.GetEventsRequest, cri.ContainerEventResponse],
		StreamPodSandboxes: [cri.StreamPodSandboxesRequest, cri.StreamPodSandboxesResponse],
		StreamContainers: [cri.StreamContainersRequest, cri.StreamContainersResponse],
		StreamContainerStats: [cri.StreamContainerStatsRequest, cri.StreamContainerStatsResponse],
		StreamPodSandboxStats: [cri.StreamPodSandboxStatsRequest, cri.StreamPodSandboxStatsResponse],
		StreamPodSandboxMetrics: [cri.StreamPodSandboxMetricsRequest, cri.StreamPodSandboxMetricsResponse],
	},
	ImageService: { StreamImages: [cri.StreamImagesRequest, cri.StreamImagesResponse] },
} as const;

export type ServiceName = keyof typeof UNARY;
type Methods = (typeof UNARY)['RuntimeService'] & (typeof UNARY)['ImageService'];
type Streams = (typeof STREAMING)['RuntimeService'] & (typeof STREAMING)['ImageService'];
export type UnaryName = keyof Methods;
export type StreamName = keyof Streams;
/** The message classes of all methods, by name. */
type Classes = Methods & Streams;
export type MethodName = keyof Classes;

export type Request<N extends MethodName> = InstanceType<Classes[N][0]>;
export type Reply<N extends MethodName> = InstanceType<Classes[N][1]>;
/** What a request may be given as: any of its fields. */
export type RequestFields<N extends MethodName> = NonNullable<Parameters<Classes[N][0]['create']>[0]>;
/** What a reply may be given as. */
export type ReplyFields<N extends MethodName> = NonNullable<Parameters<Classes[N][1]['create']>[0]>;

/** The classes of one method's messages, and the service that it is of. */
export function methodOf<N extends MethodName>(
	name: N,
): { readonly path: string; readonly request: MessageClass<Request<N>>; readonly reply: MessageClass<Reply<N>> } {
	for (const table of [UNARY, STREAMING])
		for (const [service, methods] of Object.entries(table)) {
			const classes = (methods as Record<string, readonly unknown[]>)[name];
			if (classes !== undefined) {
				const [request, reply] = classes as unknown as readonly [MessageClass<Request<N>>, MessageClass<Reply<N>>];
				return { path: `/runtime.v1.${service}/${name}`, request, reply };
			}
		}
	throw new Error(`CRI has no method ${name}`);
}
