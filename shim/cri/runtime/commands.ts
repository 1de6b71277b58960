import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { status } from '@grpc/grpc-js';
import { HostError } from '../../../runtime/host-error.js';
import { enterNetworkNamespace } from '../../../runtime/oci/network-namespace.js';
import type { Sandbox } from '../../../runtime/sandbox/sandbox.js';
import { CriError } from '../server/cri-error.js';
import type { Session, TerminalSize } from '../streaming/session.js';
import { ProcessStreams, type StreamOptions } from './process-streams.js';

/** A program that is to run in a container, beside its own. */
export interface Command {
	readonly sandbox: Sandbox;
	readonly containerId: string;
	/** The container's `process`, of which the command has all but its words. */
	readonly process: Readonly<Record<string, unknown>>;
	readonly args: readonly string[];
}

/** Bytes that ExecSync gives back at most, of stdout first: with them the answer has the 16 MiB that clients take. The rest is read and dropped. */
const MAX_OUTPUT_BYTES = (16 << 20) - 1024;
/** How long a command's output may stay open when it has ended: a process that it left behind may have it. */
const DRAIN_MS = 10_000;
const FIRST_SIZE_MS = 200;

/** Runs a command to its end. Throws CriError (DEADLINE_EXCEEDED) when that takes longer than `seconds` (0: any time); it is killed then. */
export async function execSync(
	command: Command,
	seconds: number,
): Promise<{ readonly exitCode: number; readonly stdout: Buffer; readonly stderr: Buffer }> {
	const streams = ProcessStreams.pipes({ stdin: false, stdout: true, stderr: true, terminal: false });
	const outputs = [collect(streams.stdout), collect(streams.stderr)] as const;
	let timer: NodeJS.Timeout | undefined;
	let isLate = false;
	try {
		const running = await start(command, streams, false);
		if (seconds > 0)
			timer = setTimeout(() => {
				isLate = true;
				running.kill();
			}, seconds * 1000);
		const exitCode = await running.end(outputs);
		if (isLate) throw new CriError(status.DEADLINE_EXCEEDED, `the command ${JSON.stringify(command.args)} did not end within ${seconds} s`);
		const [stdout, stderr] = await Promise.all(outputs);
		return { exitCode, stdout, stderr: stderr.subarray(0, MAX_OUTPUT_BYTES - stdout.length) };
	} finally {
		clearTimeout(timer);
		streams.close();
	}
}

/** Runs a command for a client that types and reads: its exit code, when all of its output is with the client. */
export async function exec(command: Command, options: StreamOptions, session: Session): Promise<number> {
	const streams = ProcessStreams.pipes(options);
	try {
		const outputs = [carry(streams.stdout, session.stdout), carry(streams.stderr, session.stderr)];
		const size = options.terminal ? await firstSize(session) : null;
		const running = await start(size === null ? command : sized(command, size), streams, options.terminal);
		session.onResize((changed) => running.resize(changed));
		if (session.stdin !== null && streams.stdin !== null) void pipeline(session.stdin, streams.stdin).catch(() => undefined);
		// As with containerd: who has gone doesn't want it to go on.
		session.signal.addEventListener('abort', () => running.kill());
		return await running.end(outputs);
	} finally {
		streams.close();
	}
}

/** Where a pod's ports are reached. */
export interface PortTarget {
	/** The namespace that `hosts` are looked for in: its path; null for the host's own. */
	readonly netns: string | null;
	/** Addresses, of which the first that doesn't refuse is taken. */
	readonly hosts: readonly string[];
}

/** Carries one connection to a port of a pod. Throws HostError. */
export async function forwardPort(target: PortTarget, port: number, stream: Duplex, signal: AbortSignal): Promise<void> {
	const socket = await connectTo(target, port);
	const stop = (): void => {
		socket.destroy();
	};
	signal.addEventListener('abort', stop);
	try {
		// One side may have said all while the other goes on.
		await Promise.all([pipeline(stream, socket), pipeline(socket, stream)]);
	} catch (error) {
		if (!signal.aborted && !isDisconnect(error)) throw HostError.from(`Forward the port ${port}`, error);
	} finally {
		signal.removeEventListener('abort', stop);
		socket.destroy();
	}
}

