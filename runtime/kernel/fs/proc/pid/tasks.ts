import { native } from '../../../../native.js';
import { ENOENT } from '../../../abi/errno.js';
import { O_DIRECTORY } from '../../../abi/fcntl.js';
import { DT_DIR } from '../../../abi/stat-constants.js';
import type { Task } from '../../../task/task.js';
import type { DirectorySink, FileDescription } from '../../../vfs/file-description.js';
import type { Inode } from '../../../vfs/inode.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc-directory.js';
import { numberName } from './descriptors.js';
import type { ProcessTarget } from './process-target.js';

const AT_FDCWD = -100;
const listing = Buffer.alloc(32 << 10);

/** /proc/PID/task, proc_pid_task(5): a directory for each thread. */
export class TasksDirectory extends PseudoDirectory {
	constructor(
		ino: number,
		private readonly target: ProcessTarget,
	) {
		super(target.fs, ino, 0o555, target.directoryOwner);
	}

	override get linkCount(): number {
		return 2 + this.target.group.tasks.size;
	}

	override lookup(name: string): Inode | number {
		const { group, fs } = this.target;
		const id = numberName(name);
		if (id <= 0 || group.isDead) return -ENOENT;
		const tid = group.container.outsideId(id, true);
		if (tid <= 0) return -ENOENT;
		if (!group.tasks.has(tid) && !threadsOf(this.target).includes(tid)) return -ENOENT;
		return fs.directoryOf(group, tid, true);
	}

	/** Offsets are thread ids, so that a thread's end moves no other. */
	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		const { group, fs } = this.target;
		if (group.isDead) return -ENOENT;
		const inside: [id: number, tid: number][] = [];
		for (const tid of threadsOf(this.target)) {
			const id = group.container.insideId(tid, true);
			if (id > 0 && id + FIRST_ENTRY > description.offset) inside.push([id, tid]);
		}
		inside.sort((one, other) => one[0] - other[0]);
		for (const [id, tid] of inside) {
			const offset = id + FIRST_ENTRY + 1;
			if (!sink.entry(fs.directoryOf(group, tid, true).ino, offset, DT_DIR, String(id))) return 0;
			description.offset = offset;
		}
		return 0;
	}
}

/** The tids of all threads, those that have never trapped included: the host's list; without it, the threads that are known. */
function threadsOf(target: ProcessTarget): number[] {
	const { group } = target;
	const fd = native.openat2(AT_FDCWD, `/proc/${group.pid}/task`, O_DIRECTORY, 0, 0);
	if (fd < 0) return [...group.tasks.keys()];
	const tids: number[] = [];
	for (;;) {
		const length = native.getdents64(fd, listing);
		if (length <= 0) break;
		for (let at = 0; at < length; at += listing.readUInt16LE(at + 16)) {
			const name = listing.latin1Slice(at + 19, listing.indexOf(0, at + 19));
			if (name !== '.' && name !== '..') tids.push(Number(name));
		}
	}
	native.close(fd);
	return tids;
}
