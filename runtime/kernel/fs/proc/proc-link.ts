import { ELOOP } from '../../abi/errno.js';
import { S_IFLNK } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import type { Path } from '../../vfs/path.js';
import type { PseudoFileSystem } from './pseudo-file-system.js';
import { type Owner, PseudoInode } from './pseudo-inode.js';

export interface ProcLinkOptions {
	readonly owner?: Owner | null;
	/** Permission bits: 0777 unless it is a descriptor's link. */
	readonly permissions?: number;
	readonly sizeBytes?: number;
	/** Where a magic link leads; without it the link is an ordinary one. */
	readonly jump?: (follower: Task) => Path | number;
}

/** A symlink whose text a function makes; a magic link leads to a place whatever its text says (proc(5), symlink(7)). */
export class ProcLink extends PseudoInode {
	private readonly target: ((follower: Task) => Path | number) | null;
	private readonly size: number;

	constructor(
		fs: PseudoFileSystem,
		ino: number,
		private readonly text: (reader: Task) => string | number,
		options: ProcLinkOptions = {},
	) {
		super(fs, ino, S_IFLNK | (options.permissions ?? 0o777), options.owner ?? null);
		this.target = options.jump ?? null;
		this.size = options.sizeBytes ?? 0;
	}

	override get sizeBytes(): number {
		return this.size;
	}

	override readlink(task: Task): string | number {
		return this.text(task);
	}

	override jump(task: Task): Path | null | number {
		return this.target === null ? null : this.target(task);
	}

	override open(): number {
		return -ELOOP;
	}
}
