import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { HostError } from '../../../runtime/host-error.js';
import type { CommandRequest, PortForwardRequest } from './session.js';
import { COMMAND_PROTOCOLS, PORT_FORWARD_PROTOCOLS, serveCommand, servePortForward } from './spdy-session.js';
import { serveWebSocketCommand, serveWebSocketPorts, WEBSOCKET_COMMAND_PROTOCOLS, WEBSOCKET_PORT_PROTOCOLS } from './websocket-session.js';

export interface StreamingOptions {
	readonly host?: string;
	/** 0 takes any. */
	readonly port?: number;
	/** Key and certificate in PEM. */
	readonly tls?: { readonly key: string; readonly cert: string };
	/** How long a URL may wait for its client. */
	readonly tokenMs?: number;
}

type Kind = 'exec' | 'attach' | 'portforward';
type Pending = (
	| { readonly kind: 'exec' | 'attach'; readonly request: CommandRequest }
	| { readonly kind: 'portforward'; readonly request: PortForwardRequest }
) & {
	readonly timer: NodeJS.Timeout;
};

const TOKEN_MS = 60_000;
/** URLs that nobody has come for yet. */
const MAX_PENDING = 1000;
/** Bytes of one WebSocket message of a client. */
const MAX_MESSAGE_BYTES = 1 << 20;

/**
 * The server that clients of exec, attach and port-forward are sent to. A URL works once, and holds the only right to its request: a random token. A
 * request is served over SPDY/3.1 or WebSocket, as the client asks.
 */
export class StreamingServer {
	private readonly pending = new Map<string, Pending>();
	private readonly sockets = new Set<Duplex>();
	private readonly server: Server;
	private readonly webSockets: WebSocketServer;
	private base = '';

