import { Duplex } from 'node:stream';
import { HostError } from '../../../runtime/host-error.js';
import { SocketReader } from './socket-reader.js';
import {
	controlFrame,
	dataFrameHeader,
	FLAG_FIN,
	FrameType,
	HEADER_BYTES,
	HeaderReader,
	HeaderWriter,
	readFrameHeader,
	words,
} from './spdy-frames.js';

const MAX_STREAMS = 1000;
/** Bytes of one data frame that is sent. */
const MAX_DATA_BYTES = 32 << 10;
/** Bytes of a stream that nobody reads before the whole connection waits: Go's clients know no windows. */
const STREAM_BUFFER_BYTES = 256 << 10;
const LINGER_MS = 2000;
const CANCEL = 5;
const INVALID_STREAM = 2;
const REFUSED_STREAM = 3;
const PROTOCOL_ERROR = 1;

/** A stream of either side's. Its two directions end apart from each other. */
export class SpdyStream extends Duplex {
	private isReset = false;
	/** All of the other side's bytes are here, though perhaps not read yet. */
	isWhole = false;
	private onRead: (() => void) | null = null;

	constructor(
		private readonly connection: SpdyConnection,
		readonly id: number,
		/** Names in lower case. */
		readonly headers: ReadonlyMap<string, string>,
	) {
		super({ readableHighWaterMark: STREAM_BUFFER_BYTES, writableHighWaterMark: MAX_DATA_BYTES });
		// An end that comes by the connection's fault is told there.
		this.on('error', () => undefined);
	}

	/** Bytes of the other side's; resolves when more may come. */
	receive(bytes: Buffer): Promise<void> | null {
		if (this.destroyed || this.isWhole || this.push(bytes)) return null;
		return new Promise((resolve) => {
			this.onRead = resolve;
		});
	}

	receiveEnd(): void {
		if (this.destroyed || this.isWhole) return;
		this.isWhole = true;
		this.push(null);
	}

	/** The other side gave it up, or the connection is gone. */
	receiveReset(): void {
		this.isReset = true;
		this.destroy();
	}

	override _read(): void {
		this.onRead?.();
		this.onRead = null;
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
		this.connection.sendData(this.id, chunk, 0, done);
	}

	override _final(done: (error?: Error | null) => void): void {
		this.connection.sendData(this.id, Buffer.alloc(0), FLAG_FIN, done);
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		this.onRead?.();
		this.onRead = null;
		this.connection.forget(this, !this.isReset && !(this.writableFinished && this.readableEnded));
		done(error);
	}
}

/**
 * One end of a SPDY/3.1 connection: the server's takes streams, the client's opens them. SETTINGS and WINDOW_UPDATE are ignored, as by Kubernetes'
 * own servers and clients.
 */
export class SpdyConnection {
	private readonly streams = new Map<number, SpdyStream>();
	private readonly headerReader = new HeaderReader();
	private readonly headerWriter = new HeaderWriter();
	private lastStreamId = 0;
	private nextStreamId = 1;
	/** The stream that is being opened, and those that wait for it. */
	private opening: Promise<unknown> = Promise.resolve();
	/** Told of the server's answer to it: null, or what went wrong. */
	private onAnswer: ((code: 'EPIPE' | 'ECONNREFUSED' | null) => void) | null = null;
	private isClosed = false;
	private isServing = false;
	private readonly reader: SocketReader;

	/** `onStream` gets each stream that the client opens; what it throws refuses the stream. Null makes this the client's end. */
	constructor(
		private readonly socket: Duplex,
		private readonly onStream: ((stream: SpdyStream) => void) | null,
	) {
		this.reader = new SocketReader(socket);
		socket.on('error', () => this.lose());
		socket.on('close', () => this.lose());
	}

	/**
	 * Opens a stream: the client's end only. Names in lower case. One after the other, each when the server has answered to the one before: Go's
	 * servers handle streams side by side, and drop one whose number comes late. Rejects with EPIPE when the connection is gone, ECONNREFUSED when
	 * the server refuses it.
	 */
	openStream(headers: ReadonlyMap<string, string>): Promise<SpdyStream> {
		const opened = this.opening.then(() => this.openNext(headers));
		this.opening = opened.catch(() => undefined);
		return opened;
	}

