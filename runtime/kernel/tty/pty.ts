import { EAGAIN, EFAULT, EINVAL, EIO } from '../abi/errno.js';
import { O_CLOEXEC, O_NOCTTY } from '../abi/fcntl.js';
import { POLLHUP, POLLPRI } from '../abi/poll-constants.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import { SIGINT, SIGQUIT, SIGTSTP } from '../abi/signal-numbers.js';
import {
	FIONREAD,
	TIOCGPKT,
	TIOCGPTLCK,
	TIOCGPTN,
	TIOCGPTPEER,
	TIOCPKT,
	TIOCPKT_DATA,
	TIOCPKT_DOSTOP,
	TIOCPKT_FLUSHWRITE,
	TIOCPKT_NOSTOP,
	TIOCPKT_START,
	TIOCPKT_STOP,
	TIOCSIG,
	TIOCSPTLCK,
} from '../abi/termios.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { Kernel } from '../kernel.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOutInt, type IoVector, scratchView } from '../trap/guest-memory.js';
import { FileDescription } from '../vfs/file-description.js';
import type { Inode } from '../vfs/inode.js';
import type { Path } from '../vfs/path.js';
import { ByteQueue } from './byte-queue.js';
import { READABLE, Terminal, type TerminalDriver, WRITABLE } from './terminal.js';
import { openTerminal } from './terminal-description.js';
import { terminalIoctl } from './terminal-ioctl.js';

/** Bytes of output that wait for the master's reader. */
const OUTPUT_BYTES = 65536;
/** Of those, the first ones: the read buffer of the master (N_TTY_BUF_SIZE, less one). */
const MASTER_BYTES = 4095;
const CHUNK_BYTES = 2048;
const chunk = new Uint8Array(CHUNK_BYTES);
const packetByte = new Uint8Array(1);
/** Pairs of status bits of which the later one undoes the earlier one. */
const OPPOSITES: ReadonlyMap<number, number> = new Map([
	[TIOCPKT_STOP, TIOCPKT_START],
	[TIOCPKT_START, TIOCPKT_STOP],
	[TIOCPKT_DOSTOP, TIOCPKT_NOSTOP],
	[TIOCPKT_NOSTOP, TIOCPKT_DOSTOP],
]);

/** Where a pty's slave is found: devpts. */
export interface PtyPlace {
	/** The slave's inode while the master is open, or null. */
	slave(index: number): Inode | null;
	/** A path to it from the master's. */
	slavePath(master: Path, index: number): Path | null;
	/** The master is closed: the name is gone. */
	remove(index: number): void;
}

/** A pseudoterminal, pty(7): a terminal and the master that is its far side. */
export class Pty implements TerminalDriver {
	readonly terminal: Terminal;
	readonly output = new ByteQueue(OUTPUT_BYTES);
	/** Who reads, writes and polls the master. */
	readonly masterWaiters = new WaitQueue();
	/** TIOCSPTLCK: the slave can't be opened yet. */
	isLocked = true;
	/** TIOCPKT, and the TIOCPKT_* bits that the master's reader hasn't seen. */
	isPacket = false;
	packetStatus = 0;
	/** The slave was open and isn't any more. */
	isSlaveClosed = false;

	constructor(
		kernel: Kernel,
		readonly index: number,
		readonly place: PtyPlace,
	) {
		this.terminal = new Terminal(kernel, index, this);
		kernel.terminals.count++;
	}

	get room(): number {
		return this.output.space;
	}
	put(byte: number): void {
		this.output.push(byte);
	}
	flush(): void {
		if (this.output.size > 0) this.masterWaiters.wake(READABLE);
	}
	discard(): void {
		// The first bytes have reached the master's own buffer, from which nothing takes them back.
		this.output.truncate(MASTER_BYTES);
		this.status(TIOCPKT_FLUSHWRITE);
		this.terminal.waiters.wake(WRITABLE);
	}
	status(bits: number): void {
		if (!this.isPacket) return;
		this.packetStatus = (this.packetStatus & ~(OPPOSITES.get(bits) ?? 0)) | bits;
		this.masterWaiters.wake(POLLPRI | READABLE);
	}
	inputMoved(): void {
		this.masterWaiters.wake(WRITABLE);
	}
	// Both sides have the one size.
	refreshSize(): void {}
	resized(): void {}

	opened(): void {
		this.isSlaveClosed = false;
	}
	closed(): void {
		this.isSlaveClosed = true;
		this.masterWaiters.wakeAll(READABLE | WRITABLE | POLLHUP);
	}

	/** The master's last description is gone. */
	masterClosed(): void {
		this.place.remove(this.index);
		this.terminal.isMasterClosed = true;
		this.output.clear();
		this.terminal.hangUp();
		this.terminal.kernel.terminals.count--;
	}
}

