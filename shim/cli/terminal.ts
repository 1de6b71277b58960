import { openSync } from 'node:fs';
import { isatty, ReadStream } from 'node:tty';
import { HostError } from '../../runtime/host-error.js';
import { native } from '../../runtime/native.js';
import type { ProcessConfig } from '../../runtime/oci/config.js';

const O_CLOEXEC = 0o2000000;
const O_RDWR = 2;
const O_NOCTTY = 0o400;
const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TERMIOS_BYTES = 36;
const WINSIZE_BYTES = 8;
/** How long the rest of a terminal's output is waited for once its program has ended: what it left behind may hold it open. */
const REST_MS = 500;

/** In characters. */
export interface TerminalSize {
	readonly rows: number;
	readonly columns: number;
}

/** What runc says: a terminal that nobody would hold, or a socket that nothing would be sent to. */
export function checkTerminal(isDetached: boolean, hasTerminal: boolean, consoleSocket: string | undefined): void {
	if (isDetached && hasTerminal && consoleSocket === undefined)
		throw new Error('cannot allocate tty if isopod will detach without setting console socket');
	if ((!isDetached || !hasTerminal) && consoleSocket !== undefined)
		throw new Error('cannot use console socket if isopod will not detach or allocate tty');
}

/**
 * The host's side of a container's terminal: a pty, set raw, whose slave the sandbox process gets and whose master goes to the console socket or stays
 * here, between the user's own terminal and the container.
 */
export class ContainerTerminal {
	private constructor(
		private master: number,
		private slave: number,
	) {}

	/** Of the size that config.json asks for, or of the user's own terminal, where it is to be attached to that. Throws HostError. */
	static open({ consoleSize: { height, width } }: ProcessConfig, isAttached = false): ContainerTerminal {
		const fds = new Int32Array(2);
		const error = native.openPty(fds);
		if (error < 0) throw HostError.errno('Open a pty', -error);
		const terminal = new ContainerTerminal(fds[0]!, fds[1]!);
		if (height > 0 || width > 0) {
			const size = new Uint16Array([height, width, 0, 0]);
			native.ioctl(terminal.master, TIOCSWINSZ, new Uint8Array(size.buffer));
		} else if (isAttached) {
			const size = new Uint8Array(WINSIZE_BYTES);
			if (native.ioctl(ownTerminal(), TIOCGWINSZ, size) >= 0) native.ioctl(terminal.master, TIOCSWINSZ, size);
		}
		return terminal;
	}

	/** What is to be sent in the place of stdin, stdout and stderr. */
	get stdio(): number[] {
		return [this.slave, this.slave, this.slave];
	}

	/** Hands the master over as runc does: one message with its name, and the descriptor beside it. Throws HostError. */
	sendTo(consoleSocket: string): void {
		const socket = native.connectUnix(consoleSocket);
		if (socket < 0) throw HostError.errno(`Connect to the console socket ${consoleSocket}`, -socket);
		const name = Buffer.from('/dev/ptmx');
		const sent = native.sendMessage(socket, name, 0, name.length, Int32Array.of(this.master));
		native.close(socket);
		if (sent < 0) throw HostError.errno(`Send the terminal to ${consoleSocket}`, -sent);
	}

	/** The sandbox process has its own. */
	closeSlave(): void {
		if (this.slave >= 0) native.close(this.slave);
		this.slave = -1;
	}

	close(): void {
		this.closeSlave();
		if (this.master >= 0) native.close(this.master);
		this.master = -1;
	}

	/** Connects the user's own terminal with it, until `detach` of the result; `tell` hears of its size, now and whenever it changes. Throws when there is none. */
	attach(tell: (size: TerminalSize) => void): AttachedTerminal {
		const { master } = this;
		this.master = -1;
		return new AttachedTerminal(master, tell);
	}
}

/** The user's terminal while it is a container's: raw, and what is typed goes to the container, whose output comes back. */
export class AttachedTerminal {
	private readonly own = ownTerminal();
	private readonly before = new Uint8Array(TERMIOS_BYTES);
	private readonly stream: ReadStream;
	private readonly ended: Promise<void>;
	private isRaw = false;
	private readonly restore = (): void => {
		if (this.isRaw) native.ioctl(this.own, TCSETS, this.before);
		this.isRaw = false;
	};
	private readonly resize = (): void => {
		const size = new Uint8Array(WINSIZE_BYTES);
		if (native.ioctl(this.own, TIOCGWINSZ, size) < 0) return;
		native.ioctl(this.master, TIOCSWINSZ, size);
		const [rows, columns] = new Uint16Array(size.buffer);
		this.tell({ rows: rows!, columns: columns! });
	};
	private readonly typed = (bytes: Buffer): void => {
		this.stream.write(bytes);
	};

	constructor(
		private readonly master: number,
		private readonly tell: (size: TerminalSize) => void,
	) {
		this.resize();
		this.setRaw();
		process.on('exit', this.restore);
		process.on('SIGWINCH', this.resize);
		this.stream = new ReadStream(master);
		// Its end is an error, EIO: the last program has closed the terminal.
		this.ended = new Promise((resolve) => {
			this.stream.on('error', () => resolve());
			this.stream.on('close', () => resolve());
		});
		this.stream.on('data', (bytes) => process.stdout.write(bytes));
		process.stdin.on('data', this.typed);
	}

	/** The program has ended: waits for the rest of its output, and gives the user's terminal back. */
	async detach(): Promise<void> {
		await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, REST_MS).unref())]);
		this.release();
	}

	release(): void {
		process.stdin.off('data', this.typed);
		process.stdin.destroy();
		this.stream.destroy();
		process.off('SIGWINCH', this.resize);
		process.off('exit', this.restore);
		this.restore();
	}

	/** cfmakeraw(3). */
	private setRaw(): void {
		if (native.ioctl(this.own, TCGETS, this.before) < 0) return;
		const raw = Uint8Array.from(this.before);
		const flags = new Uint32Array(raw.buffer, 0, 4);
		// IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON; OPOST; CSIZE PARENB, CS8; ECHO ECHONL ICANON ISIG IEXTEN.
		flags[0]! &= ~0o2753;
		flags[1]! &= ~0o1;
		flags[2] = (flags[2]! & ~0o460) | 0o60;
		flags[3]! &= ~0o100113;
		this.isRaw = native.ioctl(this.own, TCSETS, raw) >= 0;
	}
}

/** A descriptor of the terminal that the user sits at. */
function ownTerminal(): number {
	for (const fd of [0, 1, 2]) if (isatty(fd)) return fd;
	try {
		return openSync('/dev/tty', O_RDWR | O_NOCTTY | O_CLOEXEC);
	} catch (error) {
		throw HostError.from('Find the terminal of this command', error);
	}
}
