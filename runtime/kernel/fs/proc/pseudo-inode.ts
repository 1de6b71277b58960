import { EPERM } from '../../abi/errno.js';
import { Inode } from '../../vfs/inode.js';
import type { Stat } from '../../vfs/stat.js';
import type { PseudoFileSystem } from './pseudo-file-system.js';

/** Who owns a file, asked anew each time: a process's files follow its credentials. */
export interface Owner {
	readonly uid: number;
	readonly gid: number;
	/** Wall-clock seconds for the file's times. */
	readonly timeSec: number;
}

/** A file of proc or sysfs: root's unless it has another owner, never changed from outside. */
export abstract class PseudoInode extends Inode {
	declare readonly fs: PseudoFileSystem;

	constructor(
		fs: PseudoFileSystem,
		ino: number,
		override readonly mode: number,
		/** Null: root. */
		protected readonly owner: Owner | null,
	) {
		super(fs, ino);
	}

	override get uid(): number {
		return this.owner?.uid ?? 0;
	}
	override get gid(): number {
		return this.owner?.gid ?? 0;
	}

	/** st_nlink. */
	get linkCount(): number {
		return 1;
	}
	/** st_size. */
	get sizeBytes(): number {
		return 0;
	}

	override stat(out: Stat): number {
		const timeSec = this.owner?.timeSec ?? this.fs.createdSec;
		out.dev = this.fs.dev;
		out.ino = this.ino;
		out.mode = this.mode;
		out.nlink = this.linkCount;
		out.uid = this.uid;
		out.gid = this.gid;
		out.rdev = 0;
		out.sizeBytes = this.sizeBytes;
		out.blockSizeBytes = this.fs.blockSizeBytes;
		out.blocks = 0;
		out.atimeSec = out.mtimeSec = out.ctimeSec = out.btimeSec = timeSec;
		out.atimeNsec = out.mtimeNsec = out.ctimeNsec = out.btimeNsec = 0;
		return 0;
	}

	override create(..._: Parameters<Inode['create']>): Inode | number {
		return this.fs.createError;
	}
	override createUnnamed(): number {
		return this.fs.createError;
	}
	override mkdir(): number {
		return this.fs.linkError;
	}
	override mknod(): number {
		return this.fs.linkError;
	}
	override symlink(): number {
		return this.fs.linkError;
	}
	override link(): number {
		return this.fs.linkError;
	}
	override unlink(..._: Parameters<Inode['unlink']>): number {
		return -EPERM;
	}
	override rmdir(): number {
		return -EPERM;
	}
	override rename(): number {
		return -EPERM;
	}
	/** O_TRUNC of a writable file is harmless, and what shells do. */
	override truncate(): number {
		return 0;
	}
}
