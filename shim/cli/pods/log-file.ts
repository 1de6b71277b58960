// CRI's log files: lines of `TIME stdout|stderr F|P TEXT`, where P begins a line that goes on in the next one.

import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';

export interface LogLine {
	/** RFC 3339 with nanoseconds. */
	readonly time: string;
	readonly stream: 'stdout' | 'stderr';
	/** Without the line's end. */
	readonly text: Buffer;
	/** The text goes on in the next line. */
	readonly isPartial: boolean;
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
const CHUNK_BYTES = 64 << 10;
/** Bytes of one line: servers cut at 16 KiB. A file without line ends is no log. */
const MAX_LINE_BYTES = 1 << 20;

/** Null for what is no line of a log. */
export function parseLogLine(line: Buffer): LogLine | null {
	const first = line.indexOf(SPACE);
	const second = line.indexOf(SPACE, first + 1);
	if (first < 0 || second < 0) return null;
	const third = line.indexOf(SPACE, second + 1);
	const stream = line.toString('latin1', first + 1, second);
	const tags = line.toString('latin1', second + 1, third < 0 ? line.length : third);
	if (stream !== 'stdout' && stream !== 'stderr') return null;
	return {
		time: line.toString('latin1', 0, first),
		stream,
		text: third < 0 ? Buffer.alloc(0) : line.subarray(third + 1),
		isPartial: tags.split(':')[0] === 'P',
	};
}

/** Reads a log as it grows, also when it is rotated away and begins anew. */
export class LogReader {
	private fd = -1;
	private offset = 0;
	private rest: Buffer = Buffer.alloc(0);
	private readonly buffer = Buffer.alloc(CHUNK_BYTES);

	constructor(private readonly path: string) {}

	/** Hands the lines that have come since the last time to `onLine`. A file that is not there yet has none. */
	read(onLine: (line: LogLine) => void): void {
		if (this.fd < 0 && !this.open()) return;
		this.drain(onLine);
		if (!this.isRotated()) return;
		// What was written between the last read and the rotation.
		this.drain(onLine);
		this.close();
		if (this.open()) this.drain(onLine);
	}

	close(): void {
		if (this.fd >= 0) closeSync(this.fd);
		this.fd = -1;
	}

	private open(): boolean {
		try {
			this.fd = openSync(this.path, 'r');
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
			throw error;
		}
		this.offset = 0;
		this.rest = Buffer.alloc(0);
		return true;
	}

	private isRotated(): boolean {
		const own = fstatSync(this.fd);
		if (own.size < this.offset) {
			// Cut in place.
			this.offset = 0;
			this.rest = Buffer.alloc(0);
			return false;
		}
		const now = statSync(this.path, { throwIfNoEntry: false });
		return now !== undefined && (now.ino !== own.ino || now.dev !== own.dev);
	}

	private drain(onLine: (line: LogLine) => void): void {
		for (;;) {
			const bytes = readSync(this.fd, this.buffer, 0, CHUNK_BYTES, this.offset);
			if (bytes === 0) return;
			this.offset += bytes;
			let data = this.buffer.subarray(0, bytes);
			if (this.rest.length > 0) data = Buffer.concat([this.rest, data]);
			let start = 0;
			for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, start)) {
				const line = parseLogLine(Buffer.from(data.subarray(start, end)));
				if (line !== null) onLine(line);
				start = end + 1;
			}
			this.rest = data.length - start > MAX_LINE_BYTES ? Buffer.alloc(0) : Buffer.from(data.subarray(start));
		}
	}
}

/** The last `count` whole lines, where pieces of one line count once. */
export function lastLines(lines: readonly LogLine[], count: number): readonly LogLine[] {
	let found = 0;
	let at = lines.length;
	while (at > 0) {
		// A piece belongs to the line that ends behind it.
		const isEnd = at === lines.length || !lines[at - 1]!.isPartial;
		if (isEnd && found++ === count) break;
		at--;
	}
	return lines.slice(at);
}
