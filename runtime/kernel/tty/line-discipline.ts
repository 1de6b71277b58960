import { SIGINT, SIGQUIT, SIGTSTP } from '../abi/signal-numbers.js';
import {
	ECHO,
	ECHOCTL,
	ECHOE,
	ECHOK,
	ECHOKE,
	ECHONL,
	ECHOPRT,
	EXTPROC,
	ICANON,
	ICRNL,
	IEXTEN,
	IGNCR,
	INLCR,
	ISIG,
	ISTRIP,
	IUCLC,
	IUTF8,
	IXANY,
	IXON,
	NOFLSH,
	OCRNL,
	OLCUC,
	ONLCR,
	ONLRET,
	ONOCR,
	OPOST,
	PARMRK,
	TABDLY,
	VEOF,
	VEOL,
	VEOL2,
	VERASE,
	VINTR,
	VKILL,
	VLNEXT,
	VMIN,
	VQUIT,
	VREPRINT,
	VSTART,
	VSTOP,
	VSUSP,
	VTIME,
	VWERASE,
	XTABS,
} from '../abi/termios.js';
import type { IoVector } from '../trap/guest-memory.js';
import type { ByteQueue } from './byte-queue.js';
import type { Termios } from './termios.js';

/** Bytes of input that wait for a reader: N_TTY_BUF_SIZE. A line has one less at most. */
const BUFFER_BYTES = 4096;
const MASK = BUFFER_BYTES - 1;
/** Echoes that wait while the output is stopped or full; what comes beyond is not echoed. */
const MAX_ECHOES = 4096;
/** A control character that is switched off; in the buffer with an end-of-line mark: end of file. */
const DISABLED = 0;

const CR = 13;
const NL = 10;
const TAB = 9;
const BS = 8;
const SPACE = 32;
const CARET = 94;
const BACKSLASH = 92;

// Operations among the echoes, above all bytes.
const ECHO_CONTROL = 0x100;
const ECHO_SET_COLUMN = 0x200;
const ECHO_MOVE_BACK = 0x300;
const ECHO_ERASE_TAB = 0x400;
/** Added to ECHO_ERASE_TAB: the characters before the tab are counted from another tab, not from the line's start. */
const AFTER_TAB = 0x80;

/** What a line discipline needs of its terminal. */
export interface LineTerminal {
	readonly termios: Termios;
	/** Bytes that the other side takes now; 0 while the output is stopped. */
	readonly room: number;
	put(byte: number): void;
	/** To the foreground process group. */
	signal(signal: number): void;
	/** Drops output that the other side hasn't taken. */
	flushOutput(): void;
	/** The input was dropped: packet mode tells. */
	inputFlushed(): void;
	start(): void;
	stop(): void;
	readonly isStopped: boolean;
	wakeReaders(): void;
}

function isControl(byte: number): boolean {
	return byte < 32 || byte === 127;
}

