// Exec, attach and port-forward over SPDY, as kubelet, crictl and older kubectls speak it.

import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import {
	type CommandRequest,
	exitStatus,
	failureStatus,
	messageOf,
	type PortForwardRequest,
	ResizeReader,
	type Session,
} from './session.js';
import { SpdyConnection, type SpdyStream } from './spdy-connection.js';

/** How long the client's streams may take to come. */
const STREAMS_MS = 30_000;
/** How long the client may take to close its connection when all is said. */
const GRACE_MS = 10_000;

/** The versions of the remote command protocol, the best one first. */
export const COMMAND_PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const;
export const PORT_FORWARD_PROTOCOLS = ['portforward.k8s.io'] as const;

/** Serves one exec or attach; resolves when the connection is over. */
export async function serveCommand(socket: Duplex, head: Buffer, request: CommandRequest, protocol: string): Promise<void> {
	const gone = new AbortController();
	const streams = new Map<string, SpdyStream>();
	const wanted = wantedStreams(request, protocol);
	let complete: () => void = () => undefined;
	const all = new Promise<void>((resolve) => {
		complete = resolve;
	});
	const connection = new SpdyConnection(socket, (stream) => {
		const type = stream.headers.get('streamtype') ?? '';
		if (!wanted.has(type) || streams.has(type)) throw new Error(`a stream of the type ${type}`);
		streams.set(type, stream);
		if (streams.size === wanted.size) complete();
	});
	const served = connection.serve(head).then(() => gone.abort());
	const timer = setTimeout(() => connection.close(), STREAMS_MS);
	await Promise.race([all, served]);
	clearTimeout(timer);
	if (streams.size < wanted.size) return;
	const resizes = new ResizeReader();
	streams.get('resize')?.on('data', (chunk: Buffer) => resizes.write(chunk));
	// Nothing comes on these; a client that sends all the same must not make the connection wait.
	for (const type of ['stdout', 'stderr', 'error']) streams.get(type)?.resume();
	const session: Session = {
		stdin: streams.get('stdin') ?? null,
		stdout: streams.get('stdout') ?? null,
		stderr: streams.get('stderr') ?? null,
		onResize: (listener) => resizes.onResize(listener),
		signal: gone.signal,
	};
	const error = streams.get('error')!;
	try {
		const code = await request.run(session);
		if (protocol === 'v4.channel.k8s.io') error.end(JSON.stringify(exitStatus(code)));
		else error.end(code === 0 ? '' : `command terminated with non-zero exit code: ${code}`);
	} catch (failure) {
		error.end(protocol === 'v4.channel.k8s.io' ? JSON.stringify(failureStatus(failure)) : messageOf(failure));
	}
	for (const type of ['stdout', 'stderr']) streams.get(type)?.end();
	await Promise.all(['stdout', 'stderr', 'error'].map((type) => ended(streams.get(type))));
	await connection.finish(GRACE_MS);
	await served;
}

function wantedStreams({ hasStdin, hasStdout, hasStderr, isTerminal }: CommandRequest, protocol: string): Set<string> {
	const wanted = new Set(['error']);
	if (hasStdin) wanted.add('stdin');
	if (hasStdout) wanted.add('stdout');
	if (hasStderr && !isTerminal) wanted.add('stderr');
	if (isTerminal && /^v[34]/.test(protocol)) wanted.add('resize');
	return wanted;
}

/** Waits until all of a stream is sent, or it can't be. */
async function ended(stream: SpdyStream | undefined): Promise<void> {
	if (stream !== undefined) await finished(stream, { readable: false }).catch(() => undefined);
}

/** Serves port-forwarding: each connection is two streams, data and error, of one request id. */
export async function servePortForward(socket: Duplex, head: Buffer, request: PortForwardRequest): Promise<void> {
	const gone = new AbortController();
	const pairs = new Map<string, { data?: SpdyStream; error?: SpdyStream; readonly timer: NodeJS.Timeout }>();
	const connection = new SpdyConnection(socket, (stream) => {
		const type = stream.headers.get('streamtype');
		const port = Number(stream.headers.get('port'));
		if (type !== 'data' && type !== 'error') throw new Error(`a stream of the type ${type}`);
		if (!Number.isInteger(port) || port < 1 || port > 0xffff) throw new Error(`a stream for the port ${port}`);
		// Clients of old have no request ids: their pairs come one after the other, the error stream first.
		const id = stream.headers.get('requestid') ?? `${type === 'error' ? stream.id : stream.id - 2}`;
		const pair = pairs.get(id) ?? { timer: setTimeout(() => forget(id), STREAMS_MS) };
		if (pair[type] !== undefined) throw new Error(`two ${type} streams of one request`);
		pair[type] = stream;
		pairs.set(id, pair);
		const { data, error } = pair;
		if (data === undefined || error === undefined) return;
		clearTimeout(pair.timer);
		pairs.delete(id);
		forward(request, port, data, error, gone.signal).catch(() => undefined);
	});
	const forget = (id: string): void => {
		const pair = pairs.get(id);
		pairs.delete(id);
		pair?.data?.destroy();
		pair?.error?.destroy();
	};
	await connection.serve(head);
	gone.abort();
	for (const { timer } of pairs.values()) clearTimeout(timer);
}

async function forward(request: PortForwardRequest, port: number, data: SpdyStream, error: SpdyStream, signal: AbortSignal): Promise<void> {
	error.resume();
	try {
		await request.connect(port, data, signal);
		error.end();
	} catch (failure) {
		error.end(messageOf(failure));
	}
	await ended(error);
	if (!data.writableEnded) data.end();
	await ended(data);
	data.destroy();
	error.destroy();
}
