import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
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

/**
 * The standard streams of a process. The sandbox process reads and writes containerd's FIFOs itself; what is here only keeps them open: FIFOs of output
 * have a reader, so that containerd can come back, and stdin has a writer until CloseIO.
 */
export class ProcessIo {
	/** What the sandbox gets: stdin, stdout, stderr. */
	readonly stdio: number[] = [];
	private readonly kept: number[] = [];
	private stdinKeeper = -1;

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

	/** The sandbox has the terminal; what is typed comes and what it shows goes by FIFOs, too. */
	private openTerminal({ stdin, stdout }: StdioPaths): void {
		this.stdio.push(stdin === '' ? open('/dev/null', O_RDONLY) : this.openInput(stdin), this.openOutput(stdout), -1);
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
			// A logger expects to wait for what it reads.
			native.setNonBlocking(fds[0]!, false);
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
			// As with containerd's own shims, one that ends has said so, too.
			ready.once('data', resolve);
			ready.once('end', resolve);
		});
		logger.unref();
	}

	/** The sandbox has them. */
	handedOver(): void {
		for (const fd of new Set(this.stdio.splice(0))) if (fd >= 0) native.close(fd);
	}

	/** The client writes no more to stdin. */
	closeStdin(): void {
		if (this.stdinKeeper >= 0) closeSync(this.stdinKeeper);
		this.stdinKeeper = -1;
	}

	/** The program has ended: whoever reads what it wrote is told the end. */
	close(): void {
		this.handedOver();
		this.closeStdin();
		for (const fd of this.kept.splice(0)) closeSync(fd);
	}
}

function open(path: string, flags: number): number {
	try {
		return openSync(path, flags, 0o600);
	} catch (error) {
		throw HostError.from(`Open ${path}`, error);
	}
}