/** Letters and digits of latin1, as Linux's ctype has them. */
function isAlphanumeric(byte: number): boolean {
	return (
		(byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || (byte >= 192 && byte !== 215 && byte !== 247)
	);
}

/**
 * The line discipline N_TTY, termios(3), after drivers/tty/n_tty.c: what a terminal makes of the bytes that are typed (lines, signals, echo) and of
 * those that programs write.
 */
export class LineDiscipline {
	private readonly buffer = new Uint8Array(BUFFER_BYTES);
	/** 1 where a line ends: behind a newline, an end-of-line character, or an end of file (which is DISABLED in the buffer). */
	private readonly marks = new Uint8Array(BUFFER_BYTES);
	/** Counts of bytes, not positions: received, received up to the end of the last whole line, read. */
	private head = 0;
	private canonHead = 0;
	private tail = 0;
	/** Column of the cursor, and where it stood when the line that is being typed began. */
	private column = 0;
	private canonColumn = 0;
	/** The next character is taken literally. */
	private isLiteral = false;
	/** Within a "\…/" of ECHOPRT. */
	private isErasing = false;
	private echoes: number[] = [];

	constructor(private readonly terminal: LineTerminal) {}

	private has(flag: number): boolean {
		return (this.terminal.termios.lflag & flag) !== 0;
	}
	private hasInput(flag: number): boolean {
		return (this.terminal.termios.iflag & flag) !== 0;
	}
	private isKey(index: number, byte: number): boolean {
		return byte !== DISABLED && this.terminal.termios.cc[index] === byte;
	}
	/** Do readers get lines? */
	get isCanonical(): boolean {
		return (this.terminal.termios.lflag & (ICANON | EXTPROC)) === ICANON;
	}

	// --- Input ------------------------------------------------------------------------------------------------------

	/** Takes what it has room for out of `input`. */
	receive(input: ByteQueue): void {
		while (input.size > 0) {
			const isCanonical = this.has(ICANON);
			let room = BUFFER_BYTES - (this.head - this.tail);
			if (this.hasInput(PARMRK)) room = Math.floor((room + 2) / 3);
			room--;
			if (room <= 0) {
				// A line that is too long: its last character is replaced, so that it can be ended.
				if (!isCanonical || this.canonHead !== this.tail) break;
				if (room < 0) this.head--;
			}
			this.character(input.shift());
		}
		this.echo();
		if (this.isReadable(false)) this.terminal.wakeReaders();
	}

	private character(received: number): void {
		let byte = received;
		if (this.hasInput(ISTRIP)) byte &= 0x7f;
		if (this.hasInput(IUCLC) && this.has(IEXTEN) && byte >= 65 && byte <= 90) byte += 32;
		if (this.isLiteral) {
			this.isLiteral = false;
			this.ordinary(byte);
			return;
		}
		if (this.has(EXTPROC)) {
			this.store(byte);
			return;
		}
		if (this.flowControl(byte) || this.signalKey(byte)) return;
		this.restartByAny();
		if (byte === CR) {
			if (this.hasInput(IGNCR)) return;
			if (this.hasInput(ICRNL)) byte = NL;
		} else if (byte === NL && this.hasInput(INLCR)) {
			byte = CR;
		}
		if (this.has(ICANON) && this.lineKey(byte)) return;
		this.ordinary(byte);
	}

	/** ^S, ^Q: true when `byte` was one. */
	private flowControl(byte: number): boolean {
		if (!this.hasInput(IXON)) return false;
		if (this.isKey(VSTART, byte)) this.terminal.start();
		else if (this.isKey(VSTOP, byte)) this.terminal.stop();
		else return false;
		return true;
	}

	private restartByAny(): void {
		if (this.terminal.isStopped && this.hasInput(IXON) && this.hasInput(IXANY)) this.terminal.start();
	}

	/** ^C, ^\, ^Z: true when `byte` was one. */
	private signalKey(byte: number): boolean {
		if (!this.has(ISIG)) return false;
		const signal = this.isKey(VINTR, byte) ? SIGINT : this.isKey(VQUIT, byte) ? SIGQUIT : this.isKey(VSUSP, byte) ? SIGTSTP : 0;
		if (signal === 0) return false;
		this.raise(signal);
		if (this.hasInput(IXON)) this.terminal.start();
		if (this.has(ECHO)) this.echoCharacter(byte);
		return true;
	}

	/** A signal to the foreground group; what was typed and what is on its way out is forgotten unless NOFLSH. */
	raise(signal: number): void {
		this.terminal.signal(signal);
		if (this.has(NOFLSH)) return;
		this.echoes.length = 0;
		this.terminal.flushOutput();
		this.flush();
	}

	/** Keys that edit or end a line: true when `byte` was one. */
	private lineKey(byte: number): boolean {
		const isExtended = this.has(IEXTEN);
		if (this.isKey(VERASE, byte) || this.isKey(VKILL, byte) || (isExtended && this.isKey(VWERASE, byte))) {
			this.erase(byte);
			return true;
		}
		if (isExtended && this.isKey(VLNEXT, byte)) {
			this.isLiteral = true;
			if (this.has(ECHO)) {
				this.finishErasing();
				if (this.has(ECHOCTL)) this.addEcho(CARET, BS);
			}
			return true;
		}
		if (isExtended && this.has(ECHO) && this.isKey(VREPRINT, byte)) {
			this.finishErasing();
			this.echoCharacter(byte);
			this.addEcho(NL);
			for (let at = this.canonHead; at !== this.head; at++) this.echoCharacter(this.buffer[at & MASK]!);
			return true;
		}
		if (byte === NL) {
			if (this.has(ECHO) || this.has(ECHONL)) this.addEcho(NL);
			this.endLine(NL);
			return true;
		}
		if (this.isKey(VEOF, byte)) {
			this.endLine(DISABLED);
			return true;
		}
		if (this.isKey(VEOL, byte) || (isExtended && this.isKey(VEOL2, byte))) {
			this.echoTyped(byte);
			if (this.hasInput(PARMRK) && byte === 0xff) this.store(byte);
			this.endLine(byte);
			return true;
		}
		return false;
	}

	private endLine(byte: number): void {
		this.marks[this.head & MASK] = 1;
		this.buffer[this.head++ & MASK] = byte;
		this.canonHead = this.head;
	}

	private ordinary(byte: number): void {
		this.restartByAny();
		if (this.has(ECHO)) {
			this.finishErasing();
			if (byte === NL) this.addEcho(NL);
			else this.echoTyped(byte);
		}
		if (this.hasInput(PARMRK) && byte === 0xff) this.store(byte);
		this.store(byte);
	}

	private echoTyped(byte: number): void {
		if (!this.has(ECHO)) return;
		if (this.canonHead === this.head) this.addEcho(ECHO_SET_COLUMN);
		this.echoCharacter(byte);
	}

	private store(byte: number): void {
		this.marks[this.head & MASK] = 0;
		this.buffer[this.head++ & MASK] = byte;
	}

	/** A byte within a character of UTF-8. */
	private isContinuation(byte: number): boolean {
		return this.hasInput(IUTF8) && (byte & 0xc0) === 0x80;
	}

	/** ^?, ^U, ^W. */
	private erase(byte: number): void {
		if (this.canonHead === this.head) return;
		const isErase = this.isKey(VERASE, byte);
		const isWord = !isErase && this.has(IEXTEN) && this.isKey(VWERASE, byte);
		if (!isErase && !isWord) {
			if (!this.has(ECHO)) {
				this.head = this.canonHead;
				return;
			}
			if (!this.has(ECHOK) || !this.has(ECHOKE) || !this.has(ECHOE)) {
				this.head = this.canonHead;
				this.finishErasing();
				this.echoCharacter(this.terminal.termios.cc[VKILL]!);
				if (this.has(ECHOK)) this.addEcho(NL);
				return;
			}
		}
		let hasSeenWord = false;
		while (this.head !== this.canonHead) {
			let at = this.head;
			let last: number;
			do last = this.buffer[--at & MASK]!;
			while (this.isContinuation(last) && at !== this.canonHead);
			if (this.isContinuation(last)) break;
			if (isWord) {
				if (isAlphanumeric(last) || last === 95) hasSeenWord = true;
				else if (hasSeenWord) break;
			}
			const end = this.head;
			this.head = at;
			if (this.has(ECHO)) this.echoErased(last, at, end, isErase);
			if (isErase) break;
		}
		if (this.head === this.canonHead && this.has(ECHO)) this.finishErasing();
	}

	/** Shows that the character at `at`, whose bytes end before `end`, is gone. */
	private echoErased(byte: number, at: number, end: number, isErase: boolean): void {
		if (this.has(ECHOPRT)) {
			if (!this.isErasing) {
				this.addEcho(BACKSLASH);
				this.isErasing = true;
			}
			this.echoCharacter(byte);
			for (let next = at + 1; next < end; next++) this.addEcho(this.buffer[next & MASK]!, ECHO_MOVE_BACK);
		} else if (isErase && !this.has(ECHOE)) {
			this.echoCharacter(this.terminal.termios.cc[VERASE]!);
		} else if (byte === TAB) {
			this.addEcho(this.tabErasure());
		} else {
			if (isControl(byte) && this.has(ECHOCTL)) this.addEcho(BS, SPACE, BS);
			if (!isControl(byte) || this.has(ECHOCTL)) this.addEcho(BS, SPACE, BS);
		}
	}

	/** How far a tab that is erased had gone: the columns since the tab before it, or since the line's start. */
	private tabErasure(): number {
		let columns = 0;
		for (let at = this.head; at !== this.canonHead; ) {
			const byte = this.buffer[--at & MASK]!;
			if (byte === TAB) return ECHO_ERASE_TAB | AFTER_TAB | (columns & 7);
			if (!isControl(byte)) columns += this.isContinuation(byte) ? 0 : 1;
			else if (this.has(ECHOCTL)) columns += 2;
		}
		return ECHO_ERASE_TAB | (columns & 7);
	}

	private finishErasing(): void {
		if (!this.isErasing) return;
		this.addEcho(47);
		this.isErasing = false;
	}

	// --- Echo and output ----------------------------------------------------------------------------------------------

	private addEcho(...operations: number[]): void {
		if (this.echoes.length + operations.length <= MAX_ECHOES) this.echoes.push(...operations);
	}

	private echoCharacter(byte: number): void {
		this.addEcho(this.has(ECHOCTL) && isControl(byte) && byte !== TAB ? ECHO_CONTROL | byte : byte);
	}

	/** Puts out what waits, as far as there is room. */
	echo(): void {
		const { echoes, terminal } = this;
		if (echoes.length === 0) return;
		let done = 0;
		for (; done < echoes.length; done++) {
			const operation = echoes[done]!;
			const byte = operation & 0xff;
			if (operation < 0x100) {
				if ((terminal.termios.oflag & OPOST) !== 0) {
					if (!this.output(byte)) break;
				} else {
					if (terminal.room < 1) break;
					terminal.put(byte);
				}
			} else if (operation < ECHO_SET_COLUMN) {
				if (terminal.room < 2) break;
				terminal.put(CARET);
				terminal.put(byte ^ 0o100);
				this.column += 2;
			} else if (operation === ECHO_SET_COLUMN) {
				this.canonColumn = this.column;
			} else if (operation === ECHO_MOVE_BACK) {
				if (this.column > 0) this.column--;
			} else {
				const before = (byte & 7) + ((byte & AFTER_TAB) !== 0 ? 0 : this.canonColumn);
				const back = 8 - (before & 7);
				if (terminal.room < back) break;
				for (let i = 0; i < back; i++) {
					terminal.put(BS);
					if (this.column > 0) this.column--;
				}
			}
		}
		echoes.splice(0, done);
	}

	/** One byte of a program's, by the rules of c_oflag: false when there is no room for what becomes of it. */
	private output(received: number): boolean {
		const { terminal } = this;
		const { oflag } = terminal.termios;
		const { room } = terminal;
		let byte = received;
		if (room < 1) return false;
		switch (byte) {
			case NL:
				if ((oflag & ONLRET) !== 0) this.column = 0;
				if ((oflag & ONLCR) !== 0) {
					if (room < 2) return false;
					this.canonColumn = this.column = 0;
					terminal.put(CR);
				} else {
					this.canonColumn = this.column;
				}
				break;
			case CR:
				if ((oflag & ONOCR) !== 0 && this.column === 0) return true;
				if ((oflag & OCRNL) !== 0) {
					byte = NL;
					if ((oflag & ONLRET) !== 0) this.canonColumn = this.column = 0;
				} else {
					this.canonColumn = this.column = 0;
				}
				break;
			case TAB: {
				const spaces = 8 - (this.column & 7);
				if ((oflag & TABDLY) === XTABS) {
					if (room < spaces) return false;
					this.column += spaces;
					for (let i = 0; i < spaces; i++) terminal.put(SPACE);
					return true;
				}
				this.column += spaces;
				break;
			}
			case BS:
				if (this.column > 0) this.column--;
				break;
			default:
				if (isControl(byte)) break;
				if ((oflag & OLCUC) !== 0 && byte >= 97 && byte <= 122) byte -= 32;
				if (!this.isContinuation(byte)) this.column++;
		}
		terminal.put(byte);
		return true;
	}

	/** Puts out bytes that a program writes: how many there was room for. */
	write(bytes: Uint8Array, length: number): number {
		const { terminal } = this;
		this.echo();
		const isProcessed = (terminal.termios.oflag & OPOST) !== 0;
		let done = 0;
		while (done < length) {
			if (isProcessed) {
				if (!this.output(bytes[done]!)) break;
			} else {
				if (terminal.room < 1) break;
				terminal.put(bytes[done]!);
			}
			done++;
		}
		return done;
	}

	// --- Reading -----------------------------------------------------------------------------------------------------

	/** Is there something to read? `isPoll`: as much as VMIN asks for, as poll(2) sees it. */
	isReadable(isPoll: boolean): boolean {
		if (this.isCanonical) return this.canonHead !== this.tail;
		const { cc } = this.terminal.termios;
		return this.head - this.tail >= (isPoll && cc[VTIME] === 0 && cc[VMIN]! > 0 ? cc[VMIN]! : 1);
	}

	/** FIONREAD: bytes that can be read, without ends of file. */
	get readableBytes(): number {
		if (!this.isCanonical) return this.head - this.tail;
		let bytes = 0;
		for (let at = this.tail; at < this.canonHead; at++) if (!this.isEndOfFile(at)) bytes++;
		return bytes;
	}

	private isEndOfFile(at: number): boolean {
		return this.marks[at & MASK] === 1 && this.buffer[at & MASK] === DISABLED;
	}

	/** Copies bytes to a reader: a line at most, of those there are. Bytes, or -EFAULT. */
	read(vector: IoVector): number {
		if (!this.isCanonical) return this.copy(vector, Math.min(vector.remaining, this.head - this.tail));
		const limit = Math.min(this.tail + vector.remaining, this.canonHead);
		let end = this.tail;
		while (end < limit && this.marks[end & MASK] === 0) end++;
		const isEnded = end < limit;
		const isEndOfFile = isEnded && this.isEndOfFile(end);
		const wanted = end - this.tail + (isEnded && !isEndOfFile ? 1 : 0);
		const copied = this.copy(vector, wanted);
		if (copied < wanted) return copied;
		// An end of file right behind what a reader had room for is that line's, not an empty one of its own.
		if (this.tail < this.canonHead && (isEndOfFile || !isEnded) && this.isEndOfFile(this.tail)) this.tail++;
		return copied;
	}

	private copy(vector: IoVector, length: number): number {
		let done = 0;
		while (done < length) {
			const from = this.tail & MASK;
			const chunk = Math.min(length - done, BUFFER_BYTES - from);
			const copied = vector.copyOut(this.buffer, from, chunk);
			if (copied < 0) return done > 0 ? done : copied;
			this.tail += copied;
			done += copied;
			if (copied < chunk) break;
		}
		return done;
	}

	/** Forgets what was typed. */
	flush(): void {
		this.head = this.canonHead = this.tail = 0;
		this.marks.fill(0);
		this.isLiteral = this.isErasing = false;
		this.terminal.inputFlushed();
	}

	/** The settings changed; `before` is the former c_lflag. What was typed so far becomes a line, or ceases to be lines. */
	settingsChanged(before: number): void {
		if (((before ^ this.terminal.termios.lflag) & (ICANON | EXTPROC)) !== 0) {
			this.marks.fill(0);
			if (this.has(ICANON) && this.head !== this.tail) {
				this.marks[(this.head - 1) & MASK] = 1;
				this.canonHead = this.head;
			} else {
				this.canonHead = this.tail;
			}
			this.isErasing = this.isLiteral = false;
		}
		this.echo();
		if (this.isReadable(false)) this.terminal.wakeReaders();
	}
}
