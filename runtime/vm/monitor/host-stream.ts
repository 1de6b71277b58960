import { native } from '../../native.js';
import type { HostLoop } from './host-loop.js';

const EPOLLIN = 1;
const EPOLLOUT = 4;
const EPOLLRDHUP = 0x2000;
const EAGAIN = 11;
const CHUNK_BYTES = 64 << 10;

const buffer = Buffer.alloc(CHUNK_BYTES);

/** A byte stream of the host's: a socket, pipe, terminal or file, which it owns. */
export class HostStream {
	private key = 0;
	private isPaused = true;
	private isReady = true;
	private isClosed = false;
	private readonly pending: { bytes: Uint8Array; onWritten: (() => void) | undefined }[] = [];
	private written = 0;
	private isEnding = false;
	/** Called once, when what was written finds no reader any more. */
	onBroken: () => void = () => {};

	/** `onData` gets bytes that are its own; `onEnd` comes once, at the end of the stream or at an error. It reads nothing until `resume`. */
	constructor(
		private readonly loop: HostLoop,
		readonly fd: number,
		private readonly onData: (bytes: Uint8Array) => void,
		private readonly onEnd: () => void,
	) {
		native.setNonBlocking(fd, true);
		this.key = loop.watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, (events) => this.onReady(events));
	}

	resume(): void {
		this.isPaused = false;
		if (this.isReady) this.loop.after(0, () => this.read());
	}

	pause(): void {
		this.isPaused = true;
	}

	/** Writes now or when there is room; `onWritten` is called when these bytes are out, or will never be. */
	write(bytes: Uint8Array, onWritten?: () => void): void {
		if (this.isClosed) {
			onWritten?.();
			return;
		}
		this.pending.push({ bytes, onWritten });
		if (this.pending.length === 1) this.flush();
	}

	/** Closes it when all is written. */
	end(): void {
		this.isEnding = true;
		if (this.pending.length === 0) this.close();
	}

	close(): void {
		if (this.isClosed) return;
		this.isClosed = true;
		if (this.key > 0) this.loop.unwatch(this.fd, this.key);
		native.close(this.fd);
		for (const { onWritten } of this.pending.splice(0)) onWritten?.();
	}

	private onReady(events: number): void {
		if ((events & EPOLLOUT) !== 0) this.flush();
		if ((events & ~EPOLLOUT) === 0) return;
		this.isReady = true;
		this.read();
	}

	private read(): void {
		while (!this.isPaused && !this.isClosed) {
			const count = native.pread(this.fd, buffer, 0, CHUNK_BYTES, -1);
			if (count === -EAGAIN) {
				this.isReady = false;
				return;
			}
			if (count <= 0) {
				this.isPaused = true;
				this.onEnd();
				return;
			}
			this.onData(Uint8Array.from(buffer.subarray(0, count)));
		}
	}

	private break(): void {
		const { onBroken } = this;
		this.onBroken = () => {};
		onBroken();
	}

	private flush(): void {
		for (let first = this.pending[0]; first !== undefined && !this.isClosed; first = this.pending[0]) {
			const count = native.pwrite(this.fd, first.bytes, this.written, first.bytes.length - this.written, -1);
			if (count === -EAGAIN) return;
			if (count < 0) this.break();
			// Nobody reads it any more: what comes is taken, and goes nowhere.
			this.written = count < 0 ? first.bytes.length : this.written + count;
			if (this.written < first.bytes.length) continue;
			this.written = 0;
			this.pending.shift();
			first.onWritten?.();
		}
		if (this.isEnding && this.pending.length === 0) this.close();
	}
}
