import { EMFILE, ENOENT, ENOSPC } from '../../abi/errno.js';
import { DT_REG } from '../../abi/stat-constants.js';
import { bounds } from '../../bounds.js';
import { acquireAccount } from '../../ipc/user-account.js';
import type { Task } from '../../task/task.js';
import type { DirectorySink, FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc/proc-directory.js';
import { PseudoFileSystem, SYSFS_ERRORS } from '../proc/pseudo-file-system.js';
import { PosixQueue, queueBytes } from './message-queue.js';

const MQUEUE_MAGIC = 0x19800202;
/** /proc/sys/fs/mqueue. */
export const MSG_DEFAULT = 10;
export const MSGSIZE_DEFAULT = 8192;
/** Bytes that queues of one user may count, when the limit of no process is at hand. */
const DEFAULT_QUEUE_BYTES = 819200;

/** The POSIX queues of an IPC namespace: what mq_open(3) names, and what a mount of type mqueue lists. */
export class MqueueFileSystem extends PseudoFileSystem {
	override readonly root: QueueDirectory;
	/** Bytes that all queues may hold. */
	reservedBytes = 0;

	constructor() {
		super('mqueue', MQUEUE_MAGIC, 4096, SYSFS_ERRORS.create, SYSFS_ERRORS.link);
		this.root = new QueueDirectory(this);
	}
}

class QueueDirectory extends PseudoDirectory {
	declare readonly fs: MqueueFileSystem;
	private readonly queues = new Map<string, PosixQueue>();

	constructor(fs: MqueueFileSystem) {
		super(fs, fs.allocateInos(1), 0o1777, null);
	}

	override lookup(name: string): PosixQueue | number {
		return this.queues.get(name) ?? -ENOENT;
	}

	/** A queue with bounds of its own. Errors: ENOSPC (too many queues), EMFILE (more bytes than `limitBytes` for the user). */
	make(
		name: string,
		mode: number,
		uid: number,
		gid: number,
		maxMessages: number,
		messageBytes: number,
		limitBytes: number,
	): PosixQueue | number {
		const bytes = queueBytes(maxMessages, messageBytes);
		if (this.queues.size >= bounds.posixQueues || this.fs.reservedBytes + bytes > bounds.posixQueueBytes) return -ENOSPC;
		const account = acquireAccount(uid);
		if (account.queueBytes.count + bytes > limitBytes) {
			account.release();
			return -EMFILE;
		}
		const queue = new PosixQueue(this.fs, mode, uid, gid, maxMessages, messageBytes, account);
		this.queues.set(name, queue);
		return queue;
	}

	override create(...args: Parameters<Inode['create']>): Inode | number {
		const [name, mode, uid, gid] = args;
		return this.make(name, mode, uid, gid, MSG_DEFAULT, MSGSIZE_DEFAULT, DEFAULT_QUEUE_BYTES);
	}

	override unlink(...[name]: Parameters<Inode['unlink']>): number {
		const queue = this.queues.get(name);
		if (queue === undefined) return -ENOENT;
		this.queues.delete(name);
		queue.unlinked();
		return 0;
	}

	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		const names = [...this.queues];
		for (;;) {
			const next = names[description.offset - FIRST_ENTRY];
			if (next === undefined) return 0;
			if (!sink.entry(next[1].ino, description.offset + 1, DT_REG, next[0])) return 0;
			description.offset++;
		}
	}
}
