import { connect, type Socket } from 'node:net';
import { ttrpc } from '../../../proto/generated/ttrpc.js';
import { encodeFrame, FLAG_NO_DATA, FLAG_REMOTE_CLOSED, FLAG_REMOTE_OPEN, type Frame, FrameReader, FrameType } from './frame.js';
import { Code, RpcError } from './status.js';
import { Stream } from './stream.js';

const { Request, Response } = ttrpc;

interface Waiting {
	resolve(payload: Uint8Array): void;
	reject(error: RpcError): void;
	readonly timer: NodeJS.Timeout | undefined;
	readonly stream: Stream | null;
}

export interface CallOptions {
	/** How long the answer may take, in milliseconds; 0: as long as it takes. The server is told. */
	readonly timeoutMs?: number;
	readonly metadata?: Readonly<Record<string, string>>;
}

/** One connection to a ttrpc server. */
export class TtrpcClient {
	/** Resolves when the connection has ended, for whatever reason. */
	readonly closed: Promise<void>;
	private readonly reader = new FrameReader();
	private readonly waiting = new Map<number, Waiting>();
	private nextStreamId = 1;

	private constructor(private readonly socket: Socket) {
		socket.on('data', (bytes) => {
			for (const frame of this.reader.push(bytes)) this.receive(frame);
		});
		socket.on('error', () => {});
		this.closed = new Promise((resolve) => {
			socket.once('close', () => {
				for (const id of [...this.waiting.keys()]) this.fail(id, new RpcError(Code.Unavailable, 'ttrpc: closed'));
				resolve();
			});
		});
	}

	/** Connects to a unix socket. Rejects with RpcError (UNAVAILABLE). */
	static async connect(path: string): Promise<TtrpcClient> {
		const socket = connect(path);
		await new Promise<void>((resolve, reject) => {
			socket.once('connect', resolve);
			socket.once('error', (error) => reject(new RpcError(Code.Unavailable, `Connect to ${path}: ${error.message}`, { cause: error })));
		});
		return new TtrpcClient(socket);
	}

	/** Calls a unary method. Rejects with RpcError: what the server says, DEADLINE_EXCEEDED, or UNAVAILABLE when the connection ends. */
	call(service: string, method: string, payload: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
		return new Promise((resolve, reject) => {
			this.begin(service, method, payload, options, 0, { resolve, reject });
		});
	}

	/** Opens a stream. `ended` settles with the server's answer to the whole of it. */
	open(service: string, method: string, options: CallOptions = {}): { readonly stream: Stream; readonly ended: Promise<Uint8Array> } {
		const stream = new Stream(this.nextStreamId, (frame) => this.socket.write(frame));
		const ended = new Promise<Uint8Array>((resolve, reject) => {
			this.begin(service, method, new Uint8Array(0), options, FLAG_REMOTE_OPEN, { resolve, reject }, stream);
		});
		ended.catch(() => {});
		return { stream, ended };
	}

	close(): void {
		this.socket.destroy();
	}

	/** The connection doesn't keep the process alive. */
	unref(): void {
		this.socket.unref();
	}

	private begin(
		service: string,
		method: string,
		payload: Uint8Array,
		{ timeoutMs = 0, metadata = {} }: CallOptions,
		flags: number,
		{ resolve, reject }: Pick<Waiting, 'resolve' | 'reject'>,
		stream: Stream | null = null,
	): void {
		const id = this.nextStreamId;
		this.nextStreamId += 2;
		if (this.socket.destroyed) {
			reject(new RpcError(Code.Unavailable, 'ttrpc: closed'));
			return;
		}
		const request = Request.create({
			service,
			method,
			payload,
			timeoutNano: timeoutMs * 1e6,
			metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
		});
		const late = (): void => this.fail(id, new RpcError(Code.DeadlineExceeded, `${method}: no answer within ${timeoutMs} ms`));
		const timer = timeoutMs > 0 ? setTimeout(late, timeoutMs) : undefined;
		this.waiting.set(id, { resolve, reject, timer, stream });
		this.socket.write(encodeFrame(id, FrameType.Request, flags, Request.encode(request).finish()));
	}

	private receive(frame: Frame): void {
		const waiting = this.waiting.get(frame.streamId);
		if (waiting === undefined) return;
		if (frame.type === FrameType.Data) {
			waiting.stream?.deliver(frame);
			return;
		}
		if (frame.type !== FrameType.Response) return;
		if (frame.payload === null) {
			this.fail(frame.streamId, new RpcError(Code.ResourceExhausted, 'the answer is too long'));
			return;
		}
		try {
			const { status, payload } = Response.decode(frame.payload);
			if (status && status.code !== Code.Ok) this.fail(frame.streamId, new RpcError(status.code ?? Code.Unknown, status.message ?? ''));
			else {
				this.waiting.delete(frame.streamId);
				clearTimeout(waiting.timer);
				waiting.stream?.deliver({ ...frame, flags: FLAG_REMOTE_CLOSED | FLAG_NO_DATA, payload: new Uint8Array(0) });
				waiting.resolve(payload);
			}
		} catch (error) {
			this.fail(frame.streamId, new RpcError(Code.Internal, `decode the answer: ${error instanceof Error ? error.message : error}`));
		}
	}

	private fail(id: number, error: RpcError): void {
		const waiting = this.waiting.get(id);
		if (waiting === undefined) return;
		this.waiting.delete(id);
		clearTimeout(waiting.timer);
		waiting.stream?.fail(error);
		waiting.reject(error);
	}
}