	constructor(private readonly options: StreamingOptions = {}) {
		this.server = options.tls === undefined ? createServer() : createTlsServer({ ...options.tls });
		this.server.on('request', (_, response) => response.writeHead(404).end());
		this.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.upgrade(request, socket, head));
		this.webSockets = new WebSocketServer({
			noServer: true,
			perMessageDeflate: false,
			maxPayload: MAX_MESSAGE_BYTES,
			handleProtocols: (offered, { url }) => {
				const known: readonly string[] = url?.startsWith('/portforward/') ? WEBSOCKET_PORT_PROTOCOLS : WEBSOCKET_COMMAND_PROTOCOLS;
				return known.find((protocol) => offered.has(protocol)) ?? false;
			},
		});
	}

	async listen(): Promise<void> {
		const { host = '127.0.0.1', port = 0, tls } = this.options;
		await new Promise<void>((resolve, reject) => {
			this.server.once('error', (error) => reject(HostError.from(`Listen on ${host}:${port} for streams`, error)));
			this.server.listen(port, host, resolve);
		});
		const address = this.server.address() as AddressInfo;
		const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
		this.base = `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}`;
	}

	/** Ends all streams and the server. */
	async close(): Promise<void> {
		for (const { timer } of this.pending.values()) clearTimeout(timer);
		this.pending.clear();
		for (const socket of this.sockets) socket.destroy();
		this.server.closeAllConnections();
		await new Promise((resolve) => this.server.close(resolve));
	}

	/** The URL at which a client may exec, once. Throws EINVAL for a request of no stream at all or of a terminal with stderr; EAGAIN when too many wait. */
	exec(request: CommandRequest): string {
		return this.command('exec', request);
	}

	attach(request: CommandRequest): string {
		return this.command('attach', request);
	}

	portForward(request: PortForwardRequest): string {
		return this.add('portforward', (timer) => ({ kind: 'portforward', request, timer }));
	}

	private command(kind: 'exec' | 'attach', request: CommandRequest): string {
		if (!request.hasStdin && !request.hasStdout && !request.hasStderr)
			throw new HostError(`Serve ${kind}: one of stdin, stdout and stderr must be set`, 'EINVAL');
		if (request.isTerminal && request.hasStderr) throw new HostError(`Serve ${kind}: tty and stderr cannot both be true`, 'EINVAL');
		return this.add(kind, (timer) => ({ kind, request, timer }));
	}

	private add(kind: Kind, make: (timer: NodeJS.Timeout) => Pending): string {
		if (this.pending.size >= MAX_PENDING) throw new HostError(`Serve ${kind}: ${MAX_PENDING} clients have not come yet`, 'EAGAIN');
		const token = randomBytes(24).toString('base64url');
		const timer = setTimeout(() => this.pending.delete(token), this.options.tokenMs ?? TOKEN_MS).unref();
		this.pending.set(token, make(timer));
		return `${this.base}/${kind}/${token}`;
	}

	/** The request of a URL, which nobody can ask for again. */
	private take(url: string): Pending | null {
		const [, kind, token] = /^\/(exec|attach|portforward)\/([\w-]+)(?:\?.*)?$/.exec(url) ?? [];
		const pending = token === undefined ? undefined : this.pending.get(token);
		if (token === undefined || pending === undefined || pending.kind !== kind) return null;
		clearTimeout(pending.timer);
		this.pending.delete(token);
		return pending;
	}

	private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
		this.sockets.add(socket);
		socket.on('error', () => socket.destroy());
		socket.on('close', () => this.sockets.delete(socket));
		const protocol = (request.headers.upgrade ?? '').toLowerCase();
		if (protocol !== 'spdy/3.1' && protocol !== 'websocket') {
			refuse(socket, '400 Bad Request', 'want an upgrade to SPDY/3.1 or WebSocket');
			return;
		}
		const pending = this.take(request.url ?? '');
		if (pending === null) refuse(socket, '404 Not Found', 'no such stream, or it was used already');
		else if (protocol === 'websocket') this.upgradeWebSocket(request, socket, head, pending);
		else this.upgradeSpdy(request, socket, head, pending);
	}

	private upgradeSpdy(request: IncomingMessage, socket: Duplex, head: Buffer, pending: Pending): void {
		const header = request.headers['x-stream-protocol-version'];
		const offered = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map((name) => name.trim());
		const known: readonly string[] = pending.kind === 'portforward' ? PORT_FORWARD_PROTOCOLS : COMMAND_PROTOCOLS;
		// A client that names none speaks the first one.
		const chosen = header === undefined ? known.at(-1)! : known.find((name) => offered.includes(name));
		if (chosen === undefined) {
			refuse(socket, '403 Forbidden', `want one of ${known.join(', ')}`, { 'X-Accepted-Stream-Protocol-Versions': known.join(', ') });
			return;
		}
		socket.write(answer('101 Switching Protocols', { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': chosen }));
		const served =
			pending.kind === 'portforward'
				? servePortForward(socket, head, pending.request)
				: serveCommand(socket, head, pending.request, chosen);
		served.catch(() => undefined).finally(() => socket.destroy());
	}

	private upgradeWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer, pending: Pending): void {
		this.webSockets.handleUpgrade(request, socket, head, (webSocket) => {
			webSocket.on('error', () => webSocket.terminate());
			let served: Promise<void>;
			if (webSocket.protocol === '') {
				webSocket.close(1002, 'no protocol that is known here');
				return;
			}
			if (pending.kind !== 'portforward') served = serveWebSocketCommand(webSocket, pending.request);
			else if (webSocket.protocol === 'v4.channel.k8s.io') served = serveWebSocketPorts(webSocket, pending.request);
			else served = servePortForward(createWebSocketStream(webSocket), Buffer.alloc(0), pending.request);
			served.catch(() => undefined).finally(() => webSocket.terminate());
		});
	}
}

function answer(status: string, headers: Readonly<Record<string, string>>): string {
	const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
	return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`;
}

function refuse(socket: Duplex, status: string, reason: string, headers: Readonly<Record<string, string>> = {}): void {
	socket.end(
		`${answer(status, { ...headers, Connection: 'close', 'Content-Type': 'text/plain', 'Content-Length': `${reason.length}` })}${reason}`,
	);
}
