import { EINVAL, EISDIR } from '../abi/errno.js';
import { SEEK_CUR, SEEK_SET } from '../abi/fcntl.js';
import { FileDescription } from './file-description.js';

/** An open directory: its offset is where the next entry is looked for, in numbers of the file system's own, from 0 for the first. */
export abstract class DirectoryDescription extends FileDescription {
	override get isSeekable(): boolean {
		return true;
	}

	override read(): number {
		return -EISDIR;
	}

	/** lseek(2). Errors: EINVAL for a place before the first entry, and for those that count from the end, which no directory here knows. */
	override seek(offset: number, whence: number): number {
		const target = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.offset + offset : -1;
		if (target < 0) return -EINVAL;
		this.offset = target;
		return target;
	}
}