	private openNext(headers: ReadonlyMap<string, string>): Promise<SpdyStream> {
		if (this.isClosed) return Promise.reject(new HostError('Open a SPDY stream', 'EPIPE'));
		const id = this.nextStreamId;
		this.nextStreamId += 2;
		const stream = new SpdyStream(this, id, headers);
		this.streams.set(id, stream);
		// Associated stream and priority: none.
		const payload = Buffer.concat([words(id, 0), Buffer.alloc(2), this.headerWriter.write(headers)]);
		this.socket.write(controlFrame(FrameType.SynStream, 0, payload));
		return new Promise((resolve, reject) => {
			this.onAnswer = (code) => {
				this.onAnswer = null;
				if (code === null) resolve(stream);
				else reject(new HostError('Open a SPDY stream', code));
			};
		});
	}

	/** Serves until the other side is gone. Resolves with what it did wrong, or null. */
	async serve(head: Buffer): Promise<HostError | null> {
		this.isServing = true;
		try {
			await this.readFrames(head);
			return null;
		} catch (error) {
			if (!this.isClosed) this.socket.write(controlFrame(FrameType.GoAway, 0, words(this.lastStreamId, PROTOCOL_ERROR)));
			return HostError.from('Serve a SPDY connection', error);
		} finally {
			this.close();
		}
	}

	/**
	 * The other side is gone. A server that has said all ends the connection, and what a slow reader has not taken yet, such as the program's exit code
	 * at the end, is still in `serve`, at whose end this closes.
	 */
	private lose(): void {
		if (this.onStream !== null || !this.isServing) this.close();
	}

	/** Ends the connection and all of its streams. */
	close(): void {
		if (this.isClosed) return;
		this.isClosed = true;
		this.onAnswer?.('EPIPE');
		// What was said to its end before the other side went can still be read.
		for (const stream of [...this.streams.values()]) if (!stream.isWhole) stream.receiveReset();
		this.headerReader.close();
		this.reader.discard();
		// What is written still goes out; a client that does not read it has some seconds.
		this.socket.end();
		const timer = setTimeout(() => this.socket.destroy(), LINGER_MS);
		timer.unref();
		this.socket.once('close', () => clearTimeout(timer));
	}

