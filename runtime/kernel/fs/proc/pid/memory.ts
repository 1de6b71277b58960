import { EINVAL, EIO } from '../../../abi/errno.js';
import { SEEK_CUR, SEEK_SET } from '../../../abi/fcntl.js';
import { TASK_SIZE } from '../../../abi/limits.js';
import { S_IFREG } from '../../../abi/stat-constants.js';
import { RemoteMemory } from '../../../task/remote-memory.js';
import type { Task } from '../../../task/task.js';
import type { IoVector } from '../../../trap/guest-memory.js';
import { AT_OFFSET, FileDescription } from '../../../vfs/file-description.js';
import type { Path } from '../../../vfs/path.js';
import { PseudoInode } from '../pseudo-inode.js';
import { checkInspect, type ProcessTarget } from './process-target.js';

const chunk = Buffer.alloc(64 << 10);

/** /proc/PID/mem, proc_pid_mem(5): the process's memory, by address. What the process itself may not write can't be written here either. */
export class MemoryFile extends PseudoInode {
	constructor(
		ino: number,
		private readonly target: ProcessTarget,
	) {
		super(target.fs, ino, S_IFREG | 0o600, target.fileOwner);
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		const denied = checkInspect(task, this.target);
		return denied < 0 ? denied : new MemoryDescription(path, this, this.target, flags);
	}
}

class MemoryDescription extends FileDescription {
	/** The program whose memory it is: after an exec there is nothing left to read. */
	private readonly incarnation: number;

	constructor(
		path: Path,
		inode: MemoryFile,
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
		return this.move(vector, position, (memory, address, length) => {
			const got = memory.read(address, chunk, length);
			return got <= 0 ? got : vector.copyOut(chunk, 0, got);
		});
	}

	override write(_task: Task, vector: IoVector, position: number): number {
		return this.move(vector, position, (memory, address, length) => {
			const allowed = memory.writable(address, length);
			const got = allowed <= 0 ? allowed : vector.copyIn(chunk, 0, allowed);
			return got <= 0 ? got : memory.write(address, chunk, got);
		});
	}

	private move(vector: IoVector, position: number, transfer: (memory: RemoteMemory, address: number, length: number) => number): number {
		const { group } = this.target;
		if (group.isDead || group.incarnation !== this.incarnation) return 0;
		const start = position === AT_OFFSET ? this.offset : position;
		const memory = new RemoteMemory(group);
		let done = 0;
		while (vector.remaining > 0) {
			const address = start + done;
			const length = Math.min(chunk.length, vector.remaining, TASK_SIZE - address);
			const moved = length > 0 ? transfer(memory, address, length) : -EIO;
			if (moved <= 0) break;
			done += moved;
			if (moved < length) break;
		}
		memory.close();
		if (done === 0 && vector.length > 0) return -EIO;
		if (position === AT_OFFSET) this.offset += done;
		return done;
	}
}
