import { native } from '../../native.js';
import { EAGAIN } from '../abi/errno.js';
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../abi/poll-constants.js';
import { TIOCGWINSZ, TIOCSWINSZ, WINSIZE_BYTES } from '../abi/termios.js';
import { Timer } from '../event/timers.js';
import type { Kernel } from '../kernel.js';
import { EVENT_READY } from '../trap/records.js';
import { ByteQueue } from './byte-queue.js';
import { Terminal, type TerminalDriver } from './terminal.js';

/** Output on its way to the host, which has a buffer of its own behind it. */
const OUTPUT_BYTES = 4096;
const CHUNK_BYTES = 4096;
/**
 * How often the size of a pty is looked at whose holder doesn't tell (runc's console sockets know no other way than to set it). The host tells of a change by a
 * signal to a foreground process group alone, and that is one of its sessions', in which no guest is.
 */
const SIZE_INTERVAL_NS = 200e6;

const chunk = Buffer.alloc(CHUNK_BYTES);
const sizeBytes = Buffer.alloc(WINSIZE_BYTES);
const sizeView = new DataView(sizeBytes.buffer, sizeBytes.byteOffset, WINSIZE_BYTES);

/**
 * A container's console: a terminal of the guest kernel's whose far side is the host's. That is a pty, set raw, whose master somebody holds who types and
 * reads and sets the size; or two streams (containerd's FIFOs), and then the size is told. The line discipline, the session and the signals are the guest kernel's.
 */
export class HostConsole implements TerminalDriver {
	readonly terminal: Terminal;
	private readonly output = new ByteQueue(OUTPUT_BYTES);
	private readonly key: number;
	private readonly sizeTimer: Timer;
	private readonly isPty: boolean;
	private isReceiving = false;
	private isClosing = false;
	private isClosed = false;
	private onClosed: (() => void) | null = null;

	constructor(
		private readonly kernel: Kernel,
		index: number,
		/** Where it is typed: a host pty's slave, or a stream. Owned. */
		private readonly inputFd: number,
		/** Where it is shown: the same, or a stream. Owned. */
		private readonly outputFd: number,
		/** Its name goes when it does. */
		private readonly remove: () => void,
	) {
		this.terminal = new Terminal(kernel, index, this);
		kernel.terminals.count++;
		this.isPty = native.ioctl(inputFd, TIOCGWINSZ, sizeBytes) >= 0;
		for (const fd of this.descriptors()) native.setNonBlocking(fd, true);
		this.key = kernel.endpoints.add({
			onEvent: (kind) => {
				if (kind !== EVENT_READY) return;
				this.inputMoved();
				if (!this.isClosed) this.terminal.outputMoved();
			},
		});
		this.sizeTimer = new Timer((nowNs) => {
			this.refreshSize();
			kernel.timers.arm(this.sizeTimer, nowNs + SIZE_INTERVAL_NS);
		});
		for (const fd of this.descriptors()) native.watch(fd, this.key, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
		if (!this.isPty) return;
		this.refreshSize();
		kernel.timers.arm(this.sizeTimer, native.monotonicNs() + SIZE_INTERVAL_NS);
	}

	private descriptors(): Set<number> {
		return new Set([this.inputFd, this.outputFd]);
	}

	get room(): number {
		return this.output.space;
	}
	put(byte: number): void {
		this.output.push(byte);
	}
	discard(): void {
		this.output.clear();
	}
	// The host's master is not in packet mode.
	status(): void {}
	opened(): void {}

	/** Hands over what the host takes. */
	flush(): void {
		const { output } = this;
		while (output.size > 0 && !this.isClosed) {
			const bytes = output.peek();
			const written = native.pwrite(this.outputFd, bytes, 0, bytes.length, -1);
			if (written === -EAGAIN) return;
			if (written <= 0) output.clear();
			else output.drop(written);
		}
		if (this.isClosing) this.end();
	}

	/** Takes what was typed, as far as there is room. */
	inputMoved(): void {
		// The terminal tells of room that it makes while it is given input.
		if (this.isReceiving) return;
		this.isReceiving = true;
		this.receive();
		this.isReceiving = false;
	}

	private receive(): void {
		const { input } = this.terminal;
		while (!this.isClosed && input.space > 0) {
			const bytes = native.pread(this.inputFd, chunk, 0, Math.min(CHUNK_BYTES, input.space), -1);
			if (bytes === -EAGAIN) return;
			// Another may open a FIFO to write after the last one.
			if (bytes <= 0 && !this.isPty) return;
			if (bytes <= 0) {
				// The master is closed: the terminal's line is cut.
				this.terminal.isMasterClosed = true;
				this.output.clear();
				this.terminal.hangUp();
				this.end();
				return;
			}
			for (let i = 0; i < bytes; i++) input.push(chunk[i]!);
			this.terminal.receive();
		}
	}

	refreshSize(): void {
		if (this.isClosed || !this.isPty || native.ioctl(this.inputFd, TIOCGWINSZ, sizeBytes) < 0) return;
		const field = (index: number): number => sizeView.getUint16(index * 2, true);
		this.terminal.resize([field(0), field(1), field(2), field(3)]);
	}

	resized(): void {
		for (let i = 0; i < 4; i++) sizeView.setUint16(i * 2, this.terminal.size[i]!, true);
		if (!this.isClosed && this.isPty) native.ioctl(this.inputFd, TIOCSWINSZ, sizeBytes);
	}

	/** Somebody at the far side has set the size, and will tell of the next change, too. */
	setSize(rows: number, columns: number): void {
		if (this.sizeTimer.isArmed) this.kernel.timers.disarm(this.sizeTimer);
		// A pty's has pixels as well.
		this.refreshSize();
		if (this.terminal.size[0] === rows && this.terminal.size[1] === columns) return;
		this.terminal.resize([rows, columns, 0, 0]);
		this.resized();
	}

	/** No program has it open any more: the master's reader sees the end once it has read everything. */
	closed(): void {
		this.isClosing = true;
		this.flush();
	}

	/** Calls `then` when it is closed and all output is with the host. */
	whenClosed(then: () => void): void {
		if (this.isClosed) then();
		else this.onClosed = then;
	}

	private end(): void {
		if (this.isClosed) return;
		this.isClosed = true;
		const { kernel } = this;
		if (this.sizeTimer.isArmed) kernel.timers.disarm(this.sizeTimer);
		for (const fd of this.descriptors()) native.unwatch(fd);
		kernel.endpoints.remove(this.key);
		for (const fd of this.descriptors()) native.close(fd);
		kernel.terminals.count--;
		this.remove();
		this.onClosed?.();
	}
}
