import { encodeFrame, FLAG_NO_DATA, FLAG_REMOTE_CLOSED, type Frame, FrameType } from './frame.js';
import { Code, RpcError } from './status.js';

/** Messages that one side of a stream may have waiting for it, in bytes: who sends more than that without being read is cut off. */
const MAX_WAITING_BYTES = 16 << 20;

/** A stream of messages in both directions, at the one or the other end of it. */
export class Stream {
	private readonly waiting: Uint8Array[] = [];
	private waitingBytes = 0;
	private isRemoteClosed = false;
	private failure: RpcError | null = null;
	private wake: (() => void) | null = null;

	constructor(
		readonly id: number,
		private readonly write: (frame: Buffer) => void,
	) {}

	/** The next message; null when the other side has closed the stream. Rejects with RpcError when it failed. One call at a time. */
	async receive(): Promise<Uint8Array | null> {
		for (;;) {
			const message = this.waiting.shift();
			if (message !== undefined) {
				this.waitingBytes -= message.length;
				return message;
			}
			if (this.failure !== null) throw this.failure;
			if (this.isRemoteClosed) return null;
			await new Promise<void>((resolve) => {
				this.wake = resolve;
			});
		}
	}

	send(message: Uint8Array): void {
		if (this.failure !== null) throw this.failure;
		this.write(encodeFrame(this.id, FrameType.Data, 0, message));
	}

	/** Sends nothing more. */
	closeSend(): void {
		if (this.failure === null) this.write(encodeFrame(this.id, FrameType.Data, FLAG_REMOTE_CLOSED | FLAG_NO_DATA));
	}

	/** A data frame has come. */
	deliver({ flags, payload }: Frame): void {
		if (payload === null) this.fail(new RpcError(Code.ResourceExhausted, 'a message is too long'));
		else if ((flags & FLAG_NO_DATA) === 0) {
			this.waiting.push(payload);
			this.waitingBytes += payload.length;
			if (this.waitingBytes > MAX_WAITING_BYTES) this.fail(new RpcError(Code.ResourceExhausted, 'too many messages wait to be received'));
		}
		if ((flags & FLAG_REMOTE_CLOSED) !== 0) this.isRemoteClosed = true;
		this.notify();
	}

	/** Nothing comes any more. */
	fail(error: RpcError): void {
		this.failure ??= error;
		this.notify();
	}

	private notify(): void {
		const { wake } = this;
		this.wake = null;
		wake?.();
	}
}
