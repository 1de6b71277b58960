import { EINVAL, EIO, ENOMEM } from '../../abi/errno.js';
import { SEEK_CUR, SEEK_SET } from '../../abi/fcntl.js';
import type { Task } from '../../task/task.js';
import type { IoVector } from '../../trap/guest-memory.js';
import { AT_OFFSET, FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { ProcFile } from './proc-file.js';
import { retain } from './snapshots.js';

/** Longest text that a write hands to a file: a page, as sysctls take. */
const MAX_WRITE_BYTES = 4096;
/** A longer snapshot is dropped when its end has been read, as few read it again. */
const SMALL_BYTES = 4096;

const written = Buffer.alloc(MAX_WRITE_BYTES);

/** An open text file: its content is made by the first read, and again by each read at its start (Linux: seq_file). */
export class ProcFileDescription extends FileDescription {
	private content: Buffer | null = null;

	constructor(
		path: Path,
		private readonly file: ProcFile,
		flags: number,
	) {
		super(path, file, flags);
	}

	override get isSeekable(): boolean {
		return true;
	}

	override read(task: Task, vector: IoVector, position: number): number {
		const at = position === AT_OFFSET ? this.offset : position;
		let content = this.content;
		if (content === null || at === 0) {
			const text = this.file.text(task);
			if (typeof text === 'number') return text;
			this.drop();
			if (!retain(text.length)) return -ENOMEM;
			content = this.content = Buffer.from(text, 'latin1');
		}
		if (at >= content.length) {
			if (content.length > SMALL_BYTES) this.drop();
			return 0;
		}
		const moved = vector.copyOut(content, at, Math.min(content.length - at, vector.remaining));
		if (moved > 0 && position === AT_OFFSET) this.offset += moved;
		return moved;
	}

	override write(task: Task, vector: IoVector, position: number): number {
		const { setter } = this.file;
		if (setter === null) return this.file.isProcessFile ? -EINVAL : -EIO;
		const length = Math.min(vector.remaining, MAX_WRITE_BYTES);
		const got = vector.copyIn(written, 0, length);
		if (got < 0) return got;
		const taken = setter(task, written.latin1Slice(0, got));
		if (taken > 0 && position === AT_OFFSET) this.offset += taken;
		return taken;
	}

	override seek(offset: number, whence: number): number {
		const to = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.offset + offset : -1;
		if (to < 0) return -EINVAL;
		this.offset = to;
		return to;
	}

	protected override close(): void {
		this.drop();
	}

	private drop(): void {
		if (this.content !== null) retain(-this.content.length);
		this.content = null;
	}
}
