import { closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';
import { native } from '../../../runtime/native.js';

/** Which streams a program has beside /dev/null; a terminal has no stderr. */
export interface StreamOptions {
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly terminal: boolean;
}

export interface FifoOptions extends StreamOptions {
	/** stdin can come to its end. It does so, too, when the server dies. Else it has none as long as the container lives. */
	readonly hasStdinEnd: boolean;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants;
const S_IFIFO = 0o010000;
const AT_FDCWD = -100;
const NAMES = ['stdin', 'stdout', 'stderr'] as const;

/** The server's ends of a program's standard streams, and the ends that its sandbox gets. */
export class ProcessStreams {
	/** For the sandbox, which keeps copies: stdin, stdout, stderr, -1 for none. */
	readonly stdio: number[] = [-1, -1, -1];
	stdin: Socket | null = null;
	stdout: Socket | null = null;
	stderr: Socket | null = null;

	private constructor() {}

	/** By pipes, for a program that is of no use to a later server: an exec. */
	static pipes(options: StreamOptions): ProcessStreams {
		const streams = new ProcessStreams();
		try {
			for (const [index, name] of NAMES.entries()) {
				if (!isWanted(options, name)) continue;
				const ends = new Int32Array(2);
				const error = native.pipe(ends);
				if (error < 0) throw HostError.errno('Make a pipe', -error);
				const [reading, writing] = ends as unknown as [number, number];
				streams.stdio[index] = name === 'stdin' ? reading : writing;
				streams.take(name, name === 'stdin' ? writing : reading);
			}
			return streams;
		} catch (error) {
			streams.close();
			throw error;
		}
	}

	/**
	 * By FIFOs in a folder, which another server can open again. The sandbox keeps a reading end of the output until the container is deleted, so that a container that writes
	 * while there is no server waits, and what it wrote before its end is not lost.
	 */
	static fifos(folder: string, options: FifoOptions): ProcessStreams {
		const streams = new ProcessStreams();
		try {
			mkdirSync(folder, { recursive: true, mode: 0o700 });
			for (const [index, name] of NAMES.entries()) {
				if (!isWanted(options, name)) continue;
				const path = join(folder, name);
				rmSync(path, { force: true });
				const error = native.mknodat(AT_FDCWD, path, S_IFIFO | 0o600, 0);
				if (error < 0) throw HostError.errno(`Make the FIFO ${path}`, -error);
				if (name === 'stdin' && options.hasStdinEnd) {
					streams.stdio[index] = open(path, O_RDONLY | O_NONBLOCK);
					streams.take(name, open(path, O_WRONLY | O_NONBLOCK));
				} else {
					streams.stdio[index] = open(path, O_RDWR | O_NONBLOCK);
					streams.take(name, open(path, (name === 'stdin' ? O_WRONLY : O_RDONLY) | O_NONBLOCK));
				}
			}
			return streams;
		} catch (error) {
			streams.close();
			throw error;
		}
	}

	/** The FIFOs of a container that another server started; a stream whose sandbox is gone is at its end at once. */
	static reopen(folder: string, options: StreamOptions): ProcessStreams {
		const streams = new ProcessStreams();
		for (const name of NAMES) {
			if (!isWanted(options, name)) continue;
			const path = join(folder, name);
			try {
				streams.take(name, openSync(path, (name === 'stdin' ? O_WRONLY : O_RDONLY) | O_NONBLOCK));
				// A FIFO without a writer is at its end only for those who have seen one.
				if (name !== 'stdin') closeSync(openSync(path, O_WRONLY | O_NONBLOCK));
			} catch {
				// Nobody reads it any more, or its folder is gone.
			}
		}
		return streams;
	}

	private take(name: (typeof NAMES)[number], fd: number): void {
		const isInput = name === 'stdin';
		const socket = new Socket({ fd, readable: !isInput, writable: isInput });
		// Its other end may go at any moment; 'close' follows.
		socket.on('error', () => undefined);
		this[name] = socket;
	}

	/** The sandbox has its ends. */
	handedOver(): void {
		for (const fd of this.stdio.splice(0)) if (fd >= 0) closeSync(fd);
	}

	close(): void {
		this.handedOver();
		for (const name of NAMES) this[name]?.destroy();
	}
}

function isWanted(options: StreamOptions, name: (typeof NAMES)[number]): boolean {
	return options[name] && !(name === 'stderr' && options.terminal);
}

function open(path: string, flags: number): number {
	try {
		return openSync(path, flags);
	} catch (error) {
		throw HostError.from(`Open the FIFO ${path}`, error);
	}
}
