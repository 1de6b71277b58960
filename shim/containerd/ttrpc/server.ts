import type { Server, Socket } from 'node:net';
import { ttrpc } from '../../../proto/generated/ttrpc.js';
import { encodeFrame, FLAG_REMOTE_CLOSED, FLAG_REMOTE_OPEN, type Frame, FrameReader, FrameType, MAX_PAYLOAD_BYTES } from './frame.js';
import type { CallContext, Service } from './service.js';
import { Code, RpcError } from './status.js';
import { Stream } from './stream.js';

const { Request, Response } = ttrpc;

/** setTimeout takes no longer ones. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Serves ttrpc on what a listening socket accepts. Calls of one connection run side by side, and are answered in whatever order they end. */
export class TtrpcServer {
	private readonly connections = new Set<Socket>();

	/** @param services by their full names, such as containerd.task.v2.Task */
	constructor(
		private readonly services: Readonly<Record<string, Service>>,
		private readonly onError: (error: Error) => void = () => {},
	) {}

	/** Serves what `server` accepts from now on. */
	serve(server: Server): void {
		server.on('connection', (socket) => this.accept(socket));
	}

	/** Serves one connection until either side ends it. */
	accept(socket: Socket): void {
		const connection = new Connection(socket, this.services);
		this.connections.add(socket);
		socket.on('data', (bytes) => connection.receive(bytes));
		socket.on('error', this.onError);
		// Go's client closes whole connections, it never shuts one direction down: whoever sends nothing more has gone.
		socket.on('end', () => socket.destroy());
		socket.on('close', () => {
			this.connections.delete(socket);
			connection.end();
		});
	}

	/** Closes every connection when what was written to it is on its way. */
	close(): void {
		for (const socket of this.connections) socket.destroySoon();
	}
}

interface Call {
	readonly controller: AbortController;
	readonly stream: Stream | null;
}

class Connection {
	private readonly reader = new FrameReader();
	private readonly calls = new Map<number, Call>();
	private lastStreamId = 0;

	constructor(
		private readonly socket: Socket,
		private readonly services: Readonly<Record<string, Service>>,
	) {}

	receive(bytes: Uint8Array): void {
		for (const frame of this.reader.push(bytes)) {
			if (this.socket.destroyed) return;
			if (frame.type === FrameType.Request) this.begin(frame);
			else if (frame.type === FrameType.Data) this.calls.get(frame.streamId)?.stream?.deliver(frame);
			// Other types are for other versions: ignored, as Go's server does.
		}
	}

	end(): void {
		const error = new RpcError(Code.Unavailable, 'the connection has ended');
		for (const { controller, stream } of this.calls.values()) {
			stream?.fail(error);
			controller.abort(error);
		}
		this.calls.clear();
	}

	private begin(frame: Frame): void {
		const { streamId } = frame;
		if (streamId % 2 !== 1 || streamId <= this.lastStreamId) {
			// It can't be told what the peer takes the answer for, nor whether what follows makes sense.
			this.fail(streamId, new RpcError(Code.InvalidArgument, `a client's stream ids are odd and increase: got ${streamId}`));
			this.socket.destroySoon();
			return;
		}
		this.lastStreamId = streamId;
		if (frame.payload === null) {
			this.fail(streamId, new RpcError(Code.ResourceExhausted, `a request is longer than ${MAX_PAYLOAD_BYTES} bytes`));
			return;
		}
		let request: InstanceType<typeof Request>;
		try {
			request = Request.decode(frame.payload);
		} catch (error) {
			this.fail(streamId, new RpcError(Code.InvalidArgument, `decode the request: ${error instanceof Error ? error.message : error}`));
			return;
		}
		const service = Object.hasOwn(this.services, request.service) ? this.services[request.service]! : null;
		const method = service !== null && Object.hasOwn(service, request.method) ? service[request.method]! : null;
		if (method === null) {
			this.fail(streamId, new RpcError(Code.Unimplemented, `method ${request.service}/${request.method} is not implemented`));
			return;
		}
		const controller = new AbortController();
		const isStream = method.kind === 'stream';
		const stream = isStream ? new Stream(streamId, (bytes) => this.write(bytes)) : null;
		this.calls.set(streamId, { controller, stream });
		const timer = this.startTimer(streamId, request.timeoutNano, controller);
		const context: CallContext = {
			metadata: new Map(request.metadata.map(({ key, value }) => [key ?? '', value ?? ''])),
			signal: controller.signal,
		};
		const finish = (response: InstanceType<typeof Response>): void => {
			clearTimeout(timer);
			if (!this.calls.delete(streamId)) return;
			this.respond(streamId, response);
		};
		if (stream !== null && (frame.flags & FLAG_REMOTE_OPEN) === 0)
			stream.deliver({ ...frame, flags: FLAG_REMOTE_CLOSED, payload: request.payload });
		const { payload } = request;
		const answer = method.kind === 'unary' ? method.call(payload, context) : method.call(stream!, context).then(() => new Uint8Array(0));
		answer.then(
			(bytes) => finish(Response.create({ payload: bytes })),
			(error: unknown) => finish(failed(RpcError.from(error))),
		);
	}

	/** The caller's deadline: it is answered then, whatever the method does. */
	private startTimer(streamId: number, timeoutNano: number, controller: AbortController): NodeJS.Timeout | undefined {
		if (!(timeoutNano > 0)) return undefined;
		return setTimeout(
			() => {
				const error = new RpcError(Code.DeadlineExceeded, 'context deadline exceeded');
				const call = this.calls.get(streamId);
				if (call === undefined) return;
				this.calls.delete(streamId);
				call.stream?.fail(error);
				controller.abort(error);
				this.fail(streamId, error);
			},
			Math.min(Math.ceil(timeoutNano / 1e6), MAX_TIMER_MS),
		);
	}

	private fail(streamId: number, error: RpcError): void {
		this.respond(streamId, failed(error));
	}

	private respond(streamId: number, response: InstanceType<typeof Response>): void {
		const bytes = Response.encode(response).finish();
		if (bytes.length > MAX_PAYLOAD_BYTES)
			this.fail(streamId, new RpcError(Code.ResourceExhausted, `the answer is longer than ${MAX_PAYLOAD_BYTES} bytes: ${bytes.length}`));
		else this.write(encodeFrame(streamId, FrameType.Response, 0, bytes));
	}

	private write(frame: Buffer): void {
		if (!this.socket.destroyed && !this.socket.writableEnded) this.socket.write(frame);
	}
}

/** Longest message of an error: what a container's config makes one say has no bounds of its own. */
const MAX_MESSAGE_CHARACTERS = 64 << 10;

function failed({ code, message }: RpcError): InstanceType<typeof Response> {
	return Response.create({ status: { code, message: message.slice(0, MAX_MESSAGE_CHARACTERS) } });
}
