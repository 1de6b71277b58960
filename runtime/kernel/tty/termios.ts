import {
	B38400,
	BOTHER,
	CBAUD,
	CIBAUD,
	CREAD,
	CS8,
	CSIZE,
	ECHO,
	ECHOCTL,
	ECHOE,
	ECHOK,
	ECHOKE,
	IBSHIFT,
	ICANON,
	ICRNL,
	IEXTEN,
	ISIG,
	IXON,
	NCC,
	NCCS,
	ONLCR,
	OPOST,
	PARENB,
} from '../abi/termios.js';

const BAUDS = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
/** Those of CBAUD with its BOTHER bit, from 1 on. */
const FAST_BAUDS = [
	57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
];

/** What a terminal starts with: INIT_C_CC of Linux. */
const INITIAL_CC = [0o3, 0o34, 0o177, 0o25, 0o4, 0, 1, 0, 0o21, 0o23, 0o32, 0, 0o22, 0o17, 0o27, 0o26, 0];

/** A terminal's settings, termios(3) (Linux: struct ktermios). What an ioctl sets replaces all of them at once. */
export class Termios {
	iflag = ICRNL | IXON;
	oflag = OPOST | ONLCR;
	cflag = B38400 | CS8 | CREAD;
	lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
	line = 0;
	readonly cc = new Uint8Array(NCCS);
	/** Bits per second; they mean nothing here and are kept. */
	inputSpeed = 38400;
	outputSpeed = 38400;

	constructor() {
		this.cc.set(INITIAL_CC);
	}

	copyFrom(other: Termios): void {
		this.iflag = other.iflag;
		this.oflag = other.oflag;
		this.cflag = other.cflag;
		this.lflag = other.lflag;
		this.line = other.line;
		this.cc.set(other.cc);
		this.inputSpeed = other.inputSpeed;
		this.outputSpeed = other.outputSpeed;
	}

	/** struct termios, or termios2, which has speeds of its own behind it. */
	encode(view: DataView, hasSpeeds: boolean): void {
		view.setUint32(0, this.iflag, true);
		view.setUint32(4, this.oflag, true);
		view.setUint32(8, this.cflag, true);
		view.setUint32(12, this.lflag, true);
		view.setUint8(16, this.line);
		for (let i = 0; i < NCCS; i++) view.setUint8(17 + i, this.cc[i]!);
		if (!hasSpeeds) return;
		view.setUint32(36, this.inputSpeed, true);
		view.setUint32(40, this.outputSpeed, true);
	}

	decode(view: DataView, hasSpeeds: boolean): void {
		this.iflag = view.getUint32(0, true);
		this.oflag = view.getUint32(4, true);
		this.cflag = view.getUint32(8, true);
		this.lflag = view.getUint32(12, true);
		this.line = view.getUint8(16);
		for (let i = 0; i < NCCS; i++) this.cc[i] = view.getUint8(17 + i);
		if (hasSpeeds) {
			this.inputSpeed = view.getUint32(36, true);
			this.outputSpeed = view.getUint32(40, true);
		}
		this.settle();
	}

	/** struct termio: the low halves, and eight control characters. */
	encodeOld(view: DataView): void {
		view.setUint16(0, this.iflag, true);
		view.setUint16(2, this.oflag, true);
		view.setUint16(4, this.cflag, true);
		view.setUint16(6, this.lflag, true);
		view.setUint8(8, this.line);
		for (let i = 0; i < NCC; i++) view.setUint8(9 + i, this.cc[i]!);
		view.setUint8(17, 0);
	}

	decodeOld(view: DataView): void {
		const low = (value: number, at: number): number => ((value & 0xffff0000) | view.getUint16(at, true)) >>> 0;
		this.iflag = low(this.iflag, 0);
		this.oflag = low(this.oflag, 2);
		this.cflag = low(this.cflag, 4);
		this.lflag = low(this.lflag, 6);
		this.line = view.getUint8(8);
		for (let i = 0; i < NCC; i++) this.cc[i] = view.getUint8(9 + i);
		this.settle();
	}

	/** Speeds follow the flags unless they were given apart; a pty always has eight bits and no parity (drivers/tty/pty.c, pty_set_termios). */
	private settle(): void {
		const output = this.cflag & CBAUD;
		if (output !== BOTHER) this.outputSpeed = speedOf(output);
		const input = (this.cflag & CIBAUD) >>> IBSHIFT;
		if (input === 0) this.inputSpeed = this.outputSpeed;
		else if (input !== BOTHER) this.inputSpeed = speedOf(input);
		this.cflag = ((this.cflag & ~(CSIZE | PARENB)) | CS8 | CREAD) >>> 0;
	}
}

/** Bits per second of a CBAUD value. */
function speedOf(bits: number): number {
	return (bits & BOTHER) === 0 ? BAUDS[bits & 0o17]! : (FAST_BAUDS[(bits & 0o17) - 1] ?? 0);
}