interface Running {
	kill(): void;
	resize(size: { readonly rows: number; readonly columns: number }): void;
	/** Its exit code, when it has ended and `outputs` are over. */
	end(outputs: readonly Promise<unknown>[]): Promise<number>;
}

async function start({ sandbox, containerId, process, args }: Command, streams: ProcessStreams, terminal: boolean): Promise<Running> {
	const execId = `exec-${randomBytes(8).toString('hex')}`;
	const env = terminal ? withTerm(process['env']) : process['env'];
	await sandbox.exec(containerId, execId, { ...process, env, args, terminal }, streams.stdio);
	streams.handedOver();
	const ended = sandbox.wait(containerId, execId);
	return {
		kill: () => void sandbox.signal(containerId, execId, constants.signals.SIGKILL, false).catch(() => undefined),
		resize: (size) => void sandbox.resize(containerId, execId, size).catch(() => undefined),
		end: async (outputs) => {
			const exit = await ended;
			const drained = new AbortController();
			await Promise.race([Promise.allSettled(outputs), new Promise((resolve) => later(resolve, drained.signal))]);
			drained.abort();
			streams.stdout?.destroy();
			streams.stderr?.destroy();
			// The container may be gone.
			await sandbox.deleteExec(containerId, execId).catch(() => undefined);
			return exit.status;
		},
	};
}

function later(action: (value: null) => void, signal: AbortSignal): void {
	const timer = setTimeout(action, DRAIN_MS, null);
	signal.addEventListener('abort', () => clearTimeout(timer));
}

function withTerm(env: unknown): unknown {
	const variables = Array.isArray(env) ? (env as string[]) : [];
	return variables.some((text) => text.startsWith('TERM=')) ? variables : [...variables, 'TERM=xterm'];
}

async function collect(source: Readable | null): Promise<Buffer> {
	const parts: Buffer[] = [];
	let length = 0;
	try {
		for await (const bytes of (source ?? []) as AsyncIterable<Buffer>) {
			if (length < MAX_OUTPUT_BYTES) parts.push(bytes.subarray(0, MAX_OUTPUT_BYTES - length));
			length += bytes.length;
		}
	} catch {
		// It was cut off: what came is what there is.
	}
	return Buffer.concat(parts);
}

/** A client with a terminal says its size first of all: a program that asks for it at its start shall find it. Null from one that doesn't say. */
function firstSize(session: Session): Promise<TerminalSize | null> {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, FIRST_SIZE_MS, null);
		session.onResize((size) => {
			clearTimeout(timer);
			resolve(size);
		});
	});
}

function sized(command: Command, { rows, columns }: TerminalSize): Command {
	return { ...command, process: { ...command.process, consoleSize: { height: rows, width: columns } } };
}

/** A client that reads no more must not stop the command: the rest is dropped. */
async function carry(source: Readable | null, target: NodeJS.WritableStream | null): Promise<void> {
	if (source === null) return;
	if (target === null) {
		source.resume();
		return;
	}
	await pipeline(source, target).catch(() => source.resume());
}

/** Throws HostError: the first address's failure. */
async function connectTo({ netns, hosts }: PortTarget, port: number): Promise<Socket> {
	const step = `Connect to the port ${port} of the pod`;
	let failure = new HostError(`${step}: it has no address`, 'EADDRNOTAVAIL');
	for (const [at, host] of hosts.entries()) {
		try {
			return await connectIn(netns, host, port);
		} catch (error) {
			if (at === 0) failure = HostError.from(step, error);
			if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') break;
		}
	}
	throw failure;
}

/** A connection that is made in a network namespace. */
function connectIn(netns: string | null, host: string, port: number): Promise<Socket> {
	return new Promise((resolve, reject) => {
		// With nothing else on the stack: what happens until the next tick but one happens in the other namespace.
		setImmediate(() => {
			try {
				if (netns !== null) {
					const leave = enterNetworkNamespace(netns);
					process.nextTick(() => process.nextTick(leave));
				}
				// The socket is made on the next tick; an address needs no lookup.
				const socket = connect({ host, port });
				socket.once('connect', () => resolve(socket));
				socket.once('error', reject);
			} catch (error) {
				reject(error);
			}
		});
	});
}

function isDisconnect(error: unknown): boolean {
	const { code } = error as NodeJS.ErrnoException;
	return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET' || code === 'EPIPE';
}
