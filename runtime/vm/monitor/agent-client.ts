import { isopod } from '../../../proto/generated/agent.js';
import type { HostLoop } from './host-loop.js';
import { HostStream } from './host-stream.js';

const { Message, Request } = isopod.agent;
export type AgentCall = Omit<isopod.agent.IRequest, 'id'>;
export type AgentMessage = InstanceType<typeof Message>;

/** Of the protocol, as native/agent/messages.h has them. */
export const AGENT_VERSION = 1;
/** Bytes that may be on their way on a stream before its receiver gives more credit. */
export const INITIAL_CREDIT = 256 << 10;
const MAX_FRAME = 4 << 20;
const HEADER = 4;
const GONE = 'the machine has ended';
/** How long the agent may take to answer: it is a guest, and may have been lamed by whoever is root there. */
const CALL_LIMIT_MS = 30_000;
/** Streams of a program. */
export const STDIN = 0;

/** Who a program's messages go to. */
export interface ProgramEvents {
	onData(stream: number, bytes: Uint8Array, isEnd: boolean): void;
	/** The guest has taken that many more bytes of stdin. */
	onCredit(bytes: number): void;
	/** Wait status as waitpid(2) gives it. */
	onExit(status: number): void;
}

/** The monitor's end of the channel to the agent of one machine. What comes from there is a guest's: a bad message ends the channel, nothing else. */
export class AgentClient {
	private readonly stream: HostStream;
	private isOpen = true;
	private readonly waiting = new Map<
		number,
		{ resolve(message: AgentMessage): void; reject(error: Error): void; readonly timer: number }
	>();
	private readonly programs = new Map<number, ProgramEvents>();
	/** The frame that is being received: its length, then its message, and how many bytes of that one are there. */
	private readonly head = Buffer.alloc(HEADER);
	private body: Buffer | null = null;
	private filled = 0;
	private nextId = 1;
	private nextProgram = 1;
	private helloCame: (message: AgentMessage) => void = () => {};
	/** The agent's first message. */
	readonly hello = new Promise<AgentMessage>((resolve) => {
		this.helloCame = resolve;
	});
	onOutOfMemory: (containerId: string, count: number) => void = () => {};
	/** Why the channel ended. */
	readonly closed: Promise<string>;

	private end: (why: string) => void = () => {};

	/** Takes the descriptor over. */
	constructor(
		private readonly loop: HostLoop,
		fd: number,
	) {
		this.closed = new Promise((resolve) => {
			this.end = resolve;
		});
		this.stream = new HostStream(
			loop,
			fd,
			(bytes) => {
				try {
					this.receive(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
				} catch (error) {
					this.close(`the agent sent what it must not: ${error instanceof Error ? error.message : error}`);
				}
			},
			() => this.close('the machine has closed its channel'),
		);
		this.stream.resume();
	}

	/** Rejects with what the agent says failed, or when the machine has ended; one whose agent takes longer than `limitMs` has. */
	call(call: AgentCall, limitMs = CALL_LIMIT_MS): Promise<AgentMessage> {
		const id = this.nextId++;
		return new Promise((resolve, reject) => {
			if (!this.isOpen) {
				reject(new Error(GONE));
				return;
			}
			const timer = this.loop.after(limitMs, () => this.close(`its agent did not answer for ${limitMs / 1000} s`));
			this.waiting.set(id, { resolve, reject, timer });
			this.send({ id, ...call });
		});
	}

	private close(why: string): void {
		if (!this.isOpen) return;
		this.isOpen = false;
		this.stream.close();
		for (const { reject, timer } of this.waiting.values()) {
			this.loop.cancel(timer);
			reject(new Error(GONE));
		}
		this.waiting.clear();
		this.end(why);
	}

	/** Gives a program to be made its number. */
	addProgram(events: ProgramEvents): number {
		const number = this.nextProgram++;
		this.programs.set(number, events);
		return number;
	}

	forgetProgram(number: number): void {
		this.programs.delete(number);
	}

	/** Sends input to a program; the caller keeps within its credit. */
	sendInput(number: number, bytes: Uint8Array, isEnd: boolean): void {
		this.send({ data: { number, stream: STDIN, bytes, isEnd } });
	}

	/** Nobody reads what a program writes to a stream any more. */
	endOutput(number: number, stream: number): void {
		this.send({ data: { number, stream, isEnd: true } });
	}

	/** Lets a program's stream send so many bytes more. */
	giveCredit(number: number, stream: number, bytes: number): void {
		this.send({ credit: { number, stream, bytes } });
	}

	private send(request: isopod.agent.IRequest): void {
		const body = Request.encode(Request.create(request)).finish();
		const frame = Buffer.allocUnsafe(HEADER + body.length);
		frame.writeUInt32LE(body.length, 0);
		frame.set(body, HEADER);
		this.stream.write(frame);
	}

	/** Throws when a frame is too long to be held, or has no message. */
	private receive(bytes: Buffer): void {
		for (let at = 0; at < bytes.length; ) {
			if (this.body === null) {
				const count = bytes.copy(this.head, this.filled, at);
				at += count;
				this.filled += count;
				if (this.filled < HEADER) return;
				const length = this.head.readUInt32LE(0);
				if (length > MAX_FRAME - HEADER) throw new Error(`a frame of ${length} bytes`);
				this.filled = 0;
				this.body = Buffer.allocUnsafe(length);
			}
			const count = bytes.copy(this.body, this.filled, at);
			at += count;
			this.filled += count;
			if (this.filled < this.body.length) continue;
			const { body } = this;
			this.body = null;
			this.filled = 0;
			this.dispatch(Message.decode(body));
		}
	}

	private dispatch(message: AgentMessage): void {
		if (message.id !== 0) {
			const waiting = this.waiting.get(message.id);
			if (waiting === undefined) throw new Error('an answer to no call');
			this.waiting.delete(message.id);
			this.loop.cancel(waiting.timer);
			if (message.error !== '') waiting.reject(new Error(message.error));
			else waiting.resolve(message);
			return;
		}
		if (message.hello) {
			this.helloCame(message);
		} else if (message.data) {
			const { number, stream, bytes, isEnd } = message.data;
			this.programs.get(number ?? 0)?.onData(stream ?? 0, bytes ?? new Uint8Array(0), isEnd ?? false);
		} else if (message.credit) {
			this.programs.get(message.credit.number ?? 0)?.onCredit(message.credit.bytes ?? 0);
		} else if (message.exited) {
			const { number, status } = message.exited;
			this.programs.get(number ?? 0)?.onExit(status ?? 0);
		} else if (message.outOfMemory) {
			this.onOutOfMemory(message.outOfMemory.containerId ?? '', message.outOfMemory.count ?? 0);
		}
	}
}
