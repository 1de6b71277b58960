import { Socket } from 'node:net';
import { isopod } from '../../proto/generated/sandbox.js';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import { FrameReader, sendFrame } from './frames.js';

const { Request, Response } = isopod.sandbox;
export type Call = Omit<isopod.sandbox.IRequest, 'id'>;
export type Answer = InstanceType<typeof Response>;

/** The sandbox process ended before it answered. */
export class SandboxGone extends Error {}

const GONE = 'the sandbox process has ended';
const EPIPE = 32;
const ECONNRESET = 104;

/** A front end's end of the control channel of one sandbox process. */
export class SandboxClient {
	private nextId = 1;
	private readonly waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
	private readonly reader = new FrameReader();
	private onLines: (lines: readonly string[], lost: number) => void = () => {};
	private onMemory: (id: string, kills: number) => void = () => {};
	private readonly socket: Socket;

	/** Resolves when the sandbox process has ended; never after `close`. */
	readonly gone: Promise<void>;
	/** The descriptor is not ours any more. */
	private isClosed = false;

	private constructor(private readonly fd: number) {
		this.socket = new Socket({ fd, readable: true, writable: false });
		this.socket.on('data', (bytes) => {
			for (const { body } of this.reader.push(bytes)) this.receive(Response.decode(body));
		});
		this.gone = new Promise((resolve) => {
			const gone = (): void => {
				if (!this.isClosed) resolve();
				this.isClosed = true;
				this.fail(new SandboxGone(GONE));
			};
			this.socket.on('error', gone);
			this.socket.on('end', gone);
			this.socket.on('close', gone);
		});
	}

	/** Connects to a sandbox process's control socket. Throws HostError: ECONNREFUSED when it is gone. */
	static connect(path: string): SandboxClient {
		const fd = native.connectUnix(path);
		if (fd < 0) throw HostError.errno(`Connect to the sandbox process at ${path}`, -fd);
		return new SandboxClient(fd);
	}

	/** Calls the sandbox process; `fds` stay the caller's. Rejects with what the sandbox process says, or when it is gone. */
	call(call: Call, fds: readonly number[] = []): Promise<Answer> {
		const id = this.nextId++;
		if (this.isClosed) return Promise.reject(new SandboxGone(GONE));
		return new Promise((resolve, reject) => {
			this.waiting.set(id, { resolve, reject });
			const error = sendFrame(this.fd, Request.encode(Request.create({ id, ...call })).finish(), fds);
			if (error >= 0) return;
			// Answers to others may still be on their way.
			this.waiting.delete(id);
			reject(error === -EPIPE || error === -ECONNRESET ? new SandboxGone(GONE) : HostError.errno('Send to the sandbox process', -error));
		});
	}

	/** Starts a container: the answer to that, and the one that comes when its init has ended. `hookState` is for its startContainer hooks, '' without any. */
	start(containerId: string, hookState: string): { readonly started: Promise<Answer>; readonly ended: Promise<Answer> } {
		const waitId = this.nextId++;
		const ended = new Promise<Answer>((resolve, reject) => this.waiting.set(waitId, { resolve, reject }));
		// Whoever has no use for it need not handle its failure.
		ended.catch(() => {});
		return { started: this.call({ start: { containerId, waitId, hookState } }), ended };
	}

	/** Calls `onLines` with lines of a trace as they come: resolves when the sandbox process has ended. Nothing else can be called from then on. */
	async trace(
		filter: Omit<isopod.sandbox.ITrace, 'id'>,
		onLines: (lines: readonly string[], lost: number) => void,
	): Promise<{ readonly ended: Promise<void> }> {
		this.onLines = onLines;
		await this.call({ trace: filter });
		return { ended: this.gone };
	}

	/** Calls `listener` with the id of a container whose control group has run out of memory, whenever that happens. */
	async watchMemory(listener: (id: string, kills: number) => void): Promise<void> {
		this.onMemory = listener;
		await this.call({ watchMemory: {} });
	}

	close(): void {
		this.isClosed = true;
		this.socket.destroy();
	}

	private receive(answer: Answer): void {
		if (answer.memoryEventOf !== '') {
			this.onMemory(answer.memoryEventOf, answer.oomKills);
			return;
		}
		if (answer.lines.length > 0 || answer.lost > 0) {
			this.onLines(answer.lines, answer.lost);
			return;
		}
		const waiting = this.waiting.get(answer.id);
		if (waiting === undefined) return;
		this.waiting.delete(answer.id);
		if (answer.error !== '') waiting.reject(new Error(answer.error));
		else waiting.resolve(answer);
	}

	private fail(error: Error): void {
		for (const { reject } of this.waiting.values()) reject(error);
		this.waiting.clear();
	}
}
