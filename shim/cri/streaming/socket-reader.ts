import type { Duplex } from 'node:stream';

/** Bytes that are read ahead. */
const MAX_AHEAD_BYTES = 1 << 18;

/**
 * Reads a socket ahead of whoever takes its chunks, so that what came before a failed write is not lost with it: Node destroys a socket whose write
 * fails, and a destroyed stream gives out nothing of what it holds.
 */
export class SocketReader {
	private chunks: Buffer[] = [];
	private bytes = 0;
	private isOver = false;
	private isDiscarding = false;
	/** Who waits for the next chunk. */
	private wake: (() => void) | null = null;

	constructor(private readonly socket: Duplex) {
		socket.on('data', (chunk: Buffer) => {
			if (this.isDiscarding) return;
			this.chunks.push(chunk);
			this.bytes += chunk.length;
			if (this.bytes > MAX_AHEAD_BYTES) socket.pause();
			this.tell();
		});
		for (const event of ['end', 'error', 'close']) socket.on(event, () => this.end());
	}

	private end(): void {
		this.isOver = true;
		this.tell();
	}

	/** What came and still comes is for nobody: it is read all the same, for a socket that is closed before that is reset, with what was written. */
	discard(): void {
		this.isDiscarding = true;
		this.chunks = [];
		this.bytes = 0;
		this.end();
		this.socket.resume();
	}

	private tell(): void {
		this.wake?.();
		this.wake = null;
	}

	/** The next chunk; null when all are taken and no more come. For one reader at a time. */
	async next(): Promise<Buffer | null> {
		while (this.chunks.length === 0) {
			if (this.isOver || this.socket.destroyed) return null;
			await new Promise<void>((then) => {
				this.wake = then;
			});
		}
		const chunk = this.chunks.shift() ?? null;
		this.bytes -= chunk?.length ?? 0;
		if (this.bytes <= MAX_AHEAD_BYTES) this.socket.resume();
		return chunk;
	}
}
