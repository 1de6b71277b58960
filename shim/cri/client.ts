import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { methodOf, type Reply, type RequestFields, type StreamName, type UnaryName } from './methods.js';

export { cri, type Reply } from './methods.js';

/** Bytes of an answer: lists of many containers with their annotations are large (crictl takes as many). */
const MAX_REPLY_BYTES = 16 << 20;

/** A client of a CRI server (kubelet's end of the socket), such as containerd's. */
export class CriClient {
	private readonly client: Client;

	/** `address` is the path of a unix socket. */
	constructor(address: string) {
		this.client = new Client(`unix:${address}`, credentials.createInsecure(), {
			// Go's servers refuse what Node would send as the authority: the socket's path.
			'grpc.default_authority': 'localhost',
			'grpc.max_receive_message_length': MAX_REPLY_BYTES,
		});
	}

	/** Rejects with grpc-js's ServiceError: `code` is gRPC's, `details` the server's words. */
	call<N extends UnaryName>(name: N, fields: RequestFields<N>, timeoutMs = 60_000): Promise<Reply<N>> {
		const { path, request, reply: response } = methodOf(name);
		return new Promise((resolve, reject) => {
			this.client.makeUnaryRequest(
				path,
				(message: Parameters<typeof request.encode>[0]) => Buffer.from(request.encode(message).finish()),
				(bytes: Buffer) => response.decode(bytes),
				request.create(fields),
				{ deadline: Date.now() + timeoutMs },
				(error: ServiceError | null, reply?: Reply<N>) => (error === null ? resolve(reply!) : reject(error)),
			);
		});
	}

	/** The messages of a method that streams, until the server ends them, the loop is left or `signal` is aborted. Throws grpc-js's ServiceError. */
	async *stream<N extends StreamName>(name: N, fields: RequestFields<N>, signal?: AbortSignal): AsyncGenerator<Reply<N>> {
		const { path, request, reply } = methodOf(name);
		const call = this.client.makeServerStreamRequest(
			path,
			(message: Parameters<typeof request.encode>[0]) => Buffer.from(request.encode(message).finish()),
			(bytes: Buffer) => reply.decode(bytes),
			request.create(fields),
		);
		const cancel = (): void => call.cancel();
		signal?.addEventListener('abort', cancel);
		try {
			for await (const message of call) yield message as Reply<N>;
		} catch (error) {
			if (signal?.aborted !== true) throw error;
		} finally {
			signal?.removeEventListener('abort', cancel);
			call.cancel();
		}
	}

	close(): void {
		this.client.close();
	}
}
