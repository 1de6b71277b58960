import { S_IFMT } from '../abi/stat-constants.js';
import { type FileSystem, Inode } from './inode.js';

/** An inode whose mode and owner are in no tree of the host's and have no times to go with them: chmod(2) and chown(2) change what is here, and nothing else. */
export abstract class OwnedInode extends Inode {
	constructor(
		fs: FileSystem,
		ino: number,
		/** Type and permission bits. */
		public mode: number,
		public uid: number,
		public gid: number,
	) {
		super(fs, ino);
	}

	override chmod(mode: number): number {
		this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
		return 0;
	}

	override chown(uid: number, gid: number): number {
		if (uid !== -1) this.uid = uid;
		if (gid !== -1) this.gid = gid;
		return 0;
	}
}
