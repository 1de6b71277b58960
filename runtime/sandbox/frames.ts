import { native } from '../native.js';

/** Longest frame that is read, in bytes: a config.json is the largest thing in one. */
const MAX_FRAME = 16 << 20;
/** Descriptors that one frame may carry (SCM_MAX_FD). */
const MAX_FDS = 253;
const HEADER = 4;
const EAGAIN = 11;

/** A frame and the descriptors that came with it; the receiver owns them, and who takes them over takes them out of the list. */
export interface Frame {
	readonly body: Uint8Array;
	readonly fds: number[];
}

/** Puts a 4-byte little-endian length before a message. */
export function encodeFrame(body: Uint8Array): Buffer {
	const frame = Buffer.allocUnsafe(HEADER + body.length);
	frame.writeUInt32LE(body.length, 0);
	frame.set(body, HEADER);
	return frame;
}

/** Takes a byte stream apart into frames. */
export class FrameReader {
	private pending = Buffer.alloc(0);
	private readonly fds: number[] = [];

	/** Adds what was received. Throws when the peer announces a frame that is too long: the connection is to be closed. */
	push(bytes: Uint8Array, fds: readonly number[] = []): Frame[] {
		this.pending = Buffer.concat([this.pending, bytes]);
		this.fds.push(...fds);
		const frames: Frame[] = [];
		while (this.pending.length >= HEADER) {
			const length = this.pending.readUInt32LE(0);
			if (length > MAX_FRAME) throw new Error(`Read a frame: ${length} bytes announced, at most ${MAX_FRAME} are taken`);
			if (this.pending.length < HEADER + length) break;
			frames.push({ body: Uint8Array.from(this.pending.subarray(HEADER, HEADER + length)), fds: this.fds.splice(0) });
			this.pending = this.pending.subarray(HEADER + length);
		}
		return frames;
	}

	/** Closes descriptors that no frame has claimed. */
	close(): void {
		for (const fd of this.fds.splice(0)) native.close(fd);
	}
}

const receiveBuffer = Buffer.alloc(65536);
const receiveFds = new Int32Array(MAX_FDS);
const receiveCount = new Int32Array(1);

/** Receives what is there on a non-blocking socket: frames, or null at the end of the stream. */
export function receiveFrames(fd: number, reader: FrameReader): Frame[] | null {
	const frames: Frame[] = [];
	for (;;) {
		const bytes = native.receiveMessage(fd, receiveBuffer, 0, receiveBuffer.length, receiveFds, receiveCount);
		if (bytes === -EAGAIN) return frames;
		if (bytes <= 0) return frames.length > 0 ? frames : null;
		frames.push(...reader.push(receiveBuffer.subarray(0, bytes), Array.from(receiveFds.subarray(0, receiveCount[0]))));
	}
}

/** Sends a whole frame on a blocking socket, descriptors with its first bytes. 0, or -errno. */
export function sendFrame(fd: number, body: Uint8Array, fds: readonly number[] = []): number {
	const frame = encodeFrame(body);
	let at = 0;
	while (at < frame.length) {
		const sent = native.sendMessage(fd, frame, at, frame.length - at, Int32Array.from(at === 0 ? fds : []));
		if (sent < 0) return sent;
		at += sent;
	}
	return 0;
}
