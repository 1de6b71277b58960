// Frames of SPDY/3.1 (spdy-protocol-draft3-1, 2.2 and 2.6), as much of them as Kubernetes' clients use.

import { constants, createInflate, type Inflate } from 'node:zlib';
import { HostError } from '../../../runtime/host-error.js';

export const enum FrameType {
	SynStream = 1,
	SynReply = 2,
	RstStream = 3,
	Settings = 4,
	Ping = 6,
	GoAway = 7,
	Headers = 8,
	WindowUpdate = 9,
}
export const FLAG_FIN = 1;
export const HEADER_BYTES = 8;
/** Bytes of a control frame: its headers are kept whole. */
export const MAX_CONTROL_BYTES = 64 << 10;
/** Bytes of headers once they are uncompressed. */
const MAX_HEADERS_BYTES = 64 << 10;
const MAX_HEADERS = 100;
const VERSION = 3;

export type FrameHeader =
	| { readonly kind: 'control'; readonly type: number; readonly flags: number; readonly length: number }
	| { readonly kind: 'data'; readonly streamId: number; readonly flags: number; readonly length: number };

function bad(reason: string): HostError {
	return new HostError(`Read a SPDY frame: ${reason}`, 'EPROTO');
}

/** Reads the 8 bytes that every frame begins with. Throws EPROTO. */
export function readFrameHeader(bytes: Buffer): FrameHeader {
	const first = bytes.readUInt32BE(0);
	const flags = bytes[4]!;
	const length = bytes.readUIntBE(5, 3);
	if ((first & 0x8000_0000) === 0) return { kind: 'data', streamId: first, flags, length };
	const version = (first >>> 16) & 0x7fff;
	if (version !== VERSION) throw bad(`its version is ${version}`);
	if (length > MAX_CONTROL_BYTES) throw bad(`a control frame has ${length} bytes`);
	return { kind: 'control', type: first & 0xffff, flags, length };
}

export function dataFrameHeader(streamId: number, flags: number, length: number): Buffer {
	const header = Buffer.alloc(HEADER_BYTES);
	header.writeUInt32BE(streamId, 0);
	header[4] = flags;
	header.writeUIntBE(length, 5, 3);
	return header;
}

export function controlFrame(type: FrameType, flags: number, payload: Buffer): Buffer {
	const header = Buffer.alloc(HEADER_BYTES);
	header.writeUInt32BE((0x8000_0000 | (VERSION << 16) | type) >>> 0, 0);
	header[4] = flags;
	header.writeUIntBE(payload.length, 5, 3);
	return Buffer.concat([header, payload]);
}

/** A frame's payload of 32-bit words. */
export function words(...values: readonly number[]): Buffer {
	const bytes = Buffer.alloc(4 * values.length);
	for (const [at, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, 4 * at);
	return bytes;
}

/** What the client's header blocks, one zlib stream for all of them, are uncompressed with. */
export class HeaderReader {
	private readonly inflate: Inflate = createInflate({ dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH });
	private chunks: Buffer[] = [];
	private bytes = 0;
	private failure: Error | null = null;
	private reject: ((error: Error) => void) | null = null;

	constructor() {
		this.inflate.on('data', (chunk: Buffer) => {
			this.bytes += chunk.length;
			if (this.bytes > MAX_HEADERS_BYTES) this.fail(bad(`headers have more than ${MAX_HEADERS_BYTES} bytes`));
			else this.chunks.push(chunk);
		});
		this.inflate.on('error', (error) => this.fail(bad(error.message)));
	}

	private fail(error: Error): void {
		this.failure ??= error;
		this.inflate.destroy();
		this.reject?.(this.failure);
	}

	/** The headers of the next block. One block at a time. Throws EPROTO, and for ever after. */
	async read(block: Buffer): Promise<Map<string, string>> {
		if (this.failure !== null) throw this.failure;
		await new Promise<void>((resolve, reject) => {
			this.reject = reject;
			this.inflate.write(block);
			this.inflate.flush(constants.Z_SYNC_FLUSH, () => resolve());
		});
		// What the flush gave is told by then, or with the next turn.
		await new Promise((resolve) => setImmediate(resolve));
		if (this.failure !== null) throw this.failure;
		const bytes = Buffer.concat(this.chunks);
		this.chunks = [];
		this.bytes = 0;
		return parseHeaders(bytes);
	}

	close(): void {
		this.inflate.destroy();
	}
}

function parseHeaders(bytes: Buffer): Map<string, string> {
	const headers = new Map<string, string>();
	let at = 0;
	const number = (): number => {
		if (at + 4 > bytes.length) throw bad('headers end too early');
		at += 4;
		return bytes.readUInt32BE(at - 4);
	};
	const text = (): string => {
		const length = number();
		if (length > bytes.length - at) throw bad('headers end too early');
		at += length;
		return bytes.toString('utf8', at - length, at);
	};
	const count = number();
	if (count > MAX_HEADERS) throw bad(`it has ${count} headers`);
	for (let left = count; left > 0; left--) {
		const name = text().toLowerCase();
		headers.set(name, text());
	}
	return headers;
}

/** An empty stored block: Go's reader gives out what came before only then. */
const SYNC_FLUSH = Buffer.from([0, 0, 0, 0xff, 0xff]);

/** Writes header blocks as one zlib stream of stored blocks (RFC 1951, 3.2.4): replies have hardly any headers. */
export class HeaderWriter {
	private isFirst = true;

	write(headers: ReadonlyMap<string, string>): Buffer {
		const parts = [words(headers.size)];
		for (const [name, value] of headers)
			for (const part of [name, value]) {
				const bytes = Buffer.from(part);
				parts.push(words(bytes.length), bytes);
			}
		const bytes = Buffer.concat(parts);
		const start = Buffer.alloc(5);
		start.writeUInt16LE(bytes.length, 1);
		start.writeUInt16LE(~bytes.length & 0xffff, 3);
		const zlibHeader = this.isFirst ? Buffer.from([0x78, 0x01]) : Buffer.alloc(0);
		this.isFirst = false;
		return Buffer.concat([zlibHeader, start, bytes, SYNC_FLUSH]);
	}
}

/** The dictionary of section 2.6.10.1: words, each after its length, and text. */
const DICTIONARY_WORDS =
	'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control connection ' +
	'content-base content-encoding content-language content-length content-location content-md5 content-range content-type date etag expect expires from host ' +
	'if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization ' +
	'range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status|200 OK|version|' +
	'HTTP/1.1|url public set-cookie keep-alive origin';
const DICTIONARY_TEXT =
	'100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content301 Moved ' +
	'Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr ' +
	'May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,' +
	'application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

export const DICTIONARY: Buffer = Buffer.concat([
	// "200 OK" is the one word with a space in it.
	...DICTIONARY_WORDS.split('|')
		.flatMap((part) => (part === '200 OK' ? [part] : part.split(' ')))
		.flatMap((word) => [words(word.length), Buffer.from(word)]),
	Buffer.from(DICTIONARY_TEXT),
]);
