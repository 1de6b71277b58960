// What probes and lifecycle hooks do.

import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect, isIPv6 } from 'node:net';
import type { CriClient } from '../../cri/client.js';
import type { Container, Handler, HttpGet } from './pod.js';

export interface ActionTarget {
	readonly call: CriClient['call'];
	readonly containerId: string;
	readonly container: Container;
	/** The pod's address. */
	readonly host: string;
}

/** Bytes of what a program or server says that are told to the user. */
const MAX_MESSAGE = 400;

/** Resolves with null when it went well, else with what went wrong, in kubelet's words. */
export async function act(action: Handler, target: ActionTarget, timeoutMs: number): Promise<string | null> {
	const { exec, httpGet, tcpSocket, sleep } = action;
	if (exec !== undefined) return execute(exec.command, target, timeoutMs);
	if (httpGet !== undefined) return get(httpGet, target, timeoutMs);
	if (tcpSocket !== undefined) return dial(tcpSocket.host ?? target.host, portOf(tcpSocket.port, target.container), timeoutMs);
	await new Promise((resolve) => setTimeout(resolve, Math.min((sleep?.seconds ?? 0) * 1000, timeoutMs)));
	return null;
}

async function execute(command: readonly string[], { call, containerId }: ActionTarget, timeoutMs: number): Promise<string | null> {
	try {
		const timeout = Math.ceil(timeoutMs / 1000);
		// The server ends the program at its timeout, and then answers.
		const { exitCode, stdout, stderr } = await call('ExecSync', { containerId, cmd: [...command], timeout }, timeoutMs + 5000);
		if (exitCode === 0) return null;
		const said = Buffer.concat([stdout, stderr]).toString().trim().slice(0, MAX_MESSAGE);
		return said === '' ? `command ended with exit code ${exitCode}` : said;
	} catch (error) {
		return (error as Error).message;
	}
}

function portOf(port: string | number, { ports = [] }: Container): number {
	return typeof port === 'number' ? port : (ports.find(({ name }) => name === port)?.containerPort ?? 0);
}

function get(action: HttpGet, target: ActionTarget, timeoutMs: number): Promise<string | null> {
	const { path = '/', scheme = 'HTTP', httpHeaders = [] } = action;
	const host = action.host ?? target.host;
	const port = portOf(action.port, target.container);
	const headers: Record<string, string> = { 'User-Agent': 'kube-probe/isopod', Accept: '*/*', Connection: 'close' };
	for (const { name, value } of httpHeaders) headers[name] = value;
	const where = `${scheme.toLowerCase()}://${isIPv6(host) ? `[${host}]` : host}:${port}${path.startsWith('/') ? path : `/${path}`}`;
	return new Promise((resolve) => {
		// As kubelet, which does not look at the certificate.
		const request = (scheme === 'HTTPS' ? requestHttps : requestHttp)(where, { headers, rejectUnauthorized: false }, (response) => {
			const { statusCode = 0 } = response;
			resolve(statusCode >= 200 && statusCode < 400 ? null : `HTTP probe failed with statuscode: ${statusCode}`);
			response.destroy();
		});
		const timer = setTimeout(() => {
			resolve(`Get "${where}": no answer within ${timeoutMs / 1000} s`);
			request.destroy();
		}, timeoutMs);
		request.on('error', (error) => resolve(`Get "${where}": ${error.message}`));
		request.on('close', () => clearTimeout(timer));
		request.end();
	});
}

function dial(host: string, port: number, timeoutMs: number): Promise<string | null> {
	return new Promise((resolve) => {
		const socket = connect({ host, port, timeout: timeoutMs });
		const end = (message: string | null): void => {
			socket.destroy();
			resolve(message);
		};
		socket.on('connect', () => end(null));
		socket.on('timeout', () => end(`dial tcp ${host}:${port}: no answer within ${timeoutMs / 1000} s`));
		socket.on('error', (error) => end(`dial tcp ${host}:${port}: ${error.message}`));
	});
}
