import { EINVAL, EIO } from '../../../abi/errno.js';
import { SEEK_CUR, SEEK_SET } from '../../../abi/fcntl.js';
import { S_IFREG } from '../../../abi/stat-constants.js';
import { PAGE_ENTRY_BYTES, PageMap } from '../../../task/page-map.js';
import type { Task } from '../../../task/task.js';
import { isStill } from '../../../task/trace-access.js';
import type { IoVector } from '../../../trap/guest-memory.js';
import { AT_OFFSET, FileDescription } from '../../../vfs/file-description.js';
import type { Path } from '../../../vfs/path.js';
import { PseudoInode } from '../pseudo-inode.js';
import { checkInspect, type ProcessTarget } from './process-target.js';

const chunk = Buffer.alloc(64 << 10);

/** /proc/PID/pagemap, proc_pid_pagemap(5), as Linux shows it to a reader without CAP_SYS_ADMIN: which pages are there, but not where. */
export class PageMapFile extends PseudoInode {
	constructor(
		ino: number,
		private readonly target: ProcessTarget,
	) {
		super(target.fs, ino, S_IFREG | 0o400, target.fileOwner);
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		const denied = checkInspect(task, this.target);
		return denied < 0 ? denied : new PageMapDescription(path, this, this.target, flags);
	}
}

class PageMapDescription extends FileDescription {
	/** The program whose memory it is: after an exec there is nothing left to read. */
	private readonly incarnation: number;

	constructor(
		path: Path,
		inode: PageMapFile,
		private readonly target: ProcessTarget,
		flags: number,
	) {
		super(path, inode, flags);
		this.incarnation = target.group.incarnation;
	}

	override get isSeekable(): boolean {
		return true;
	}

	override seek(offset: number, whence: number): number {
		const to = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.offset + offset : -1;
		if (to < 0) return -EINVAL;
		this.offset = to;
		return to;
	}

	override read(_task: Task, vector: IoVector, position: number): number {
		const { group, tid } = this.target;
		const start = position === AT_OFFSET ? this.offset : position;
		if (start % PAGE_ENTRY_BYTES !== 0 || vector.length % PAGE_ENTRY_BYTES !== 0) return -EINVAL;
		if (group.isDead || group.incarnation !== this.incarnation) return 0;
		const pageMap = new PageMap(group.pid, tid);
		let done = pageMap.isOpen && isStill(group) ? 0 : -EIO;
		while (done >= 0 && vector.remaining > 0) {
			const got = pageMap.read(chunk, Math.min(chunk.length, vector.remaining), start + done);
			if (got <= 0) {
				if (done === 0) done = got;
				break;
			}
			const moved = vector.copyOut(chunk, 0, got);
			if (moved <= 0 && done === 0) done = moved;
			if (moved <= 0) break;
			done += moved;
		}
		pageMap.close();
		if (position === AT_OFFSET && done > 0) this.offset += done;
		return done;
	}
}
