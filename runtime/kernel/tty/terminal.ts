import { makeDevice } from '../abi/device-number.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll-constants.js';
import { SIGCONT, SIGHUP, SIGWINCH } from '../abi/signal-numbers.js';
import {
	IXON,
	TIOCPKT_DOSTOP,
	TIOCPKT_FLUSHREAD,
	TIOCPKT_NOSTOP,
	TIOCPKT_START,
	TIOCPKT_STOP,
	UNIX98_PTY_SLAVE_MAJOR,
	VSTART,
	VSTOP,
} from '../abi/termios.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { Kernel } from '../kernel.js';
import { ByteQueue } from './byte-queue.js';
import { LineDiscipline, type LineTerminal } from './line-discipline.js';
import { Termios } from './termios.js';

/** Bytes that were typed and that the line discipline has no room for yet (Linux: TTYB_DEFAULT_MEM_LIMIT). */
const INPUT_BYTES = 65536;

export const READABLE = POLLIN | POLLRDNORM;
export const WRITABLE = POLLOUT | POLLWRNORM;

/** The far side of a terminal: a pty's master, or a terminal of the host's. */
export interface TerminalDriver {
	/** Bytes of output that it takes now. */
	readonly room: number;
	put(byte: number): void;
	/** Some bytes were put. */
	flush(): void;
	/** Drops bytes that are on their way out. */
	discard(): void;
	/** What packet mode tells: TIOCPKT_* bits. */
	status(bits: number): void;
	/** There is room for input again. */
	inputMoved(): void;
	/** The size as the far side has it may have changed: brings the terminal's up to date. */
	refreshSize(): void;
	/** A program has set the size. */
	resized(): void;
	/** The first program has it open again; the last one has closed it. */
	opened(): void;
	closed(): void;
}

/** struct winsize: rows, columns, and two numbers of pixels. */
export type WindowSize = readonly [rows: number, columns: number, xPixels: number, yPixels: number];

/**
 * A terminal as programs see it (Linux: tty_struct of a slave): its settings, its line discipline, its session and its foreground process group.
 * Those two are the host's numbers, as the sandbox process sees them.
 */
export class Terminal implements LineTerminal {
	readonly termios = new Termios();
	readonly discipline = new LineDiscipline(this);
	readonly input = new ByteQueue(INPUT_BYTES);
	/** Blocked readers and writers, and who polls it. */
	readonly waiters = new WaitQueue();
	size: WindowSize = [0, 0, 0, 0];
	/** The session that it controls, 0 without one, and its foreground process group, 0 without one. */
	session = 0;
	processGroup = 0;
	/** Output is held up: ^S, TCOOFF. The latter is undone by TCOON alone. */
	isStopped = false;
	isHeld = false;
	/** TIOCEXCL. */
	isExclusive = false;
	/** The far side is gone for good. */
	isMasterClosed = false;
	/** Descriptions of it, those that were hung up not counted. */
	openCount = 0;
	/** Changes when it is hung up: descriptions that were opened before are dead. */
	generation = 0;

	constructor(
		readonly kernel: Kernel,
		/** Its number in devpts. */
		readonly index: number,
		readonly driver: TerminalDriver,
	) {}

	/** st_rdev, and tty_nr of /proc/PID/stat. */
	get deviceNumber(): number {
		return makeDevice(UNIX98_PTY_SLAVE_MAJOR, this.index);
	}

	// --- For the line discipline ----------------------------------------------------------------------------------

	get room(): number {
		return this.isStopped ? 0 : this.driver.room;
	}
	put(byte: number): void {
		this.driver.put(byte);
	}
	signal(signal: number): void {
		if (this.processGroup > 0) this.kernel.signals.sendToProcessGroup(this.processGroup, signal);
	}
	flushOutput(): void {
		this.driver.discard();
	}
	inputFlushed(): void {
		this.driver.status(TIOCPKT_FLUSHREAD);
	}
	wakeReaders(): void {
		this.waiters.wake(READABLE);
	}

