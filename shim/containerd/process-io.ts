import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { HostError } from '../../runtime/host-error.js';
import { native } from '../../runtime/native.js';

/** What containerd says of a process's standard streams: paths of FIFOs, or URIs (`file:///…`, `binary:///…`); '' for none. */
export interface StdioPaths {
	readonly stdin: string;
	readonly stdout: string;
	readonly stderr: string;
	readonly terminal: boolean;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK, O_APPEND, O_CREAT } = constants;
const TIOCSWINSZ = 0x5414;
/** How long the rest of a terminal's output is waited for once its program has ended: what it left behind may hold it open. */
const REST_MS = 500;

/**
 * The standard streams of a process. Without a terminal the sandbox process reads and writes containerd's FIFOs itself; what is here only keeps them
 * open: FIFOs of output have a reader, so that containerd can come back, and stdin has a writer until CloseIO. With a terminal a pty lies between.
 */
export class ProcessIo {
	/** What the sandbox gets: stdin, stdout, stderr. */
	readonly stdio: number[] = [];
	private readonly kept: number[] = [];
	private stdinKeeper = -1;
	private terminal: TerminalRelay | null = null;

	private constructor() {}

	/** Throws HostError, with nothing left open. */
	static async open(paths: StdioPaths, environment: Readonly<Record<string, string>>): Promise<ProcessIo> {
		const io = new ProcessIo();
		try {
			if (paths.terminal) io.openTerminal(paths);
			else await io.openStreams(paths, environment);
			return io;
		} catch (error) {
			io.close();
			throw error;
		}
	}

	private openTerminal({ stdin, stdout }: StdioPaths): void {
		const fds = new Int32Array(2);
		const error = native.openPty(fds);
		if (error < 0) throw HostError.errno('Open a pty', -error);
		const [master, slave] = fds as unknown as [number, number];
		this.stdio.push(slave, slave, slave);
		this.terminal = new TerminalRelay(
			master,
			stdin === '' ? -1 : this.openInput(stdin),
			stdout === '' ? -1 : open(stdout, O_RDWR | O_NONBLOCK),
		);
	}

	private async openStreams({ stdin, stdout, stderr }: StdioPaths, environment: Readonly<Record<string, string>>): Promise<void> {
		this.stdio.push(stdin === '' ? open('/dev/null', O_RDONLY) : this.openInput(stdin));
		if (stdout.startsWith('binary:')) {
			await this.openLogger(new URL(stdout), environment);
			return;
		}
		const out = this.openOutput(stdout);
		this.stdio.push(out);
		this.stdio.push(stderr === stdout && stderr.startsWith('file:') ? native.dup(out) : this.openOutput(stderr));
	}

	/** The reading end of a FIFO that nobody need have opened yet. */
	private openInput(path: string): number {
		this.stdinKeeper = open(path, O_RDWR | O_NONBLOCK);
		return open(path, O_RDONLY | O_NONBLOCK);
	}

	private openOutput(target: string): number {
		if (target === '') return open('/dev/null', O_WRONLY);
		if (target.startsWith('file:')) return open(new URL(target).pathname, O_WRONLY | O_APPEND | O_CREAT);
		this.kept.push(open(target, O_RDWR | O_NONBLOCK));
		return open(target, O_WRONLY | O_NONBLOCK);
	}

	/** A program that takes the output on its descriptors 3 and 4, and says on 5 that it is ready. */
	private async openLogger(url: URL, environment: Readonly<Record<string, string>>): Promise<void> {
		const ends = [0, 1].map(() => {
			const fds = new Int32Array(2);
			const error = native.pipe(fds);
			if (error < 0) throw HostError.errno('Make a pipe', -error);
			return fds;
		});
		const args = [...url.searchParams].flat().filter((text) => text !== '');
		const logger = spawn(url.pathname, args, {
			stdio: ['ignore', 'ignore', 'ignore', ends[0]![0]!, ends[1]![0]!, 'pipe'],
			env: { ...environment },
		});
		for (const [reading, writing] of ends as unknown as [number, number][]) {
			native.close(reading);
			this.stdio.push(writing);
		}
		const ready = (logger.stdio as readonly unknown[])[5] as NodeJS.ReadableStream;
		await new Promise<void>((resolve, reject) => {
			logger.once('error', (error) => reject(HostError.from(`Run the logger ${url.pathname}`, error)));
			logger.once('exit', (code) => reject(new Error(`the logger ${url.pathname} ended with ${code} before it was ready`)));
			ready.once('data', resolve);
			ready.once('end', resolve);
		});
		logger.unref();
	}

	/** The sandbox has them. */
	handedOver(): void {
		for (const fd of new Set(this.stdio.splice(0))) native.close(fd);
	}

	/** The client writes no more to stdin. */
	closeStdin(): void {
		if (this.stdinKeeper >= 0) closeSync(this.stdinKeeper);
		this.stdinKeeper = -1;
	}

	resize(width: number, height: number): void {
		this.terminal?.resize(width, height);
	}

	/** The program has ended: what it wrote is on its way, and its readers are told the end. */
	async ended(): Promise<void> {
		this.closeStdin();
		await this.terminal?.drained();
		this.close();
	}

	close(): void {
		this.handedOver();
		this.closeStdin();
		for (const fd of this.kept.splice(0)) closeSync(fd);
		this.terminal?.close();
		this.terminal = null;
	}
}

function open(path: string, flags: number): number {
	try {
		return openSync(path, flags, 0o600);
	} catch (error) {
		throw HostError.from(`Open ${path}`, error);
	}
}

/** Copies between a pty's master and the FIFOs of its client. */
class TerminalRelay {
	private readonly stream: Socket;
	private readonly input: Socket | null;
	private readonly output: Socket | null;
	private readonly ended: Promise<void>;

	constructor(
		private readonly master: number,
		stdin: number,
		stdout: number,
	) {
		native.setNonBlocking(master, true);
		this.stream = new Socket({ fd: master, readable: true, writable: true });
		this.input = stdin < 0 ? null : new Socket({ fd: stdin, readable: true, writable: false });
		// Its reading end is not read here: it keeps the FIFO alive while the client is away.
		this.output = stdout < 0 ? null : new Socket({ fd: stdout, readable: false, writable: true });
		// A terminal whose last program has closed it ends with an error, EIO.
		this.ended = new Promise((resolve) => {
			this.stream.once('error', () => resolve());
			this.stream.once('end', () => resolve());
			this.stream.once('close', () => resolve());
		});
		this.input?.on('error', () => {}).on('data', (bytes) => this.stream.write(bytes));
		this.stream.on('data', (bytes) => {
			if (this.output === null || this.output.destroyed || this.output.write(bytes)) return;
			this.stream.pause();
			this.output.once('drain', () => this.stream.resume());
		});
		this.output?.on('error', () => this.stream.resume());
	}

	resize(width: number, height: number): void {
		native.ioctl(this.master, TIOCSWINSZ, new Uint8Array(new Uint16Array([height, width, 0, 0]).buffer));
	}

	/** The rest of the program's output is with the client. */
	async drained(): Promise<void> {
		await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, REST_MS).unref())]);
		const { output } = this;
		if (output === null || output.destroyed) return;
		await Promise.race([
			new Promise<void>((resolve) => output.end(resolve)),
			new Promise((resolve) => setTimeout(resolve, REST_MS).unref()),
		]);
	}

	close(): void {
		this.stream.destroy();
		this.input?.destroy();
		this.output?.destroy();
	}
}
