import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { runtime } from '../../proto/generated/cri.js';

export const cri = runtime.v1;

/** A message's generated class. */
interface Message<T> {
	encode(message: T): { finish(): Uint8Array };
	decode(bytes: Uint8Array): T;
	create(properties?: object): T;
}

/** The methods of both services that have one answer: the classes of their messages. */
const METHODS = {
	RuntimeService: {
		Version: [cri.VersionRequest, cri.VersionResponse],
		Status: [cri.StatusRequest, cri.StatusResponse],
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
	},
	ImageService: {
		ListImages: [cri.ListImagesRequest, cri.ListImagesResponse],
		ImageStatus: [cri.ImageStatusRequest, cri.ImageStatusResponse],
		PullImage: [cri.PullImageRequest, cri.PullImageResponse],
		RemoveImage: [cri.RemoveImageRequest, cri.RemoveImageResponse],
		ImageFsInfo: [cri.ImageFsInfoRequest, cri.ImageFsInfoResponse],
	},
} as const;

type Services = typeof METHODS;
type Methods = Services['RuntimeService'] & Services['ImageService'];
type Name = keyof Methods;
/** What a request may be given as: any of its fields. */
type Fields<N extends Name> = NonNullable<Parameters<Methods[N][0]['create']>[0]>;
type Reply<N extends Name> = InstanceType<Methods[N][1]>;

/** A client of a CRI server (kubelet's end of the socket), such as containerd's. */
export class CriClient {
	private readonly client: Client;

	/** `address` is the path of a unix socket. */
	constructor(address: string) {
		// Go's servers refuse what Node would send as the authority: the socket's path.
		this.client = new Client(`unix:${address}`, credentials.createInsecure(), { 'grpc.default_authority': 'localhost' });
	}

	/** Rejects with grpc-js's ServiceError: `code` is gRPC's, `details` the server's words. */
	call<N extends Name>(name: N, fields: Fields<N>, timeoutMs = 60_000): Promise<Reply<N>> {
		const service = name in METHODS.RuntimeService ? 'RuntimeService' : 'ImageService';
		const [request, response] = (METHODS[service] as unknown as Record<N, readonly [Message<object>, Message<Reply<N>>]>)[name];
		return new Promise((resolve, reject) => {
			this.client.makeUnaryRequest(
				`/runtime.v1.${service}/${name}`,
				(message: object) => Buffer.from(request.encode(message).finish()),
				(bytes: Buffer) => response.decode(bytes),
				request.create(fields),
				{ deadline: Date.now() + timeoutMs },
				(error: ServiceError | null, reply?: Reply<N>) => (error === null ? resolve(reply!) : reject(error)),
			);
		});
	}

	close(): void {
		this.client.close();
	}
}