/** The master's side of a pty. */
export class PtyMaster extends FileDescription {
	constructor(
		readonly pty: Pty,
		path: Path,
		inode: Inode,
		flags: number,
	) {
		super(path, inode, flags & ~O_NOCTTY, pty.masterWaiters);
	}

	protected override close(): void {
		this.pty.masterClosed();
	}

	override read(task: Task, vector: IoVector): number {
		const { pty } = this;
		const { output, terminal } = pty;
		if (vector.length === 0) return 0;
		if (pty.isPacket && pty.packetStatus !== 0) {
			packetByte[0] = pty.packetStatus;
			if (vector.copyOut(packetByte, 0, 1) !== 1) return -EFAULT;
			pty.packetStatus = 0;
			return 1;
		}
		if (output.size === 0) {
			if (pty.isSlaveClosed) return -EIO;
			return this.isNonBlocking ? -EAGAIN : task.blockOn(this.waiters, READABLE | POLLHUP | POLLPRI, true);
		}
		let done = 0;
		if (pty.isPacket) {
			packetByte[0] = TIOCPKT_DATA;
			if (vector.copyOut(packetByte, 0, 1) !== 1) return -EFAULT;
			done = 1;
		}
		const taken = output.take(vector, vector.remaining);
		if (taken < 0) return taken;
		terminal.outputMoved();
		if (!task.trap.isFirstRun && output.size > 0) this.waiters.wake(READABLE);
		return done + taken;
	}

	override write(task: Task, vector: IoVector): number {
		const { terminal } = this.pty;
		const { trap } = task;
		vector.skip(trap.progress);
		while (vector.remaining > 0) {
			const { input } = terminal;
			const wanted = Math.min(vector.remaining, CHUNK_BYTES, input.space);
			if (wanted === 0) {
				if (this.isNonBlocking) return trap.progress || -EAGAIN;
				return task.blockOn(this.waiters, WRITABLE, true);
			}
			const copied = vector.copyIn(chunk, 0, wanted);
			if (copied <= 0) return trap.progress || -EFAULT;
			for (let i = 0; i < copied; i++) input.push(chunk[i]!);
			trap.progress += copied;
			terminal.receive();
			if (copied < wanted) break;
		}
		return trap.progress;
	}

	override poll(): number {
		const { pty } = this;
		let events = 0;
		if (pty.output.size > 0) events |= READABLE;
		if (pty.isPacket && pty.packetStatus !== 0) events |= POLLPRI | READABLE;
		if (pty.isSlaveClosed) events |= POLLHUP;
		if (pty.terminal.input.space > 0) events |= WRITABLE;
		return events;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		const { pty } = this;
		const { terminal } = pty;
		switch (request) {
			case TIOCGPTN:
				return copyOutInt(task.tid, argument, pty.index);
			case TIOCGPTLCK:
				return copyOutInt(task.tid, argument, pty.isLocked ? 1 : 0);
			case TIOCGPKT:
				return copyOutInt(task.tid, argument, pty.isPacket ? 1 : 0);
			case TIOCSPTLCK: {
				const error = copyIn(task.tid, argument, 4);
				if (error < 0) return error;
				pty.isLocked = scratchView.getInt32(0, true) !== 0;
				return 0;
			}
			case TIOCPKT: {
				const error = copyIn(task.tid, argument, 4);
				if (error < 0) return error;
				const isOn = scratchView.getInt32(0, true) !== 0;
				if (isOn && !pty.isPacket) pty.packetStatus = 0;
				pty.isPacket = isOn;
				return 0;
			}
			case TIOCSIG:
				return this.raise(argument);
			case TIOCGPTPEER:
				return this.openPeer(task, argument);
			case FIONREAD:
				return copyOutInt(task.tid, argument, pty.output.size);
			default:
				return terminalIoctl(task, terminal, this, request, argument);
		}
	}

	/** TIOCSIG: a key's signal, from whoever does the line editing in the terminal's place. */
	private raise(signal: number): number {
		if (signal !== SIGINT && signal !== SIGQUIT && signal !== SIGTSTP) return -EINVAL;
		this.pty.terminal.signal(signal);
		return 0;
	}

	/** TIOCGPTPEER, ioctl_tty(2): the slave without its name. Errors: EIO (locked). */
	private openPeer(task: Task, flags: number): number {
		const { pty } = this;
		if (pty.isLocked) return -EIO;
		const path = pty.place.slavePath(this.path!, pty.index);
		const inode = pty.place.slave(pty.index);
		if (path === null || inode === null) return -EIO;
		const description = openTerminal(pty.terminal, path, inode, flags & ~O_CLOEXEC, task);
		if (typeof description === 'number') return description;
		const fd = task.files.add(description, (flags & O_CLOEXEC) !== 0, task.group.limits.soft[RLIMIT_NOFILE]!);
		if (fd < 0) description.release();
		return fd;
	}
}
