import { ProcDirectory } from '../proc/proc-directory.js';
import { ProcFile, type ProcText } from '../proc/proc-file.js';
import type { PseudoFileSystem } from '../proc/pseudo-file-system.js';

/** Every file of sysfs says that it is so large. */
export const SYSFS_FILE_BYTES = 4096;

/** A file of sysfs has the size of a page, whatever its content. */
class SysFile extends ProcFile {
	override get sizeBytes(): number {
		return SYSFS_FILE_BYTES;
	}
}

/** What directories and files of a sysfs are made by. */
export class SysTree {
	constructor(readonly fs: PseudoFileSystem) {}

	directory(permissions = 0o755): ProcDirectory {
		return new ProcDirectory(this.fs, permissions);
	}

	/** A read-only file; a string is its content for good. */
	file(content: string | ProcText): SysFile {
		return new SysFile(this.fs, this.fs.allocateInos(1), 0o444, typeof content === 'string' ? () => content : content);
	}

	/** A directory of files with fixed contents; a newline is put behind each. */
	files(contents: Readonly<Record<string, string | number>>): ProcDirectory {
		const directory = this.directory();
		for (const [name, content] of Object.entries(contents)) directory.add(name, this.file(`${content}\n`));
		return directory;
	}
}
