import { closeSync, fstatSync, mkdirSync, openSync, readSync, write } from 'node:fs';
import { dirname } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';

export type StreamName = 'stdout' | 'stderr';

/** Bytes of a line at most: a longer one is cut into parts. containerd's. */
const MAX_LINE_BYTES = 16 << 10;
const NEWLINE = 10;
/** F and P. */
const [FULL, PARTIAL] = [0x46, 0x50];
const SHORT_BYTES = 64;

/**
 * A container's log file as kubelet reads it (CRI's format): `TIME STREAM F LINE`, or P for a part of a line that is too long for one entry. What can't be written (a
 * full disk) is lost and counted; the container goes on.
 */
export class ContainerLog {
	private fd: number;
	private readonly rests: Record<StreamName, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
	private lastTime = 0n;
	/** Entries that could not be written. */
	lost = 0;
	/** Writes and changes of the file, one after another. */
	private last: Promise<void> = Promise.resolve();

	/** The file ends within a line: of a write that failed, or of a server that died. */
	private isTorn: boolean;
	private isLosing = false;

	/** `onLost` is told when entries begin to be lost, and when that is over. Throws HostError. */
	constructor(
		private readonly path: string,
		private readonly onLost?: (message: string) => void,
	) {
		this.fd = openLog(path);
		this.isTorn = endsWithin(this.fd);
	}

	/** Writes the lines that are whole by now; resolves when they are. One call for a stream at a time. */
	write(stream: StreamName, bytes: Buffer): Promise<void> {
		const rest = this.rests[stream];
		const text = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
		const entries = new Entries(text, this.now(), stream);
		let at = 0;
		for (let newline = text.indexOf(NEWLINE); ; ) {
			if (newline < 0 && text.length - at <= MAX_LINE_BYTES) break;
			if (newline < 0 || newline - at > MAX_LINE_BYTES) {
				entries.add('P', at, at + MAX_LINE_BYTES);
				at += MAX_LINE_BYTES;
			} else {
				entries.add('F', at, newline);
				at = newline + 1;
				newline = text.indexOf(NEWLINE, at);
			}
		}
		// A copy: what is left of a chunk must not hold it.
		this.rests[stream] = Buffer.from(text.subarray(at));
		return this.append(entries);
	}

	/** The stream has ended: what it has of a line is a part of one, as containerd has it. */
	end(stream: StreamName): Promise<void> {
		const rest = this.rests[stream];
		this.rests[stream] = Buffer.alloc(0);
		const entries = new Entries(rest, this.now(), stream);
		if (rest.length > 0) entries.add('P', 0, rest.length);
		return this.append(entries);
	}

	/** Goes on in a new file of the same name: the old one was renamed. Rejects with HostError, and goes on in the old one then. */
	reopen(): Promise<void> {
		return this.after(() => {
			const fresh = openLog(this.path);
			if (this.fd >= 0) closeSync(this.fd);
			this.fd = fresh;
			this.isTorn = endsWithin(fresh);
		});
	}

	close(): Promise<void> {
		return this.after(() => {
			if (this.fd >= 0) closeSync(this.fd);
			this.fd = -1;
		});
	}

	/** Nothing may close the file under a write. */
	private after(action: () => void | Promise<void>): Promise<void> {
		const done = this.last.then(action);
		this.last = done.catch(() => undefined);
		return done;
	}

	/** RFC 3339 with nanoseconds; later than the last one, so that sorting keeps the order. */
	private now(): string {
		const time = BigInt(Date.now()) * 1_000_000n;
		this.lastTime = time > this.lastTime ? time : this.lastTime + 1n;
		const nanoseconds = (this.lastTime % 1_000_000_000n).toString().padStart(9, '0');
		return `${new Date(Number(this.lastTime / 1_000_000n)).toISOString().slice(0, 19)}.${nanoseconds}Z`;
	}

	private append(entries: Entries): Promise<void> {
		if (entries.count === 0) return Promise.resolve();
		return this.after(async () => {
			if (this.fd < 0) return;
			const bytes = this.isTorn ? Buffer.concat([LINE_END, entries.bytes]) : entries.bytes;
			let at = 0;
			try {
				while (at < bytes.length) at += await writeSome(this.fd, bytes, at);
				this.isTorn = false;
				this.tellLost(null);
			} catch (error) {
				if (at > 0) this.isTorn = true;
				this.lost += entries.count;
				this.tellLost(error);
			}
		});
	}

	/** Tells when entries begin to be lost, and when that is over: how many were. */
	private tellLost(error: unknown): void {
		if (this.isLosing === (error !== null)) return;
		this.isLosing = error !== null;
		const what = error === null ? `goes on; ${this.lost} entries were lost` : `can't be written: ${HostError.from('Write', error).message}`;
		this.onLost?.(`The log ${this.path} ${what}`);
	}
}

/** Entries of a log, made of lines of `text` at one time. */
class Entries {
	count = 0;
	private readonly buffer: Buffer;
	private readonly head: Buffer;
	private length = 0;

	constructor(
		private readonly text: Buffer,
		time: string,
		stream: StreamName,
	) {
		this.head = Buffer.from(`${time} ${stream} F `);
		let most = Math.ceil(text.length / MAX_LINE_BYTES);
		for (let at = 0; at < text.length; at++) if (text[at] === NEWLINE) most++;
		this.buffer = Buffer.allocUnsafe(text.length + most * (this.head.length + 1));
	}

	/** A full line or a part of one: the bytes from `start` up to `end`, without a newline. */
	add(tag: 'F' | 'P', start: number, end: number): void {
		const { buffer, head, text } = this;
		let { length } = this;
		// By hand what is short: a call of copy would take longer.
		for (let at = 0; at < head.length; at++) buffer[length++] = head[at]!;
		buffer[length - 2] = tag === 'F' ? FULL : PARTIAL;
		if (end - start > SHORT_BYTES) length += text.copy(buffer, length, start, end);
		else for (let at = start; at < end; at++) buffer[length++] = text[at]!;
		buffer[length++] = NEWLINE;
		this.length = length;
		this.count++;
	}

	get bytes(): Buffer {
		return this.buffer.subarray(0, this.length);
	}
}

function writeSome(fd: number, bytes: Buffer, at: number): Promise<number> {
	return new Promise((resolve, reject) =>
		write(fd, bytes, at, bytes.length - at, null, (error, written) => (error === null ? resolve(written) : reject(error))),
	);
}

const LINE_END = Buffer.from('\n');

function openLog(path: string): number {
	try {
		mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
		return openSync(path, 'a+', 0o640);
	} catch (error) {
		throw HostError.from(`Open the log ${path}`, error);
	}
}

/** Whether a log doesn't end with the end of a line. */
function endsWithin(fd: number): boolean {
	const { size } = fstatSync(fd);
	const last = Buffer.alloc(1);
	return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
}
