import { ENOENT } from '../../abi/errno.js';
import { DT_DIR } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import { DirectoryDescription } from '../../vfs/directory-description.js';
import { direntType } from '../../vfs/dirent-type.js';
import type { DirectorySink } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import type { TmpDirectory } from './tmp-directory.js';

/** An open directory of a tmpfs. Its offset is the cookie of the entry that was read last: 0 for none, 1 for ".", 2 for "..". */
export class TmpDirectoryDescription extends DirectoryDescription {
	constructor(
		path: Path,
		override readonly inode: TmpDirectory,
		flags: number,
	) {
		super(path, inode, flags);
	}

	override sync(): number {
		return 0;
	}

	override readDirectory(_task: Task, sink: DirectorySink): number {
		const directory = this.inode;
		if (directory.isRemoved) return -ENOENT;
		directory.touchAccess(this.path, this.flags);
		if (this.offset < 1) {
			if (!sink.entry(directory.ino, 1, DT_DIR, '.')) return 0;
			this.offset = 1;
		}
		if (this.offset < 2) {
			if (!sink.entry((directory.parent ?? directory).ino, 2, DT_DIR, '..')) return 0;
			this.offset = 2;
		}
		for (let index = directory.indexBehind(this.offset); ; index++) {
			const entry = directory.entryAt(index);
			if (entry === undefined) return 0;
			if (entry === null) continue;
			if (!sink.entry(entry.inode.ino, entry.cookie, direntType(entry.inode.mode), entry.name)) return 0;
			this.offset = entry.cookie;
		}
	}
}