	/** Output goes on, unless TCOOFF holds it. */
	start(): void {
		if (!this.isStopped || this.isHeld) return;
		this.isStopped = false;
		this.driver.status(TIOCPKT_START);
		this.outputMoved();
	}
	stop(): void {
		if (this.isStopped) return;
		this.isStopped = true;
		this.driver.status(TIOCPKT_STOP);
	}

	// --- For its driver -----------------------------------------------------------------------------------------------

	/** Input came, or there is room for it again. */
	receive(): void {
		const before = this.input.size;
		if (before === 0) return;
		this.discipline.receive(this.input);
		this.driver.flush();
		if (this.input.size < before) this.driver.inputMoved();
	}

	/** The far side has taken some output. */
	outputMoved(): void {
		this.discipline.echo();
		this.driver.flush();
		if (this.room > 0) this.waiters.wakeAll(WRITABLE);
	}

	/** TIOCSWINSZ: the foreground group hears of a change. */
	resize(size: WindowSize): void {
		const before = this.size;
		if (size.every((value, i) => value === before[i])) return;
		this.size = size;
		this.signal(SIGWINCH);
	}

	// --- Settings -------------------------------------------------------------------------------------------------------

	/** The settings become `termios`. */
	configure(termios: Termios): void {
		const { lflag, iflag } = this.termios;
		const hadFlow = this.hasStandardFlow;
		this.termios.copyFrom(termios);
		const hasFlow = this.hasStandardFlow;
		if (hadFlow !== hasFlow) this.driver.status(hasFlow ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP);
		if ((iflag & ~this.termios.iflag & IXON) !== 0) this.start();
		this.discipline.settingsChanged(lflag);
		this.receive();
		this.driver.flush();
		this.waiters.wake(WRITABLE);
	}

	/** ^S and ^Q by their usual names: what packet mode lets the far side do by itself. */
	private get hasStandardFlow(): boolean {
		const { iflag, cc } = this.termios;
		return (iflag & IXON) !== 0 && cc[VSTOP] === 0o23 && cc[VSTART] === 0o21;
	}

	// --- Sessions -------------------------------------------------------------------------------------------------------

	/** It becomes the controlling terminal of a session, whose leader's process group is the foreground. */
	control(session: number, processGroup: number): void {
		this.release();
		this.session = session;
		this.processGroup = processGroup;
		this.kernel.terminals.attach(session, this);
	}

	/** It controls no session any more. */
	release(): void {
		if (this.session > 0) this.kernel.terminals.detach(this.session);
		this.session = this.processGroup = 0;
	}

	/** The session's leader has ended: the foreground group gets SIGHUP, and the terminal is free. */
	leaderEnded(): void {
		const { processGroup } = this;
		this.release();
		if (processGroup > 0) this.kernel.signals.sendToProcessGroup(processGroup, SIGHUP);
	}

	/** Hang-up (Linux: __tty_hangup): whoever has it open reads end of file from now on; the session's leader gets SIGHUP and SIGCONT. */
	hangUp(): void {
		const { session, processGroup, kernel } = this;
		this.generation++;
		this.release();
		const leader = kernel.groups.get(session);
		if (session > 0 && leader !== undefined && !leader.isDead) {
			kernel.terminals.rememberForeground(session, processGroup);
			kernel.signals.sendToGroup(leader, SIGHUP);
			kernel.signals.sendToGroup(leader, SIGCONT);
		}
		this.input.clear();
		this.discipline.flush();
		this.termios.copyFrom(new Termios());
		this.isStopped = this.isHeld = this.isExclusive = false;
		this.waiters.wakeAll(READABLE | WRITABLE | POLLHUP | POLLERR);
		if (this.openCount > 0) this.driver.closed();
		this.openCount = 0;
	}

	/** One more description. */
	acquire(): void {
		if (this.openCount++ === 0) this.driver.opened();
	}
	/** One less, of those that were opened in `generation`. */
	drop(generation: number): void {
		if (generation === this.generation && --this.openCount === 0) this.driver.closed();
	}
}
