import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { HostError } from '../../runtime/host-error.js';

/** zstd's own default for decoders, `--memory`: a frame that needs a larger window is refused. */
const ZSTD_MEMORY = '128MB';

/** What a layer's bytes are once they are unpacked: its first bytes decide, as media types lie. */
export async function* decompress(source: Readable): AsyncGenerator<Uint8Array> {
	const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
	let start: Buffer = Buffer.alloc(0);
	while (start.length < 4) {
		const { done, value } = await chunks.next();
		if (done === true) break;
		start = Buffer.concat([start, value]);
	}
	async function* all(): AsyncGenerator<Buffer> {
		yield start;
		for (;;) {
			const { done, value } = await chunks.next();
			if (done === true) return;
			yield value;
		}
	}
	try {
		if (start[0] === 0x1f && start[1] === 0x8b) yield* gunzip(all());
		// A frame, or a skippable one in front (RFC 8878, 3.1).
		else if (start.length >= 4 && (start.readUInt32LE(0) === 0xfd2fb528 || (start.readUInt32LE(0) & 0xfffffff0) >>> 0 === 0x184d2a50))
			yield* unzstd(all());
		else yield* all();
	} finally {
		source.destroy();
	}
}

async function* gunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
	const gunzip = createGunzip({ chunkSize: 1 << 17 });
	const finished = pipeline(source, gunzip).catch((error: unknown) => error);
	try {
		for await (const chunk of gunzip) yield chunk as Buffer;
	} catch (error) {
		throw broken(error);
	} finally {
		gunzip.destroy();
		await finished;
	}
	const failure = await finished;
	if (failure !== undefined) throw broken(failure);
}

/**
 * Node 20 has no zstd. The program `zstd` decodes in a process of its own, with bounded memory and off this thread, where a decoder in JavaScript
 * would spend this process's time on a hostile frame.
 */
async function* unzstd(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
	const child = spawn('zstd', ['--decompress', '--stdout', '--quiet', `--memory=${ZSTD_MEMORY}`], { stdio: ['pipe', 'pipe', 'pipe'] });
	let message = '';
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		if (message.length < 1000) message += text;
	});
	const ended = new Promise<Error | null>((resolve) => {
		child.once('error', resolve);
		child.once('close', (code, signal) => resolve(code === 0 ? null : new Error(message.trim() || `zstd ended with ${signal ?? code}`)));
	});
	// Its input breaks when it gives up; what it says then is better than EPIPE.
	const fed = pipeline(source, child.stdin).catch((error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? undefined : error));
	try {
		for await (const chunk of child.stdout) yield chunk as Buffer;
		const failure = (await ended) ?? (await fed);
		if (failure) throw broken(failure);
	} finally {
		child.kill('SIGKILL');
		child.stdin.destroy();
		await fed;
	}
}

function broken(error: unknown): HostError {
	if (error instanceof HostError) return error;
	const code = (error as NodeJS.ErrnoException).code ?? '';
	const message = error instanceof Error ? error.message : String(error);
	return new HostError(`Uncompress the layer: ${message}`, code === 'ENOENT' ? 'ENOENT' : 'EBADMSG', { cause: error });
}

/** Counts and hashes an uncompressed layer; more than `maxBytes` are EFBIG, so that a bomb ends early. */
export class LayerMeter {
	bytes = 0;
	private readonly hash = createHash('sha256');

	constructor(private readonly maxBytes: number) {}

	async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
		for await (const chunk of source) {
			this.bytes += chunk.length;
			if (this.bytes > this.maxBytes) throw new HostError(`Uncompress the layer: it has more than ${this.maxBytes} bytes`, 'EFBIG');
			this.hash.update(chunk);
			yield chunk;
		}
	}

	/** The diff_id; ends the hash. */
	digest(): string {
		return `sha256:${this.hash.digest('hex')}`;
	}
}
