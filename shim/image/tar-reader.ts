// A reader of tar streams for input that nobody vouches for. tar-stream, which writes archives here, reads PAX records as UTF-8, which destroys
// the bytes of names and of security.capability, and keeps headers of any size in memory: a reader of the project's own is smaller than a guard around it.
//
// Formats: ustar, GNU (long names, base-256 numbers) and PAX (pax(1), "pax Interchange Format"). Sparse files are refused.

import { HostError } from '../../runtime/host-error.js';

/** One entry. Names are byte strings (latin1: one character is one byte). */
export interface TarEntry {
	readonly type: 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';
	readonly name: string;
	/** The target of a link or symlink. */
	readonly linkName: string;
	/** Permission bits, 07777. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Bytes of a file's contents; 0 of others. */
	readonly size: number;
	readonly mtimeSec: number;
	readonly mtimeNsec: number;
	readonly major: number;
	readonly minor: number;
	/** Extended attributes (SCHILY.xattr.*), names without the prefix, values as bytes. */
	readonly xattrs: ReadonlyMap<string, Buffer>;
}

const BLOCK = 512;
/** Bytes of one long name or one PAX header. */
const MAX_EXTENSION = 1 << 20;
/** Bytes of a name: PATH_MAX. */
const MAX_NAME = 4096;
const TYPES: Readonly<Record<string, TarEntry['type']>> = {
	'\0': 'file',
	'0': 'file',
	'7': 'file',
	'1': 'link',
	'2': 'symlink',
	'3': 'character',
	'4': 'block',
	'5': 'directory',
	'6': 'fifo',
};

/**
 * Reads entries one after another: `next()`, then `data()` for a file (what of it is not read is skipped), until `next()` gives null.
 * Throws EBADMSG for what is no tar archive or ends too early.
 */
export class TarReader {
	private readonly source: AsyncIterator<Uint8Array>;
	private buffered: Buffer = Buffer.alloc(0);
	/** Contents of the current entry that are still to come, and the padding behind them. */
	private left = 0;
	private padding = 0;
	private globals = new Map<string, Buffer>();

	constructor(source: AsyncIterable<Uint8Array>) {
		this.source = source[Symbol.asyncIterator]();
	}

	async next(): Promise<TarEntry | null> {
		for await (const _ of this.data());
		let longName: string | null = null;
		let longLink: string | null = null;
		let records = new Map<string, Buffer>();
		for (;;) {
			const header = await this.take(BLOCK, true);
			if (header === null || header.every((byte) => byte === 0)) {
				if (longName !== null || longLink !== null || records.size > 0) throw bad('it ends after the header of an entry');
				// What follows the end has no meaning, but belongs to the bytes that the digest is of.
				do this.buffered = Buffer.alloc(0);
				while (await this.refill());
				return null;
			}
			checkSum(header);
			const type = String.fromCharCode(header[156]!);
			const size = number(header, 124, 12);
			if (size < 0) throw bad('a size is negative');
			if (type === 'L' || type === 'K' || type === 'x' || type === 'g') {
				const bytes = await this.extension(size);
				if (type === 'L') longName = field(bytes, 0, bytes.length);
				else if (type === 'K') longLink = field(bytes, 0, bytes.length);
				else if (type === 'x') records = paxRecords(bytes);
				else this.globals = new Map([...this.globals, ...paxRecords(bytes)]);
				if (this.globals.size > 1000) throw bad('it has more than 1000 global records');
				continue;
			}
			return this.entry(header, type, size, new Map([...this.globals, ...records]), longName, longLink);
		}
	}

	private entry(
		header: Buffer,
		flag: string,
		size: number,
		records: ReadonlyMap<string, Buffer>,
		longName: string | null,
		longLink: string | null,
	): TarEntry {
		if (flag === 'S' || [...records.keys()].some((key) => key.startsWith('GNU.sparse')))
			throw new HostError('Read the archive: it has a sparse file', 'EOPNOTSUPP');
		let type = TYPES[flag];
		if (type === undefined) throw new HostError(`Read the archive: an entry has the unknown type ${JSON.stringify(flag)}`, 'EOPNOTSUPP');
		const isUstar = header.toString('latin1', 257, 263) === 'ustar\0';
		const prefix = isUstar ? field(header, 345, 155) : '';
		const own = field(header, 0, 100);
		const name = records.get('path')?.toString('latin1') ?? longName ?? (prefix === '' ? own : `${prefix}/${own}`);
		const linkName = records.get('linkpath')?.toString('latin1') ?? longLink ?? field(header, 157, 100);
		if (name === '' || name.length > MAX_NAME || linkName.length > MAX_NAME || name.includes('\0') || linkName.includes('\0'))
			throw bad('a name is empty, too long or has a NUL');
		// Before ustar a directory was a file whose name ends in a slash.
		if (type === 'file' && name.endsWith('/')) type = 'directory';
		const paxSize = records.get('size');
		const bytes = paxSize === undefined ? size : decimal(paxSize, 'size');
		// Only files have contents; a size of others (Solaris writes a link's) has nothing behind it.
		const contents = type === 'file' ? bytes : 0;
		this.left = contents;
		this.padding = (BLOCK - (contents % BLOCK)) % BLOCK;
		const time = records.get('mtime')?.toString('latin1');
		const [mtimeSec, mtimeNsec] = time === undefined ? [number(header, 136, 12), 0] : timestamp(time);
		const xattrs = new Map<string, Buffer>();
		for (const [key, value] of records) if (key.startsWith('SCHILY.xattr.')) xattrs.set(key.slice('SCHILY.xattr.'.length), value);
		const uid = records.get('uid');
		const gid = records.get('gid');
		return {
			type,
			name,
			linkName,
			mode: number(header, 100, 8) & 0o7777,
			uid: id(uid === undefined ? number(header, 108, 8) : decimal(uid, 'uid')),
			gid: id(gid === undefined ? number(header, 116, 8) : decimal(gid, 'gid')),
			size: contents,
			mtimeSec,
			mtimeNsec,
			major: type === 'character' || type === 'block' ? number(header, 329, 8) : 0,
			minor: type === 'character' || type === 'block' ? number(header, 337, 8) : 0,
			xattrs,
		};
	}

