import { ENOENT } from '../../../abi/errno.js';
import { DT_REG } from '../../../abi/stat-constants.js';
import type { Task } from '../../../task/task.js';
import type { DirectorySink, FileDescription } from '../../../vfs/file-description.js';
import type { Inode } from '../../../vfs/inode.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc-directory.js';
import type { ProcessTarget } from './process-target.js';

/** /proc/PID/net: the files that the network stack brings (proc_pid_net(5)); the same for all processes, which share one network. */
export class NetDirectory extends PseudoDirectory {
	constructor(
		ino: number,
		private readonly target: ProcessTarget,
	) {
		super(target.fs, ino, 0o555, null);
	}

	override lookup(name: string, _task: Task): Inode | number {
		return this.target.fs.netFiles.get(name) ?? -ENOENT;
	}

	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		let at = FIRST_ENTRY;
		for (const [name, inode] of this.target.fs.netFiles) {
			if (at++ < description.offset) continue;
			if (!sink.entry(inode.ino, at, DT_REG, name)) return 0;
			description.offset = at;
		}
		return 0;
	}
}
