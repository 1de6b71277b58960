/** Bytes before a frame's payload: its length, its stream's id (both big-endian), its type, its flags (ttrpc's PROTOCOL.md). */
export const HEADER_BYTES = 10;
/** Longest payload that either side takes. */
export const MAX_PAYLOAD_BYTES = 4 << 20;

export const enum FrameType {
	Request = 1,
	Response = 2,
	Data = 3,
}

/** The sender sends nothing more on this stream. */
export const FLAG_REMOTE_CLOSED = 1;
/** More will follow on this stream. */
export const FLAG_REMOTE_OPEN = 2;
/** There is no message in this frame, not even an empty one. */
export const FLAG_NO_DATA = 4;

/** One frame. */
export interface Frame {
	readonly streamId: number;
	/** A FrameType, or what a peer made up. */
	readonly type: number;
	readonly flags: number;
	/** null: it was too long and was thrown away. */
	readonly payload: Uint8Array | null;
}

const EMPTY = new Uint8Array(0);

/** A frame as bytes. */
export function encodeFrame(streamId: number, type: FrameType, flags: number, payload: Uint8Array = EMPTY): Buffer {
	const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
	frame.writeUInt32BE(payload.length, 0);
	frame.writeUInt32BE(streamId, 4);
	frame.writeUInt8(type, 8);
	frame.writeUInt8(flags, 9);
	frame.set(payload, HEADER_BYTES);
	return frame;
}

/** Takes a byte stream apart into frames. It holds one payload at most, and none that is too long. */
export class FrameReader {
	private readonly header = Buffer.alloc(HEADER_BYTES);
	private headerBytes = 0;
	/** Of the frame that is being read; null while its header isn't complete, or when it is too long. */
	private payload: Buffer | null = null;
	private payloadBytes = 0;
	private lengthBytes = 0;

	/** Adds what was received and returns the frames that it completes. */
	push(bytes: Uint8Array): Frame[] {
		const frames: Frame[] = [];
		for (let at = 0; at < bytes.length; ) {
			if (this.headerBytes < HEADER_BYTES) {
				const taken = Math.min(HEADER_BYTES - this.headerBytes, bytes.length - at);
				this.header.set(bytes.subarray(at, at + taken), this.headerBytes);
				this.headerBytes += taken;
				at += taken;
				if (this.headerBytes < HEADER_BYTES) break;
				this.lengthBytes = this.header.readUInt32BE(0);
				this.payload = this.lengthBytes > MAX_PAYLOAD_BYTES ? null : Buffer.allocUnsafe(this.lengthBytes);
				this.payloadBytes = 0;
			}
			const taken = Math.min(this.lengthBytes - this.payloadBytes, bytes.length - at);
			this.payload?.set(bytes.subarray(at, at + taken), this.payloadBytes);
			this.payloadBytes += taken;
			at += taken;
			if (this.payloadBytes < this.lengthBytes) break;
			frames.push({
				streamId: this.header.readUInt32BE(4),
				type: this.header.readUInt8(8),
				flags: this.header.readUInt8(9),
				payload: this.payload,
			});
			this.headerBytes = 0;
			this.payload = null;
		}
		return frames;
	}
}
