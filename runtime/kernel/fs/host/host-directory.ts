import { native } from '../../../native.js';
import { SEEK_SET } from '../../abi/fcntl.js';
import type { Task } from '../../task/task.js';
import { DirectoryDescription } from '../../vfs/directory-description.js';
import type { DirectorySink } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { HostInode } from './host-inode.js';

const BUFFER_BYTES = 16384;
/** Host positions remembered per open directory. */
const MAX_CHECKPOINTS = 4096;

/** linux_dirent64: 8 bytes of inode number, 8 of position behind it, 2 of length, 1 of type, then the name. */
const D_OFF = 8;
const D_RECLEN = 16;
const D_TYPE = 18;
const D_NAME = 19;

/**
 * An open directory of a host tree.
 *
 * The host's positions are no numbers that JavaScript holds exactly (ext4: 63-bit hashes), so the guest's are entry numbers: how many entries lie before. The
 * host position of every `stride`th entry is remembered as two words; seeking goes to the nearest one below and passes over the rest. Going on where the
 * last call ended, which is nearly all that programs do, needs no seeking.
 */
export class HostDirectory extends DirectoryDescription {
	/** The host's descriptor for reading entries, opened by the first read; -1 before. Owned. */
	private fd = -1;
	/** Entries read ahead: null when none are. */
	private buffer: Buffer | null = null;
	private at = 0;
	private end = 0;
	/** Number of the entry at `at`; -1: the host descriptor's position must be set first. */
	private index = 0;
	/** Host positions of entries 0, stride, 2 * stride, …: low and high words in turn. */
	private checkpoints = new Uint32Array(16);
	private checkpointCount = 1;
	private stride = 1;

	constructor(
		path: Path,
		override readonly inode: HostInode,
		flags: number,
	) {
		super(path, inode, flags);
	}

	protected override close(): void {
		if (this.fd >= 0) native.close(this.fd);
		this.buffer = null;
	}

	override seek(offset: number, whence: number): number {
		const target = super.seek(offset, whence);
		// rewinddir(3) must show what has changed, so that what was read ahead is dropped even if the position stays.
		if (whence === SEEK_SET && target >= 0) this.index = -1;
		return target;
	}

	override sync(isDataOnly: boolean): number {
		const error = this.openHost();
		return error < 0 ? error : native.fsync(this.fd, isDataOnly);
	}

	override readDirectory(_task: Task, sink: DirectorySink): number {
		let error = this.openHost();
		if (error < 0) return error;
		if (this.index !== this.offset) {
			error = this.goTo(this.offset);
			if (error < 0) return error;
		}
		for (;;) {
			const bytes = this.at < this.end ? this.end - this.at : this.fill();
			if (bytes <= 0) return bytes;
			const buffer = this.buffer!;
			while (this.at < this.end) {
				const { at } = this;
				const nameEnd = buffer.indexOf(0, at + D_NAME);
				if (!sink.entry(inodeNumber(buffer, at), this.index + 1, buffer[at + D_TYPE]!, buffer.latin1Slice(at + D_NAME, nameEnd))) return 0;
				this.advance(buffer);
				this.offset = this.index;
			}
		}
	}

	private openHost(): number {
		if (this.fd >= 0) return 0;
		const fd = this.inode.openEntries();
		if (fd < 0) return fd;
		this.fd = fd;
		return 0;
	}

	/** Reads ahead: bytes, 0 at the end, -errno (ENOENT: the directory was removed). */
	private fill(): number {
		this.buffer ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
		const bytes = native.getdents64(this.fd, this.buffer);
		this.at = 0;
		this.end = Math.max(bytes, 0);
		if (bytes <= 0) this.buffer = null;
		return bytes;
	}

	/** Past the entry at `at`, whose end may be one to remember. */
	private advance(buffer: Buffer): void {
		const { at } = this;
		this.at += buffer.readUInt16LE(at + D_RECLEN);
		this.index++;
		if (this.index === this.checkpointCount * this.stride)
			this.remember(buffer.readUInt32LE(at + D_OFF), buffer.readUInt32LE(at + D_OFF + 4));
	}

	private remember(low: number, high: number): void {
		if (this.checkpointCount === MAX_CHECKPOINTS) {
			// Every other one is forgotten.
			for (let i = 1; i < MAX_CHECKPOINTS / 2; i++) {
				this.checkpoints[2 * i] = this.checkpoints[4 * i]!;
				this.checkpoints[2 * i + 1] = this.checkpoints[4 * i + 1]!;
			}
			this.checkpointCount /= 2;
			this.stride *= 2;
		}
		if (2 * this.checkpointCount === this.checkpoints.length) {
			const grown = new Uint32Array(this.checkpoints.length * 2);
			grown.set(this.checkpoints);
			this.checkpoints = grown;
		}
		this.checkpoints[2 * this.checkpointCount] = low;
		this.checkpoints[2 * this.checkpointCount + 1] = high;
		this.checkpointCount++;
	}

	/** Makes entry `target` the next one; beyond the end, the end. */
	private goTo(target: number): number {
		if (target === 0) {
			// What lay where belongs to the last reading.
			this.checkpointCount = 1;
			this.stride = 1;
		}
		const nearest = Math.min(Math.floor(target / this.stride), this.checkpointCount - 1);
		const error = native.seekDirectory(this.fd, this.checkpoints[2 * nearest]!, this.checkpoints[2 * nearest + 1]!);
		if (error < 0) return error;
		this.index = nearest * this.stride;
		this.at = this.end = 0;
		while (this.index < target) {
			if (this.at >= this.end) {
				const bytes = this.fill();
				if (bytes < 0) return bytes;
				if (bytes === 0) {
					this.index = target;
					return 0;
				}
			}
			this.advance(this.buffer!);
		}
		return 0;
	}
}

/** d_ino as stat tells it: what a number can't hold exactly is folded the same way as in the addon (FoldInodeNumber). */
function inodeNumber(buffer: Buffer, at: number): number {
	const low = buffer.readUInt32LE(at);
	const high = buffer.readUInt32LE(at + 4);
	if (high < 0x10_0000) return high * 0x1_0000_0000 + low;
	return ((high & 0xf_ffff) ^ ((high >>> 20) << 8)) * 0x1_0000_0000 + low;
}
