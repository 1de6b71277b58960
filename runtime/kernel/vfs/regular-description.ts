import { EINVAL } from '../abi/errno.js';
import { SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET } from '../abi/fcntl.js';
import { FileDescription } from './file-description.js';
import type { FileState } from './file-state.js';
import type { Inode } from './inode.js';
import type { Path } from './path.js';

/** An open regular file: its bytes have positions, an end, and maybe holes between them. */
export abstract class RegularDescription extends FileDescription {
	/** Whose writer it is; null when it isn't one. */
	private readonly written: FileState | null;

	/** `isOpened`: by open(2). A new memfd's first description writes, but may be executed meanwhile. */
	constructor(path: Path, inode: Inode, flags: number, isOpened: boolean) {
		super(path, inode, flags);
		this.written = isOpened && this.isWritable ? inode.takeState() : null;
		if (this.written !== null) this.written.writers++;
	}

	protected override close(): void {
		if (this.written !== null) this.written.writers--;
	}

	/** The last position that there can be. */
	protected abstract readonly maxPosition: number;
	/** Where the file ends, or -errno. */
	protected abstract endPosition(): number;
	/** Where the first data (SEEK_DATA) or hole (SEEK_HOLE) from `offset` on begins, or -errno: ENXIO when there is none. */
	protected abstract seekExtent(offset: number, whence: typeof SEEK_DATA | typeof SEEK_HOLE): number;

	override get isSeekable(): boolean {
		return true;
	}

	/** lseek(2). Errors: EINVAL, and those of `endPosition` and `seekExtent`. */
	override seek(offset: number, whence: number): number {
		let target = offset;
		switch (whence) {
			case SEEK_SET:
				break;
			case SEEK_CUR:
				target += this.offset;
				break;
			case SEEK_END: {
				const end = this.endPosition();
				if (end < 0) return end;
				target += end;
				break;
			}
			case SEEK_DATA:
			case SEEK_HOLE:
				target = this.seekExtent(offset, whence);
				if (target < 0) return target;
				break;
			default:
				return -EINVAL;
		}
		if (target < 0 || target > this.maxPosition) return -EINVAL;
		this.offset = target;
		return target;
	}
}
