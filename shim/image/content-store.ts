import { createReadStream, type ReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../runtime/host-error.js';
import { hashFor, isDigest, verifyBytes, verifyHash } from './digest.js';

/** Where the bytes of a blob come from, from `offset` on; what it yields may start at 0 all the same, and then it says so by `restarted`. */
export interface BlobSource {
	readonly chunks: AsyncIterable<Uint8Array>;
	/** The source could not begin at the offset and sends everything again. */
	readonly isRestarted: boolean;
}

/**
 * Blobs on disk by the digest of their bytes: `blobs/sha256/HEX`, and `ingest/sha256-HEX` while they arrive. A blob has its name only once
 * all of it is on disk and has the digest, so that a kill -9 at any moment leaves blobs that are whole, and the beginnings of others, from
 * which the next `ingest` goes on. One process owns the folder.
 */
export class ContentStore {
	/** Blobs that arrive now, so that two that want one share it. */
	private readonly arriving = new Map<string, Promise<void>>();
	private unnamed = 0;

	private constructor(private readonly root: string) {}

	static async open(root: string): Promise<ContentStore> {
		for (const folder of ['blobs/sha256', 'blobs/sha512', 'ingest']) await mkdir(join(root, folder), { recursive: true, mode: 0o700 });
		return new ContentStore(root);
	}

	/** The file of a blob, there or not. */
	path(digest: string): string {
		if (!isDigest(digest)) throw new HostError(`Find the blob ${digest}: it is no digest`, 'EINVAL');
		const colon = digest.indexOf(':');
		return join(this.root, 'blobs', digest.slice(0, colon), digest.slice(colon + 1));
	}

	/** Bytes of a blob; null when it is not there. */
	async size(digest: string): Promise<number | null> {
		try {
			return (await stat(this.path(digest))).size;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
			throw HostError.from(`Look for the blob ${digest}`, error);
		}
	}

	/** A small blob whole; its digest is checked again, for the disk may have changed. Throws ENOENT, and EBADMSG: then it is removed, to be fetched anew. */
	async read(digest: string, maxBytes: number): Promise<Buffer> {
		const size = await this.size(digest);
		if (size === null) throw new HostError(`Read the blob ${digest}`, 'ENOENT');
		if (size > maxBytes) throw new HostError(`Read the blob ${digest}: it has ${size} bytes, want at most ${maxBytes}`, 'EFBIG');
		const bytes = await readFile(this.path(digest));
		try {
			verifyBytes(bytes, digest, `the blob ${digest} on disk`);
		} catch (error) {
			await this.remove(digest);
			throw error;
		}
		return bytes;
	}

	stream(digest: string): ReadStream {
		return createReadStream(this.path(digest), { highWaterMark: 1 << 18 });
	}

	/** Stores bytes that are in memory. */
	async write(digest: string, bytes: Uint8Array): Promise<void> {
		verifyBytes(bytes, digest, `the blob ${digest}`);
		await this.ingest(digest, bytes.length, () => Promise.resolve({ chunks: oneChunk(bytes), isRestarted: true }));
	}

	/**
	 * Makes the blob be there: takes what is missing from `source(offset)`, where `offset` bytes are on disk already. More than `size` bytes, or
	 * fewer, or others than the digest's, are EBADMSG, and nothing of them is kept. When the source breaks, what came is kept for the next try.
	 * With a full disk (ENOSPC) the beginning is given up, so that there is room to do something about it; no other blob suffers.
	 */
	async ingest(digest: string, size: number, source: (offset: number) => Promise<BlobSource>): Promise<void> {
		const other = this.arriving.get(digest);
		if (other !== undefined) {
			// When the other one fails it is this one's turn, with its own source.
			const isDone = await other.then(
				() => true,
				() => false,
			);
			return isDone ? undefined : this.ingest(digest, size, source);
		}
		const arrival = this.ingestAlone(digest, size, source);
		this.arriving.set(digest, arrival);
		try {
			await arrival;
		} finally {
			this.arriving.delete(digest);
		}
	}

	private async ingestAlone(digest: string, size: number, source: (offset: number) => Promise<BlobSource>): Promise<void> {
		if ((await this.size(digest)) === size) return;
		const part = join(this.root, 'ingest', digest.replace(':', '-'));
		const step = `Store the blob ${digest}`;
		let file: FileHandle | undefined;
		let isKept = false;
		try {
			file = await open(part, 'a+', 0o600);
			let length = (await file.stat()).size;
			if (length > size) {
				await file.truncate(0);
				length = 0;
			}
			const isResumed = length > 0;
			let hash = hashFor(digest);
			if (isResumed) for await (const chunk of file.createReadStream({ start: 0, autoClose: false })) hash.update(chunk as Buffer);
			if (length < size || size === 0) {
				isKept = true;
				const { chunks, isRestarted } = await source(length);
				if (isRestarted && length > 0) {
					await file.truncate(0);
					length = 0;
					hash = hashFor(digest);
				}
				for await (const chunk of chunks) {
					length += chunk.length;
					if (length > size) {
						isKept = false;
						throw new HostError(`${step}: more than its ${size} bytes came`, 'EBADMSG');
					}
					hash.update(chunk);
					isKept = false;
					await file.appendFile(chunk);
					isKept = true;
				}
				if (length < size) throw new HostError(`${step}: ${length} of ${size} bytes came`, 'EPIPE');
			}
			isKept = false;
			verifyHash(hash, digest, isResumed ? `a blob of which ${length} bytes came in parts` : 'a blob that came');
			await file.sync();
			await rename(part, this.path(digest));
			await syncFolder(join(this.path(digest), '..'));
		} catch (error) {
			if (!isKept) await rm(part, { force: true });
			throw HostError.from(step, error);
		} finally {
			await file?.close();
		}
	}

	/** Stores what has no name yet, up to `maxBytes`. */
	async ingestUnnamed(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<{ readonly digest: string; readonly size: number }> {
		const part = join(this.root, 'ingest', `unnamed-${process.pid}-${this.unnamed++}`);
		const step = 'Store a blob';
		const file = await open(part, 'wx', 0o600);
		try {
			const hash = hashFor('sha256:');
			let size = 0;
			for await (const chunk of chunks) {
				size += chunk.length;
				if (size > maxBytes) throw new HostError(`${step}: more than ${maxBytes} bytes came`, 'EFBIG');
				hash.update(chunk);
				await file.appendFile(chunk);
			}
			await file.sync();
			const digest = `sha256:${hash.digest('hex')}`;
			await rename(part, this.path(digest));
			await syncFolder(join(this.path(digest), '..'));
			return { digest, size };
		} catch (error) {
			await rm(part, { force: true });
			throw HostError.from(step, error);
		} finally {
			await file.close();
		}
	}

	async list(): Promise<{ readonly digest: string; readonly sizeBytes: number }[]> {
		const found = [];
		for (const algorithm of ['sha256', 'sha512'])
			for (const name of await readdir(join(this.root, 'blobs', algorithm))) {
				const digest = `${algorithm}:${name}`;
				const sizeBytes = isDigest(digest) ? await this.size(digest) : null;
				if (sizeBytes !== null) found.push({ digest, sizeBytes });
			}
		return found;
	}

	async remove(digest: string): Promise<void> {
		await rm(this.path(digest), { force: true });
	}

	/** Removes the beginnings of blobs. Nothing may arrive meanwhile. */
	async removeBeginnings(): Promise<void> {
		for (const name of await readdir(join(this.root, 'ingest'))) await rm(join(this.root, 'ingest', name), { force: true });
	}
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield await Promise.resolve(bytes);
}

/** Makes the names in a folder last. */
export async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, 'r');
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

/** Writes a file whole or not at all: a new one beside it, on disk, then the name. */
export async function writeAtomically(path: string, text: string): Promise<void> {
	const fresh = `${path}.new`;
	try {
		const file = await open(fresh, 'w', 0o600);
		try {
			await file.writeFile(text);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(fresh, path);
	} catch (error) {
		await rm(fresh, { force: true });
		throw HostError.from(`Write ${path}`, error);
	}
	await syncFolder(join(path, '..'));
}
