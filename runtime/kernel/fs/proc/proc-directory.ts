import { ENOENT } from '../../abi/errno.js';
import { SEEK_END, SEEK_SET } from '../../abi/fcntl.js';
import { DT_DIR, S_IFDIR } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import { DirectoryDescription } from '../../vfs/directory-description.js';
import { direntType } from '../../vfs/dirent-type.js';
import type { DirectorySink, FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import type { Path } from '../../vfs/path.js';
import type { PseudoFileSystem } from './pseudo-file-system.js';
import { type Owner, PseudoInode } from './pseudo-inode.js';

/** Directory offsets of "." and "..": entries of the directory itself begin behind them. */
export const FIRST_ENTRY = 2;

/** A directory of proc or sysfs. */
export abstract class PseudoDirectory extends PseudoInode {
	constructor(fs: PseudoFileSystem, ino: number, permissions: number, owner: Owner | null) {
		super(fs, ino, S_IFDIR | permissions, owner);
	}

	override get linkCount(): number {
		return 2;
	}

	abstract override lookup(name: string, task: Task): Inode | number;

	/**
	 * Emits entries from `description.offset` (FIRST_ENTRY or more) on and advances it, until the sink is full or the end: 0, or -errno.
	 */
	abstract emit(task: Task, description: FileDescription, sink: DirectorySink): number;

	override open(path: Path, flags: number, _task: Task): FileDescription | number {
		return new PseudoDirectoryDescription(path, this, flags);
	}
}

class PseudoDirectoryDescription extends DirectoryDescription {
	constructor(
		path: Path,
		private readonly directory: PseudoDirectory,
		flags: number,
	) {
		super(path, directory, flags);
	}

	/** Unlike other directories: SEEK_END counts from 0 as SEEK_SET does. */
	override seek(offset: number, whence: number): number {
		return super.seek(offset, whence === SEEK_END ? SEEK_SET : whence);
	}

	override readDirectory(task: Task, sink: DirectorySink): number {
		if (this.offset === 0) {
			if (!sink.entry(this.directory.ino, 1, DT_DIR, '.')) return 0;
			this.offset = 1;
		}
		if (this.offset === 1) {
			const parent = this.path?.dentry.parent?.inode ?? this.directory;
			if (!sink.entry(parent.ino, FIRST_ENTRY, DT_DIR, '..')) return 0;
			this.offset = FIRST_ENTRY;
		}
		return this.directory.emit(task, this, sink);
	}
}

/** A directory whose entries never change. */
export class ProcDirectory extends PseudoDirectory {
	private readonly entries = new Map<string, Inode>();
	private readonly names: string[] = [];

	constructor(fs: PseudoFileSystem, permissions = 0o555) {
		super(fs, fs.allocateInos(1), permissions, null);
	}

	/** Only while the file system is made. */
	add(name: string, inode: Inode): this {
		this.entries.set(name, inode);
		this.names.push(name);
		return this;
	}

	get entryCount(): number {
		return this.names.length;
	}

	override lookup(name: string, _task: Task): Inode | number {
		return this.entries.get(name) ?? -ENOENT;
	}

	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		for (;;) {
			const name = this.names[description.offset - FIRST_ENTRY];
			if (name === undefined) return 0;
			const inode = this.entries.get(name)!;
			if (!sink.entry(inode.ino, description.offset + 1, direntType(inode.mode), name)) return 0;
			description.offset++;
		}
	}
}
