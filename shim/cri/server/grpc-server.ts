import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server as NetServer } from 'node:net';
import { dirname } from 'node:path';
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import { HostError } from '../../../runtime/host-error.js';
import {
	type MessageClass,
	type ReplyFields,
	type Request,
	type ServiceName,
	STREAMING,
	type StreamName,
	UNARY,
	type UnaryName,
} from '../methods.js';
import { CriError } from './cri-error.js';
import type { CallTracer } from './tracing.js';

/** The methods of one service; those it hasn't answer UNIMPLEMENTED. */
export type Methods<S extends ServiceName> = {
	/** `signal` says that the client is gone. */
	readonly [N in keyof (typeof UNARY)[S] & UnaryName]?: (
		request: Request<N>,
		signal: AbortSignal,
	) => Promise<ReplyFields<N>> | ReplyFields<N>;
} & {
	/** Ends by itself or when `signal` says that the client is gone. */
	readonly [N in keyof (typeof STREAMING)[S] & StreamName]?: (request: Request<N>, signal: AbortSignal) => AsyncIterable<ReplyFields<N>>;
};

/** Told of each call when it is over. */
export type CallListener = (method: string, code: status, milliseconds: number, message: string) => void;

type AnyUnary = (request: object, signal: AbortSignal) => Promise<object> | object;
type AnyStream = (request: object, signal: AbortSignal) => AsyncIterable<object>;

/** As containerd has it: lists of many pods are long. */
const MAX_MESSAGE_BYTES = 16 << 20;
/** How long calls that are being served may go on when the server stops. */
const GRACE_MS = 5000;

/** CRI's two services on a unix socket. */
export class CriServer {
	private readonly server = new Server({
		'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
		'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
	});

	/** Of a socket that somebody else made. */
	private listener: NetServer | null = null;

	constructor(
		private readonly onCall: CallListener = () => undefined,
		private readonly tracer: CallTracer | null = null,
	) {}

	/** Adds a service whose methods are `methods`. */
	add<S extends ServiceName>(service: S, methods: Methods<S>): void {
		const definition: Record<string, object> = {};
		const handlers: Record<string, object> = {};
		const own = methods as unknown as Readonly<Record<string, AnyUnary & AnyStream>>;
		for (const isStream of [false, true])
			for (const [name, classes] of Object.entries((isStream ? STREAMING : UNARY)[service])) {
				const [request, reply] = classes as unknown as readonly [MessageClass<object>, MessageClass<object>];
				definition[name] = {
					path: `/runtime.v1.${service}/${name}`,
					requestStream: false,
					responseStream: isStream,
					requestSerialize: serializer(request),
					requestDeserialize: (bytes: Buffer) => request.decode(bytes),
					responseSerialize: serializer(reply),
					responseDeserialize: (bytes: Buffer) => reply.decode(bytes),
				};
				const method = own[name];
				handlers[name] = isStream ? this.streaming(name, method, reply) : this.unary(service, name, method, reply);
			}
		this.server.addService(definition as Parameters<Server['addService']>[0], handlers as Parameters<Server['addService']>[1]);
	}

	private unary(service: ServiceName, name: string, method: AnyUnary | undefined, reply: MessageClass<object>): object {
		return (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>): void => {
			const start = performance.now();
			const done = (error: CriError | null, fields?: object): void => {
				this.onCall(name, error?.code ?? status.OK, performance.now() - start, error?.message ?? '');
				if (error === null) callback(null, reply.create(fields));
				else callback({ code: error.code, details: error.message });
			};
			const gone = new AbortController();
			call.on('cancelled', () => gone.abort());
			const run = (): Promise<object> => serve(name, method, () => method!(call.request, gone.signal));
			const header = (key: string): string | undefined => call.metadata.get(key)[0]?.toString();
			(this.tracer?.call(`runtime.v1.${service}`, name, header, run) ?? run()).then(
				(fields) => done(null, fields),
				(error: unknown) => done(CriError.from(error)),
			);
		};
	}

	private streaming(name: string, method: AnyStream | undefined, reply: MessageClass<object>): object {
		return async (call: ServerWritableStream<object, object>): Promise<void> => {
			const start = performance.now();
			const gone = new AbortController();
			call.on('cancelled', () => gone.abort());
			let error: CriError | null = null;
			try {
				for await (const fields of await serve(name, method, () => method!(call.request, gone.signal))) {
					if (gone.signal.aborted) break;
					if (!call.write(reply.create(fields)))
						await new Promise<void>((resolve) => {
							call.once('drain', resolve);
							gone.signal.addEventListener('abort', () => resolve(), { once: true });
						});
				}
				call.end();
			} catch (thrown) {
				error = CriError.from(thrown);
				call.emit('error', { code: error.code, details: error.message });
			}
			this.onCall(name, error?.code ?? status.OK, performance.now() - start, error?.message ?? '');
		};
	}

	/** Listens on a unix socket, whose folder is made. Throws HostError: EADDRINUSE when a server answers there. */
	async listen(path: string): Promise<void> {
		const step = `Listen on ${path}`;
		mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
		if (await isAnswered(path)) throw new HostError(`${step}: another server does`, 'EADDRINUSE');
		rmSync(path, { force: true });
		await new Promise<void>((resolve, reject) =>
			this.server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
				error === null ? resolve() : reject(HostError.from(step, error)),
			),
		);
		// Whoever may connect has the host's root.
		chmodSync(path, 0o660);
	}

	/** Serves on a socket that listens already. Throws HostError. */
	async adopt(fd: number): Promise<void> {
		const injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
		const listener = createServer((socket) => injector.injectConnection(socket));
		this.listener = listener;
		await new Promise<void>((resolve, reject) => {
			listener.once('error', (error) => reject(HostError.from(`Listen on the descriptor ${fd}`, error)));
			listener.listen({ fd }, resolve);
		});
	}

	/** Ends it: calls have a moment to finish. */
	async close(): Promise<void> {
		this.listener?.close();
		const timer = setTimeout(() => this.server.forceShutdown(), GRACE_MS);
		await new Promise<void>((resolve) => this.server.tryShutdown(() => resolve()));
		clearTimeout(timer);
	}
}

function serializer(type: MessageClass<object>): (message: object) => Buffer {
	return (message) => Buffer.from(type.encode(message).finish());
}

/** Runs a method; what it throws at once is a rejection, too. */
async function serve<T>(name: string, method: unknown, run: () => T | Promise<T>): Promise<T> {
	if (method === undefined) throw new CriError(status.UNIMPLEMENTED, `${name} is not there`);
	return run();
}

function isAnswered(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(path);
		socket.once('connect', () => {
			socket.destroy();
			resolve(true);
		});
		socket.once('error', () => resolve(false));
	});
}
