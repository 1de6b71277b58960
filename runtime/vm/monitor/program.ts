import { native } from '../../native.js';
import { type AgentClient, INITIAL_CREDIT, type ProgramEvents } from './agent-client.js';
import type { HostLoop } from './host-loop.js';
import { HostStream } from './host-stream.js';

const EIO = 5;
const TIOCGWINSZ = 0x5413;
const WINSIZE_BYTES = 8;
/** A pty's size changes without a word to whoever has no session on it. */
const SIZE_INTERVAL_MS = 250;
/** How long the rest of a program's output may take to be read once it has ended. */
const REST_MS = 2000;

export interface ProgramEnd {
	/** Wait status as waitpid(2) gives it. */
	readonly status: number;
	readonly atMs: number;
	/** Why, when it didn't end by itself. */
	readonly reason?: string;
}

/** A program in the guest with its streams on the host: a container's first one, or an exec. */
export class Program implements ProgramEvents {
	readonly number: number;
	end: ProgramEnd | null = null;
	private readonly waiting: ((end: ProgramEnd) => void)[] = [];
	/** Where stdout (or the terminal) and stderr go. */
	private readonly outputs: (HostStream | null)[] = [null, null];
	private unwritten = 0;
	private input: HostStream | null = null;
	private credit = INITIAL_CREDIT;
	private exit: ProgramEnd | null = null;
	private restTimer = 0;
	private sizeTimer = 0;
	private size = '';

	/** Takes the descriptors over: stdin, stdout, stderr; of a terminal the first is typed at and the second shows it. */
	constructor(
		private readonly loop: HostLoop,
		private readonly agent: AgentClient,
		stdio: readonly number[],
		hasTerminal: boolean,
		private readonly onEnd: (end: ProgramEnd) => void,
	) {
		this.number = agent.addProgram(this);
		const [stdin = -1, stdout = -1, stderr = -1] = stdio;
		const ignore = (): void => {};
		this.outputs[0] = new HostStream(loop, stdout, ignore, ignore);
		if (hasTerminal) native.close(stderr);
		else this.outputs[1] = new HostStream(loop, stderr, ignore, ignore);
		for (const [i, output] of this.outputs.entries()) if (output !== null) output.onBroken = () => agent.endOutput(this.number, i + 1);
		this.input = new HostStream(
			loop,
			stdin,
			(bytes) => this.sendInput(bytes, false),
			() => {
				// The end of what is typed is not the terminal's, but for its last user's.
				if (!hasTerminal || isHungUp(stdin)) this.sendInput(new Uint8Array(0), true);
				this.input?.close();
				this.input = null;
			},
		);
		if (hasTerminal) this.followSize();
	}

	/** The program is there: its input flows. */
	begin(): void {
		this.input?.resume();
	}

	wait(action: (end: ProgramEnd) => void): void {
		if (this.end !== null) action(this.end);
		else this.waiting.push(action);
	}

	onData(stream: number, bytes: Uint8Array, isEnd: boolean): void {
		const output = this.outputs[stream - 1] ?? null;
		if (bytes.length > 0) {
			this.unwritten++;
			const written = (): void => {
				this.unwritten--;
				this.agent.giveCredit(this.number, stream, bytes.length);
				this.settle();
			};
			if (output === null) written();
			else output.write(bytes, written);
		}
		if (!isEnd) return;
		output?.end();
		if (stream === 1 || stream === 2) this.outputs[stream - 1] = null;
	}

	onCredit(bytes: number): void {
		this.credit = Math.min(this.credit + bytes, INITIAL_CREDIT);
		if (this.credit >= CHUNK_LIMIT) this.input?.resume();
	}

	onExit(status: number): void {
		// By the host's clock: the guest's may be off, and its word on it is nothing to rely on.
		this.exit = { status: status & 0xffff, atMs: Date.now() };
		this.restTimer = this.loop.after(REST_MS, () => this.finish());
		this.settle();
	}

	/** Its machine is gone. */
	lose(end: ProgramEnd): void {
		this.exit ??= end;
		this.finish();
	}

	/** It will never be: its descriptors are given back. */
	abandon(): void {
		this.closeStreams();
	}

	private settle(): void {
		if (this.exit !== null && this.unwritten === 0) this.finish();
	}

	private finish(): void {
		if (this.end !== null || this.exit === null) return;
		this.loop.cancel(this.restTimer);
		this.end = this.exit;
		this.input?.close();
		this.input = null;
		this.loop.cancel(this.sizeTimer);
		this.onEnd(this.end);
		for (const action of this.waiting.splice(0)) action(this.end);
	}

	/** What others of the container still write goes nowhere. */
	closeStreams(): void {
		this.loop.cancel(this.sizeTimer);
		this.input?.close();
		for (const output of this.outputs) output?.end();
		this.agent.forgetProgram(this.number);
	}

	private sendInput(bytes: Uint8Array, isEnd: boolean): void {
		this.credit -= bytes.length;
		// A chunk that is read is sent: the next one has to have credit.
		if (this.credit < CHUNK_LIMIT) this.input?.pause();
		this.agent.sendInput(this.number, bytes, isEnd);
	}

	private followSize(): void {
		const { fd } = this.outputs[0]!;
		const bytes = new Uint8Array(WINSIZE_BYTES);
		const look = (): void => {
			if (this.end !== null || this.outputs[0] === null) return;
			if (native.ioctl(fd, TIOCGWINSZ, bytes) >= 0) {
				const [rows = 0, columns = 0] = new Uint16Array(bytes.buffer);
				const size = `${rows} ${columns}`;
				if (size !== this.size && this.size !== '') this.agent.call({ resize: { number: this.number, rows, columns } }).catch(() => {});
				this.size = size;
			}
			this.sizeTimer = this.loop.after(SIZE_INTERVAL_MS, look);
		};
		look();
	}

	/** The size of the host's terminal when the program is made, null without one. */
	static sizeOf(fd: number): { readonly rows: number; readonly columns: number } | null {
		const bytes = new Uint8Array(WINSIZE_BYTES);
		if (native.ioctl(fd, TIOCGWINSZ, bytes) < 0) return null;
		const [rows = 0, columns = 0] = new Uint16Array(bytes.buffer);
		return { rows, columns };
	}
}

const CHUNK_LIMIT = 64 << 10;

/** Is it a terminal that nobody has the other end of any more? tty_ioctl(4) */
function isHungUp(fd: number): boolean {
	return native.ioctl(fd, TIOCGWINSZ, new Uint8Array(WINSIZE_BYTES)) === -EIO;
}
