import { EACCES } from '../../../abi/errno.js';
import { O_ACCMODE, O_RDONLY } from '../../../abi/fcntl.js';
import type { Task } from '../../../task/task.js';
import type { FileDescription } from '../../../vfs/file-description.js';
import type { Path } from '../../../vfs/path.js';
import { ProcFile, type ProcText } from '../proc-file.js';
import type { PseudoFileSystem } from '../pseudo-file-system.js';

/**
 * A file below /proc/sys. Its mode speaks of the machine's root, and a container's root, whatever its capabilities, is another user:
 * opening it to write is EACCES (Linux: sysctl_perm in a user namespace).
 */
export class SysctlFile extends ProcFile {
	constructor(fs: PseudoFileSystem, text: ProcText, permissions = 0o644) {
		super(fs, fs.allocateInos(1), permissions, text);
	}

	override truncate(): number {
		return -EACCES;
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		return (flags & O_ACCMODE) === O_RDONLY ? super.open(path, flags, task) : -EACCES;
	}
}