	/** The contents of the current entry. */
	async *data(): AsyncGenerator<Buffer> {
		while (this.left > 0) {
			if (this.buffered.length === 0 && !(await this.refill())) throw bad('it ends within an entry');
			const chunk = this.buffered.subarray(0, Math.min(this.left, this.buffered.length));
			this.buffered = this.buffered.subarray(chunk.length);
			this.left -= chunk.length;
			yield chunk;
		}
		const { padding } = this;
		this.padding = 0;
		if (padding > 0) await this.take(padding, false);
	}

	/** Stops reading. */
	async close(): Promise<void> {
		await this.source.return?.();
	}

	private async extension(size: number): Promise<Buffer> {
		if (size > MAX_EXTENSION) throw bad(`a header has ${size} bytes: want at most ${MAX_EXTENSION}`);
		const bytes = Buffer.from((await this.take(size, false))!);
		const padding = (BLOCK - (size % BLOCK)) % BLOCK;
		if (padding > 0) await this.take(padding, false);
		return bytes;
	}

	/** The next `length` bytes; null at the end of the stream when it may be there. */
	private async take(length: number, canEnd: boolean): Promise<Buffer | null> {
		while (this.buffered.length < length) {
			if (await this.refill()) continue;
			if (canEnd && this.buffered.length === 0) return null;
			throw bad('it ends within an entry');
		}
		const bytes = this.buffered.subarray(0, length);
		this.buffered = this.buffered.subarray(length);
		return bytes;
	}

	private async refill(): Promise<boolean> {
		const { done, value } = await this.source.next();
		if (done === true) return false;
		const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
		this.buffered = this.buffered.length === 0 ? chunk : Buffer.concat([this.buffered, chunk]);
		return true;
	}
}

function bad(reason: string): HostError {
	return new HostError(`Read the archive: ${reason}`, 'EBADMSG');
}

/** A string of a header: up to its first NUL. */
function field(bytes: Buffer, start: number, length: number): string {
	const text = bytes.toString('latin1', start, start + length);
	const end = text.indexOf('\0');
	return end < 0 ? text : text.slice(0, end);
}

/** A number of a header: octal digits, or base 256 when its first bit is set. */
function number(header: Buffer, start: number, length: number): number {
	if ((header[start]! & 0x80) !== 0) {
		const isNegative = (header[start]! & 0x40) !== 0;
		let value = BigInt(isNegative ? header[start]! | ~0xff : header[start]! & 0x7f);
		for (let at = start + 1; at < start + length; at++) value = (value << 8n) | BigInt(header[at]!);
		const result = Number(value);
		if (!Number.isSafeInteger(result)) throw bad('a number is too large');
		return result;
	}
	const text = field(header, start, length).trim();
	if (text === '') return 0;
	if (!/^[0-7]+$/.test(text)) throw bad(`${JSON.stringify(text)} is no octal number`);
	return Number.parseInt(text, 8);
}

function checkSum(header: Buffer): void {
	let sum = 8 * 0x20;
	for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += header[at]!;
	if (sum !== number(header, 148, 8)) throw bad('the checksum of a header is wrong');
}

function decimal(bytes: Buffer, what: string): number {
	const text = bytes.toString('latin1');
	const value = Number(text);
	if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw bad(`${what} is ${JSON.stringify(text.slice(0, 40))}: want a number`);
	return value;
}

/** A user or group: the host's ids have 32 bits, and -1 means no change to chown(2). */
function id(value: number): number {
	if (value < 0 || value >= 0xffff_ffff) throw bad(`an owner has the id ${value}`);
	return value;
}

function timestamp(text: string): [seconds: number, nanoseconds: number] {
	const match = /^(-?\d{1,15})(?:\.(\d{1,9})\d*)?$/.exec(text);
	if (match === null) throw bad(`${JSON.stringify(text.slice(0, 40))} is no time`);
	const nanoseconds = Number((match[2] ?? '').padEnd(9, '0'));
	const seconds = Number(match[1]);
	// A time before the epoch counts its fraction downward; the host's upward.
	return text.startsWith('-') && nanoseconds > 0 ? [seconds - 1, 1e9 - nanoseconds] : [seconds, nanoseconds];
}

/** The records `LENGTH KEY=VALUE\n` of a PAX header. Values are bytes. */
function paxRecords(bytes: Buffer): Map<string, Buffer> {
	const records = new Map<string, Buffer>();
	for (let at = 0; at < bytes.length; ) {
		const space = bytes.indexOf(0x20, at);
		const digits = space < 0 ? '' : bytes.toString('latin1', at, space);
		const length = /^\d{1,7}$/.test(digits) ? Number(digits) : 0;
		const end = at + length;
		const equals = bytes.indexOf(0x3d, space);
		if (end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a) throw bad('a PAX record is broken');
		const key = bytes.toString('latin1', space + 1, equals);
		const value = bytes.subarray(equals + 1, end - 1);
		// An empty value takes an earlier one away.
		if (value.length === 0 && !key.startsWith('SCHILY.xattr.')) records.delete(key);
		else records.set(key, value);
		if (records.size > 1000) throw bad('an entry has more than 1000 records');
		at = end;
	}
	return records;
}
