// The client's end of exec, attach and port-forward, over SPDY/3.1: what every CRI server speaks.

import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Duplex, Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { HostError } from '../../../runtime/host-error.js';
import type { TerminalSize } from './session.js';
import { SpdyConnection, type SpdyStream } from './spdy-connection.js';

/** Bytes of what a server says on a stream of errors, or in place of an upgrade. */
const MAX_MESSAGE_BYTES = 64 << 10;
const CONNECT_MS = 30_000;
/** How long what a program still had to say may take once its end is known. */
const REST_MS = 10_000;

/** The user's end of a command. */
export interface CommandStreams {
	/** What is typed; null for a command without input. It is not read after the command's end. */
	readonly stdin: Readable | null;
	readonly stdout: Writable | null;
	/** Null with a terminal: its output is one. */
	readonly stderr: Writable | null;
	/** With a terminal: hands each size of it, the first one at once, to `listener` until the result is called. */
	readonly watchSize?: (listener: (size: TerminalSize) => void) => () => void;
	/** Ends the connection. */
	readonly signal?: AbortSignal;
}

/**
 * Runs the command of a URL that Exec or Attach gave out; which streams there are must be as that call said. Resolves with the program's exit
 * code. Rejects with the server's message, and with ECONNRESET when the connection is lost before the end is told.
 */
export async function runCommand(url: string, streams: CommandStreams): Promise<number> {
	const { connection } = await dial(url, 'v4.channel.k8s.io', streams.signal);
	const open = (type: string): Promise<SpdyStream> =>
		connection.openStream(new Map([['streamtype', type]])).catch((error: unknown) => {
			connection.close();
			throw error;
		});
	const error = await open('error');
	const stdin = streams.stdin === null ? null : await open('stdin');
	const stdout = streams.stdout === null ? null : await open('stdout');
	const stderr = streams.stderr === null ? null : await open('stderr');
	const resize = streams.watchSize === undefined ? null : await open('resize');
	const unwatch = streams.watchSize?.(({ columns, rows }) => {
		if (resize?.writable) resize.write(JSON.stringify({ Width: columns, Height: rows }));
	});
	resize?.resume();
	if (stdin !== null) {
		stdin.resume();
		streams.stdin!.pipe(stdin);
	}
	const outputs = [copy(stdout, streams.stdout), copy(stderr, streams.stderr)];
	try {
		const status = await textOf(error);
		// A background process may keep the program's output open after its end.
		await Promise.race([Promise.all(outputs), new Promise((resolve) => setTimeout(resolve, REST_MS).unref())]);
		// What has come whole is the reader's to take, however slow it is.
		await Promise.all(outputs.filter((_, index) => [stdout, stderr][index]?.isWhole));
		return exitCodeOf(status, error.isWhole);
	} finally {
		unwatch?.();
		if (stdin !== null) streams.stdin!.unpipe(stdin);
		connection.close();
	}
}

async function copy(from: SpdyStream | null, to: Writable | null): Promise<void> {
	if (from === null || to === null) return;
	try {
		await pipeline(from, to, { end: false });
	} catch {
		// Whoever reads this end is gone: the program's output goes nowhere, and its end is still waited for.
		from.resume();
	}
}

/** All that comes on a stream, up to its end or the connection's. */
async function textOf(stream: SpdyStream): Promise<string> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	stream.on('data', (chunk: Buffer) => {
		bytes += chunk.length;
		if (bytes <= MAX_MESSAGE_BYTES) chunks.push(chunk);
	});
	await finished(stream, { writable: false }).catch(() => undefined);
	return Buffer.concat(chunks).toString();
}

/** Reads metav1.Status. */
function exitCodeOf(text: string, isWhole: boolean): number {
	if (text === '')
		throw new HostError(isWhole ? 'Run the command: its end was not told' : 'Run the command: the connection was lost', 'ECONNRESET');
	let status: { status?: unknown; reason?: unknown; message?: unknown; details?: { causes?: { reason?: unknown; message?: unknown }[] } };
	try {
		status = JSON.parse(text) as typeof status;
	} catch {
		throw new Error(text.trim());
	}
	if (status.status === 'Success') return 0;
	const code = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
	if (status.reason === 'NonZeroExitCode' && Number.isInteger(Number(code))) return Number(code);
	throw new Error(typeof status.message === 'string' ? status.message : text.trim());
}

/** The connection of a URL that PortForward gave out: it carries any number of TCP connections. */
export class PortForwarder {
	private nextRequestId = 0;

	private constructor(
		private readonly connection: SpdyConnection,
		/** Resolves when the server is gone. */
		readonly closed: Promise<unknown>,
	) {}

	static async open(url: string, signal?: AbortSignal): Promise<PortForwarder> {
		const { connection, served } = await dial(url, 'portforward.k8s.io', signal);
		return new PortForwarder(connection, served);
	}

	/** Carries one connection to a port of the pod until both sides have ended it. Rejects with what the server says went wrong. */
	async carry(port: number, local: Duplex): Promise<void> {
		const headers = (type: string): Map<string, string> =>
			new Map([
				['streamtype', type],
				['port', `${port}`],
				['requestid', `${id}`],
			]);
		const id = this.nextRequestId++;
		const error = await this.connection.openStream(headers('error'));
		error.end();
		const data = await this.connection.openStream(headers('data'));
		const failure = textOf(error);
		local.on('error', () => undefined);
		local.pipe(data);
		data.pipe(local);
		local.on('close', () => data.destroy());
		const message = await failure;
		if (message !== '') {
			local.destroy();
			throw new Error(message);
		}
		// As kubectl: once the server has said all, what is still to be sent is for nobody.
		await finished(data, { writable: false }).catch(() => undefined);
		local.end();
		data.destroy();
	}

	close(): void {
		this.connection.close();
	}
}

/** Upgrades a URL to SPDY. Rejects with the step and the server's reason. */
async function dial(
	url: string,
	protocol: string,
	signal?: AbortSignal,
): Promise<{ connection: SpdyConnection; served: Promise<unknown> }> {
	const step = `Connect to ${new URL(url).origin}`;
	const [socket, head] = await new Promise<[Duplex, Buffer]>((resolve, reject) => {
		const options = {
			method: 'POST',
			headers: { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': protocol },
			// The URL came over the server's own socket; its certificate is one that the server made itself.
			rejectUnauthorized: false,
			timeout: CONNECT_MS,
			...(signal === undefined ? {} : { signal }),
		};
		const request = url.startsWith('https:') ? requestHttps(url, options) : requestHttp(url, options);
		request.on('upgrade', (_: IncomingMessage, upgraded: Duplex, first: Buffer) => {
			request.setTimeout(0);
			resolve([upgraded, first]);
		});
		request.on('response', (response) => {
			let text = '';
			response.setEncoding('utf8').on('data', (part: string) => {
				if (text.length < MAX_MESSAGE_BYTES) text += part;
			});
			response.on('end', () => reject(new Error(`${step}: ${response.statusCode} ${text.trim()}`)));
		});
		request.on('timeout', () => request.destroy(new HostError(step, 'ETIMEDOUT')));
		request.on('error', (error) => reject(HostError.from(step, error)));
		request.end();
	});
	const connection = new SpdyConnection(socket, null);
	signal?.addEventListener('abort', () => connection.close(), { once: true });
	return { connection, served: connection.serve(head) };
}