	/** Says that no more streams are taken, and leaves the end to the other side, for `graceMs` at most. */
	async finish(graceMs: number): Promise<void> {
		if (this.isClosed) return;
		this.socket.write(controlFrame(FrameType.GoAway, 0, words(this.lastStreamId, 0)));
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, graceMs);
			this.socket.once('close', () => {
				clearTimeout(timer);
				resolve();
			});
		});
		this.close();
	}

	private async readFrames(head: Buffer): Promise<void> {
		let buffered = head;
		const more = async (): Promise<boolean> => {
			const chunk = await this.reader.next();
			if (chunk === null) return false;
			buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
			return true;
		};
		for (;;) {
			while (buffered.length < HEADER_BYTES) if (!(await more())) return;
			const header = readFrameHeader(buffered);
			buffered = buffered.subarray(HEADER_BYTES);
			if (header.kind === 'control') {
				while (buffered.length < header.length) if (!(await more())) return;
				const payload = buffered.subarray(0, header.length);
				buffered = buffered.subarray(header.length);
				await this.control(header.type, header.flags, payload);
				continue;
			}
			// Contents go on as they come: a frame may have 16 MiB.
			const stream = this.streams.get(header.streamId);
			if (stream === undefined) this.socket.write(controlFrame(FrameType.RstStream, 0, words(header.streamId, INVALID_STREAM)));
			for (let left = header.length; left > 0; ) {
				if (buffered.length === 0 && !(await more())) return;
				const chunk = buffered.subarray(0, left);
				buffered = buffered.subarray(chunk.length);
				left -= chunk.length;
				const full = stream?.receive(chunk) ?? null;
				if (full !== null) await full;
			}
			if ((header.flags & FLAG_FIN) !== 0) stream?.receiveEnd();
		}
	}

	private async control(type: number, flags: number, payload: Buffer): Promise<void> {
		const need = (bytes: number): void => {
			if (payload.length < bytes) throw new HostError(`Read a SPDY frame: one of type ${type} has ${payload.length} bytes`, 'EPROTO');
		};
		if (type === FrameType.SynStream) {
			need(10);
			const id = payload.readUInt32BE(0) & 0x7fff_ffff;
			const headers = await this.headerReader.read(payload.subarray(10));
			this.open(id, headers, flags);
		} else if (type === FrameType.Headers) {
			need(4);
			// The compression goes on through them, wanted or not.
			await this.headerReader.read(payload.subarray(4));
			if ((flags & FLAG_FIN) !== 0) this.streams.get(payload.readUInt32BE(0))?.receiveEnd();
		} else if (type === FrameType.RstStream) {
			need(8);
			const id = payload.readUInt32BE(0);
			const stream = this.streams.get(id);
			// Go's servers reset what they have ended, too: it is whole, and a slow reader is still at it.
			if (stream !== undefined && !(this.onStream === null && stream.isWhole)) stream.receiveReset();
			if (id === this.nextStreamId - 2) this.onAnswer?.('ECONNREFUSED');
		} else if (type === FrameType.Ping) {
			need(4);
			// Odd ones are the client's; those of the other side are sent back.
			if ((payload[3]! & 1) === (this.onStream === null ? 0 : 1))
				this.socket.write(controlFrame(FrameType.Ping, 0, payload.subarray(0, 4)));
		} else if (type === FrameType.SynReply) {
			need(4);
			await this.headerReader.read(payload.subarray(4));
			const id = payload.readUInt32BE(0);
			if (id % 2 === 0 || id >= this.nextStreamId)
				throw new HostError('Read a SPDY frame: a reply to a stream that was never opened', 'EPROTO');
			if ((flags & FLAG_FIN) !== 0) this.streams.get(id)?.receiveEnd();
			if (id === this.nextStreamId - 2) this.onAnswer?.(null);
		}
	}

	private open(id: number, headers: ReadonlyMap<string, string>, flags: number): void {
		if (id % 2 === 0 || id <= this.lastStreamId) throw new HostError(`Read a SPDY frame: a stream has the number ${id}`, 'EPROTO');
		this.lastStreamId = id;
		const refuse = (): void => {
			this.socket.write(controlFrame(FrameType.RstStream, 0, words(id, REFUSED_STREAM)));
		};
		if (this.onStream === null || this.streams.size >= MAX_STREAMS) {
			refuse();
			return;
		}
		const stream = new SpdyStream(this, id, headers);
		this.streams.set(id, stream);
		try {
			this.onStream(stream);
		} catch {
			stream.receiveReset();
			refuse();
			return;
		}
		this.socket.write(controlFrame(FrameType.SynReply, 0, Buffer.concat([words(id), this.headerWriter.write(new Map())])));
		if ((flags & FLAG_FIN) !== 0) stream.receiveEnd();
	}

	sendData(id: number, bytes: Buffer, flags: number, done: (error?: Error | null) => void): void {
		// What has come is read first: it may be the program's end, and a write to a server that is gone after it would be the socket's.
		if (this.onStream === null) setImmediate(() => this.writeData(id, bytes, flags, done));
		else this.writeData(id, bytes, flags, done);
	}

	private writeData(id: number, bytes: Buffer, flags: number, done: (error?: Error | null) => void): void {
		if (this.isClosed) {
			done(new HostError('Send to a SPDY stream', 'EPIPE'));
			return;
		}
		let at = 0;
		do {
			const chunk = bytes.subarray(at, at + MAX_DATA_BYTES);
			at += chunk.length;
			this.socket.write(dataFrameHeader(id, flags, chunk.length));
			if (at < bytes.length) this.socket.write(chunk);
			else this.socket.write(chunk, done);
		} while (at < bytes.length);
	}

	/** A stream is over; when only on this side the other one is told. */
	forget(stream: SpdyStream, isCancelled: boolean): void {
		if (!this.streams.delete(stream.id) || this.isClosed) return;
		if (isCancelled) this.socket.write(controlFrame(FrameType.RstStream, 0, words(stream.id, CANCEL)));
	}
}
