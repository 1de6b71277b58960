import { closeSync, mkdirSync, openSync, write } from 'node:fs';
import { dirname } from 'node:path';
import { HostError } from '../../../runtime/host-error.js';

export type StreamName = 'stdout' | 'stderr';

/** Bytes of a line at most: a longer one is cut into parts. containerd's. */
const MAX_LINE_BYTES = 16 << 10;
const NEWLINE = 10;

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

	/** Throws HostError. */
	constructor(private readonly path: string) {
		this.fd = openLog(path);
	}

	/** Writes the lines that are whole by now; resolves when they are. One call for a stream at a time. */
	write(stream: StreamName, bytes: Buffer): Promise<void> {
		const rest = this.rests[stream];
		let text = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
		const parts: Buffer[] = [];
		let entries = 0;
		const head = this.heads(stream);
		for (;;) {
			const end = text.indexOf(NEWLINE);
			if (end > MAX_LINE_BYTES || (end < 0 && text.length > MAX_LINE_BYTES)) {
				parts.push(head.partial, text.subarray(0, MAX_LINE_BYTES), LINE_END);
				text = text.subarray(MAX_LINE_BYTES);
			} else if (end >= 0) {
				parts.push(head.full, text.subarray(0, end + 1));
				text = text.subarray(end + 1);
			} else {
				break;
			}
			entries++;
		}
		// A copy: what is left of a chunk must not hold it.
		this.rests[stream] = Buffer.from(text);
		return this.append(parts, entries);
	}

	/** The stream has ended: a line without an end is written as it is. */
	end(stream: StreamName): Promise<void> {
		const rest = this.rests[stream];
		this.rests[stream] = Buffer.alloc(0);
		return rest.length === 0 ? Promise.resolve() : this.append([this.heads(stream).full, rest, LINE_END], 1);
	}

	/** Goes on in a new file of the same name: the old one was renamed. Rejects with HostError, and goes on in the old one then. */
	reopen(): Promise<void> {
		return this.after(() => {
			const fresh = openLog(this.path);
			if (this.fd >= 0) closeSync(this.fd);
			this.fd = fresh;
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

	private heads(stream: StreamName): { readonly full: Buffer; readonly partial: Buffer } {
		const time = this.now();
		return { full: Buffer.from(`${time} ${stream} F `), partial: Buffer.from(`${time} ${stream} P `) };
	}

	/** RFC 3339 with nanoseconds; later than the last one, so that sorting keeps the order. */
	private now(): string {
		const time = BigInt(Date.now()) * 1_000_000n;
		this.lastTime = time > this.lastTime ? time : this.lastTime + 1n;
		const nanoseconds = (this.lastTime % 1_000_000_000n).toString().padStart(9, '0');
		return `${new Date(Number(this.lastTime / 1_000_000n)).toISOString().slice(0, 19)}.${nanoseconds}Z`;
	}

	private append(parts: readonly Buffer[], entries: number): Promise<void> {
		if (entries === 0) return Promise.resolve();
		const bytes = Buffer.concat(parts);
		return this.after(async () => {
			if (this.fd < 0) return;
			try {
				for (let at = 0; at < bytes.length; ) at += await writeSome(this.fd, bytes, at);
			} catch {
				this.lost += entries;
			}
		});
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
		return openSync(path, 'a', 0o640);
	} catch (error) {
		throw HostError.from(`Open the log ${path}`, error);
	}
}
