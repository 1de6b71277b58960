import type { FileState } from '../vfs/file-state.js';
import type { Inode } from '../vfs/inode.js';
import type { Path } from '../vfs/path.js';

/** A program that a process runs, or is about to: nobody opens its file for writing until it is released. */
export class RunningProgram {
	private state: FileState | null;

	constructor(readonly path: Path) {
		this.state = path.dentry.inode?.takeState() ?? null;
		if (this.state !== null) this.state.runners++;
	}

	release(): void {
		if (this.state !== null) this.state.runners--;
		this.state = null;
	}
}

/** Does a process run the program that is in this file? Nobody opens it for writing meanwhile: ETXTBSY. */
export function isRunning(inode: Inode): boolean {
	return inode.isRegular && (inode.findState()?.runners ?? 0) > 0;
}

/** Is the file open for writing? Nobody executes it meanwhile: ETXTBSY. */
export function isBeingWritten(inode: Inode): boolean {
	return (inode.findState()?.writers ?? 0) > 0;
}
