// Exec, attach and port-forward over WebSocket: each binary message begins with the number of its channel.

import { Duplex, Readable, Writable } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import {
	type CommandRequest,
	exitStatus,
	failureStatus,
	messageOf,
	type PortForwardRequest,
	ResizeReader,
	type Session,
} from './session.js';

export const WEBSOCKET_COMMAND_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
/** The second one is SPDY within WebSocket messages. */
export const WEBSOCKET_PORT_PROTOCOLS = ['v4.channel.k8s.io', 'SPDY/3.1+portforward.k8s.io'] as const;

const [STDIN, STDOUT, STDERR, ERROR, RESIZE] = [0, 1, 2, 3, 4] as const;
/** v5: the message `[255, channel]` ends a channel. */
const CLOSE = 255;
const MAX_PORTS = 100;
const GRACE_MS = 10_000;
const NORMAL_CLOSURE = 1000;

/** What the client sends on one channel; while nobody reads it the whole connection waits. */
class ChannelReader extends Readable {
	private isFull = false;

	constructor(private readonly socket: WebSocket) {
		super({ highWaterMark: 256 << 10 });
	}

	receive(bytes: Buffer): void {
		if (this.destroyed || this.readableEnded || this.push(bytes)) return;
		this.isFull = true;
		this.socket.pause();
	}

	override _read(): void {
		if (!this.isFull) return;
		this.isFull = false;
		this.socket.resume();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		this._read();
		done(error);
	}
}

class ChannelWriter extends Writable {
	constructor(
		private readonly socket: WebSocket,
		private readonly channel: number,
		private readonly tellsEnd: boolean,
	) {
		super({ highWaterMark: 32 << 10 });
		this.on('error', () => undefined);
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
		this.socket.send(Buffer.concat([Buffer.from([this.channel]), chunk]), { binary: true }, done);
	}

	override _final(done: (error?: Error | null) => void): void {
		if (this.tellsEnd) this.socket.send(Buffer.from([CLOSE, this.channel]), { binary: true }, done);
		else done();
	}
}

function bytesOf(data: RawData): Buffer {
	return Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data);
}

/** Tells when the client is gone. */
function untilClosed(socket: WebSocket): AbortSignal {
	const gone = new AbortController();
	socket.on('close', () => gone.abort());
	socket.on('error', () => gone.abort());
	return gone.signal;
}

/** Ends a connection when all is said; a client that doesn't answer is left. */
async function close(socket: WebSocket): Promise<void> {
	if (socket.readyState === socket.CLOSED) return;
	await new Promise<void>((resolve) => {
		const timer = setTimeout(() => socket.terminate(), GRACE_MS);
		socket.once('close', () => {
			clearTimeout(timer);
			resolve();
		});
		socket.resume();
		socket.close(NORMAL_CLOSURE);
	});
}

/** Serves one exec or attach; resolves when the connection is over. */
export async function serveWebSocketCommand(socket: WebSocket, request: CommandRequest): Promise<void> {
	const tellsEnd = socket.protocol === 'v5.channel.k8s.io';
	const signal = untilClosed(socket);
	const stdin = request.hasStdin ? new ChannelReader(socket) : null;
	const resizes = new ResizeReader();
	socket.on('message', (data) => {
		const bytes = bytesOf(data);
		if (bytes[0] === STDIN && bytes.length > 1) stdin?.receive(bytes.subarray(1));
		else if (bytes[0] === RESIZE && request.isTerminal) resizes.write(bytes.subarray(1));
		else if (bytes[0] === CLOSE && bytes[1] === STDIN && tellsEnd) stdin?.push(null);
	});
	signal.addEventListener('abort', () => stdin?.destroy());
	const writer = (isThere: boolean, channel: number): ChannelWriter | null =>
		isThere ? new ChannelWriter(socket, channel, tellsEnd) : null;
	const stdout = writer(request.hasStdout, STDOUT);
	const stderr = writer(request.hasStderr && !request.isTerminal, STDERR);
	const error = new ChannelWriter(socket, ERROR, false);
	// Clients take a first, empty message for the sign that they are connected.
	socket.send(Buffer.from([stdout === null ? ERROR : STDOUT]), { binary: true });
	const session: Session = { stdin, stdout, stderr, onResize: (listener) => resizes.onResize(listener), signal };
	let status: object;
	try {
		status = exitStatus(await request.run(session));
	} catch (failure) {
		status = failureStatus(failure);
	}
	await Promise.all([stdout, stderr].map((output) => (output === null ? undefined : endOf(output))));
	error.write(JSON.stringify(status));
	await endOf(error);
	await close(socket);
}

async function endOf(output: Writable): Promise<void> {
	if (output.destroyed) return;
	await new Promise<void>((resolve) => {
		output.once('close', resolve);
		output.end();
	});
}

/** Serves port-forwarding over channels: of port n the channels 2n (data) and 2n + 1 (error), which both begin with the port's number. */
export async function serveWebSocketPorts(socket: WebSocket, request: PortForwardRequest): Promise<void> {
	const signal = untilClosed(socket);
	const ports = request.ports.slice(0, MAX_PORTS);
	const connections = ports.map((port, at) => {
		const reader = new ChannelReader(socket);
		const data = new ChannelWriter(socket, 2 * at, false);
		const error = new ChannelWriter(socket, 2 * at + 1, false);
		const number = Buffer.alloc(2);
		number.writeUInt16LE(port);
		data.write(number);
		error.write(number);
		signal.addEventListener('abort', () => reader.destroy());
		const stream = Duplex.from({ readable: reader, writable: data });
		stream.on('error', () => undefined);
		const done = request.connect(port, stream, signal).catch((failure: unknown) => {
			error.write(messageOf(failure));
		});
		return { reader, done };
	});
	socket.on('message', (data) => {
		const bytes = bytesOf(data);
		if (bytes.length > 1 && bytes[0]! % 2 === 0) connections[bytes[0]! >> 1]?.reader.receive(bytes.subarray(1));
	});
	await Promise.all(connections.map(({ done }) => done));
	await close(socket);
}
