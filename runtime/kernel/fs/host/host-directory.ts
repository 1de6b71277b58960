import { native } from '../../../native.js';
import { EINVAL } from '../../abi/errno.js';
import { SEEK_CUR, SEEK_SET } from '../../abi/fcntl.js';
import type { Task } from '../../task/task.js';
import { type DirectorySink, FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import type { HostInode } from './host-inode.js';

const BUFFER_BYTES = 32768;
const buffer = Buffer.alloc(BUFFER_BYTES);
const view = new DataView(buffer.buffer, buffer.byteOffset, BUFFER_BYTES);

/** Entry positions remembered per open directory: telldir(3) cookies that can be sought to. */
const MAX_COOKIES = 1 << 20;

/**
 * An open directory of a host tree. The guest's offsets are entry numbers: the host's own (63-bit hashes on ext4) don't fit a JavaScript number, so they
 * are kept by entry number, as two words, for seeking back.
 */
export class HostDirectory extends FileDescription {
	/** Host position behind entry i: words 2i (low), 2i + 1 (high). */
	private cookies = new Int32Array(64);
	private known = 0;
	/** Entry number that the host descriptor stands at. */
	private hostIndex = 0;

	constructor(
		path: Path,
		private readonly directory: HostInode,
		flags: number,
		/** Owned. */
		private readonly fd: number,
	) {
		super(path, directory, flags);
		directory.attach(fd);
	}

	protected override close(): void {
		this.directory.detach(this.fd);
		native.close(this.fd);
	}

	override get isSeekable(): boolean {
		return true;
	}

	override stat(out: Stat): number {
		return this.directory.stat(out);
	}

	override sync(isDataOnly: boolean): number {
		return native.fsync(this.fd, isDataOnly);
	}

	override seek(offset: number, whence: number): number {
		const target = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.offset + offset : -1;
		if (target < 0) return -EINVAL;
		this.offset = target;
		return target;
	}

	override readDirectory(_task: Task, sink: DirectorySink): number {
		if (this.offset === 0 || this.offset !== this.hostIndex) this.rewindTo(this.offset);
		for (;;) {
			const bytes = native.getdents64(this.fd, buffer);
			if (bytes <= 0) return bytes;
			for (let at = 0; at < bytes; at += view.getUint16(at + 16, true)) {
				const end = buffer.indexOf(0, at + 19);
				const ino = view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
				if (!sink.entry(ino, this.offset + 1, buffer[at + 18]!, buffer.latin1Slice(at + 19, end))) {
					this.rewindTo(this.offset);
					return 0;
				}
				this.remember(this.offset, view.getInt32(at + 8, true), view.getInt32(at + 12, true));
				this.offset++;
				this.hostIndex = this.offset;
			}
		}
	}

	/** Puts the host descriptor behind entry `index` - 1. */
	private rewindTo(index: number): void {
		this.hostIndex = index;
		if (index === 0) {
			native.lseek(this.fd, 0, SEEK_SET);
			return;
		}
		const at = Math.min(index, this.known) - 1;
		if (at < 0) return;
		native.lseekWords(this.fd, this.cookies[2 * at]!, this.cookies[2 * at + 1]!);
	}

	private remember(index: number, low: number, high: number): void {
		if (index >= MAX_COOKIES) return;
		if (2 * index + 1 >= this.cookies.length) {
			const grown = new Int32Array(this.cookies.length * 2);
			grown.set(this.cookies);
			this.cookies = grown;
		}
		this.cookies[2 * index] = low;
		this.cookies[2 * index + 1] = high;
		this.known = Math.max(this.known, index + 1);
	}
}
