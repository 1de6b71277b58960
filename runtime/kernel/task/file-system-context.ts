import type { MountNamespace } from '../vfs/mount.js';
import type { Path } from '../vfs/path.js';

/** Root, working directory and umask of a process (Linux: fs_struct); shared by threads and by CLONE_FS. */
export class FileSystemContext {
	constructor(
		public root: Path,
		public cwd: Path,
		public umask: number,
		/** The tree of mounts it sees: who shares root and working directory shares that. */
		public mounts: MountNamespace,
	) {}

	copy(): FileSystemContext {
		return new FileSystemContext(this.root, this.cwd, this.umask, this.mounts);
	}
}
