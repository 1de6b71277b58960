import { ELOOP } from '../../abi/errno.js';
import { S_IFLNK } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import { openSpecial } from '../open-special.js';
import type { TmpFileSystem } from './tmp-file-system.js';
import { TmpInode } from './tmp-inode.js';

/** A fifo, socket or device node of a tmpfs: a name for an object that the guest kernel has elsewhere. */
export class TmpSpecial extends TmpInode {
	constructor(
		fs: TmpFileSystem,
		mode: number,
		uid: number,
		gid: number,
		private readonly device: number,
	) {
		super(fs, mode, uid, gid);
	}

	override get sizeBytes(): number {
		return 0;
	}
	override get rdev(): number {
		return this.device;
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		return openSpecial(this, this.device, path, flags, task);
	}
}

/** A symlink of a tmpfs. */
export class TmpSymlink extends TmpInode {
	constructor(
		fs: TmpFileSystem,
		uid: number,
		gid: number,
		private readonly target: string,
	) {
		super(fs, S_IFLNK | 0o777, uid, gid);
	}

	override get sizeBytes(): number {
		return this.target.length;
	}

	override readlink(_task?: Task): string {
		return this.target;
	}

	override open(): number {
		return -ELOOP;
	}
}
