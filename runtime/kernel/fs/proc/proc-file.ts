import { S_IFREG } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { Path } from '../../vfs/path.js';
import { ProcFileDescription } from './proc-file-description.js';
import type { PseudoFileSystem } from './pseudo-file-system.js';
import { type Owner, PseudoInode } from './pseudo-inode.js';

/** Makes a file's content for the task that reads it: a byte string, or -errno. */
export type ProcText = (reader: Task) => string | number;
/** Takes what a task has written: bytes taken, or -errno. */
export type ProcSetter = (writer: Task, text: string) => number;

/** May the task open the file? 0 or -errno. Beyond what the mode bits say. */
export type ProcGuard = (opener: Task) => number;

export interface ProcFileOptions {
	/** Null or absent: root. */
	readonly owner?: Owner | null;
	readonly setter?: ProcSetter;
	readonly guard?: ProcGuard;
}

/** A text file that a function makes. */
export class ProcFile extends PseudoInode {
	/** Null: nothing can be written, whatever the mode says. */
	readonly setter: ProcSetter | null;
	private readonly guard: ProcGuard | null;

	constructor(
		fs: PseudoFileSystem,
		ino: number,
		permissions: number,
		readonly text: ProcText,
		options: ProcFileOptions = {},
	) {
		super(fs, ino, S_IFREG | permissions, options.owner ?? null);
		this.setter = options.setter ?? null;
		this.guard = options.guard ?? null;
	}

	/** One of a process's files, which refuse a write with another error than the rest. */
	get isProcessFile(): boolean {
		return this.owner !== null;
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		const denied = this.guard === null ? 0 : this.guard(task);
		return denied < 0 ? denied : new ProcFileDescription(path, this, flags);
	}
}
