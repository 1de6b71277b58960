import { EBADF, EINVAL, ENODEV, ENOTDIR, ENOTTY, ESPIPE } from '../abi/errno.js';
import { F_GETPIPE_SZ, F_SETPIPE_SZ, F_UNLCK, O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_WRONLY } from '../abi/fcntl.js';
import { IN_CLOSE_NOWRITE, IN_CLOSE_WRITE } from '../abi/inotify.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll-constants.js';
import { S_IFIFO, S_IFSOCK } from '../abi/stat-constants.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { Credentials } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import type { Inode } from './inode.js';
import type { Path } from './path.js';
import type { Stat } from './stat.js';
import { hasWatches, notifyDescription, notifyIfGone } from './watches.js';

/** A write position that means "at the description's own offset" (read(2), write(2)). */
export const AT_OFFSET = -1;

/** Takes directory entries out of `readDirectory`. Returns false when it is full: the entry wasn't taken. */
export interface DirectorySink {
	entry(ino: number, nextOffset: number, type: number, name: string): boolean;
}

/** What refers to a description without keeping it open: an epoll registration. */
export interface CloseListener {
	closed(description: FileDescription): void;
}

/**
 * An open file (Linux: struct file; POSIX: open file description). Descriptor tables, working calls and mappings hold references;
 * the last `release` closes it.
 *
 * A method that can block returns `BLOCKED` (task/blocked.ts) after it has put the task on wait queues; it is then called again.
 */
export abstract class FileDescription {
	private references = 1;
	/** Told when the last reference is gone, each once; null without any. */
	private closeListeners: Set<CloseListener> | null = null;
	/** Who opened it by a path, as they were then (Linux: f_cred); null for what was made otherwise. */
	opener: Credentials | null = null;
	/** Current position in bytes. */
	offset = 0;

	constructor(
		/** Where it was opened; null for pipes and other anonymous objects. */
		readonly path: Path | null,
		readonly inode: Inode,
		/** Access mode and status flags of open(2); F_SETFL changes the status flags. */
		public flags: number,
		/** Who waits for it to become readable, writable, …; woken with POLL* bits. Descriptions of one object may share theirs. */
		readonly waiters: WaitQueue = new WaitQueue(),
	) {}

	get isReadable(): boolean {
		// The access mode 3 gives neither right (open(2)).
		const mode = this.flags & (O_ACCMODE | O_PATH);
		return mode === O_RDONLY || mode === O_RDWR;
	}
	get isWritable(): boolean {
		const mode = this.flags & (O_ACCMODE | O_PATH);
		return mode === O_WRONLY || mode === O_RDWR;
	}
	get isNonBlocking(): boolean {
		return (this.flags & O_NONBLOCK) !== 0;
	}
	get isAppend(): boolean {
		return (this.flags & O_APPEND) !== 0;
	}

	acquire(): this {
		this.references++;
		return this;
	}

	release(): void {
		if (--this.references > 0) return;
		const { locks } = this.inode;
		if (locks !== null) {
			locks.release(this);
			locks.setWhole(this, F_UNLCK, 0);
		}
		if (this.closeListeners !== null) for (const listener of this.closeListeners) listener.closed(this);
		this.close();
		if (hasWatches() && this.path !== null && (this.flags & O_PATH) === 0) {
			notifyDescription(this, this.isWritable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
			if (this.path.dentry.isDeleted) notifyIfGone(this.inode);
		}
	}

	/** `listener` is told when the last reference is gone; it holds none itself. */
	addCloseListener(listener: CloseListener): void {
		this.closeListeners ??= new Set();
		this.closeListeners.add(listener);
	}
	removeCloseListener(listener: CloseListener): void {
		this.closeListeners?.delete(listener);
	}

	get referenceCount(): number {
		return this.references;
	}

	/** The last reference is gone: free what it holds, wake who waits on the other side. */
	protected close(): void {}

	/** A descriptor table dropped it (each close(2), dup2 over it, exit): POSIX locks go here. */
	flush(task: Task): void {
		this.inode.locks?.release(task.group);
	}

	/** Bytes moved, 0 at the end of the file, -errno, or BLOCKED. `position` AT_OFFSET uses and advances `offset`. */
	read(_task: Task, _vector: IoVector, _position: number): number {
		return -EINVAL;
	}
	write(_task: Task, _vector: IoVector, _position: number): number {
		return -EINVAL;
	}
	/** True if pread and lseek make sense; pipes, sockets and ttys say ESPIPE. */
	get isSeekable(): boolean {
		return false;
	}
	/** The new offset. */
	seek(_offset: number, _whence: number): number {
		return -ESPIPE;
	}

	/** Does readiness mean anything here? epoll_ctl(2) refuses what is always ready: regular files, directories. */
	get isPollable(): boolean {
		return !this.inode.isRegular && !this.inode.isDirectory;
	}
	/** POLL* bits that hold now. */
	poll(): number {
		return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	}

	stat(out: Stat): number {
		return this.inode.stat(out);
	}

	/** What links to it show when it was opened by no path: "pipe:[12]", "socket:[12]", "anon_inode:[eventfd]" (proc_pid_fd(5)). */
	get anonymousText(): string {
		const { type, ino } = this.inode;
		return type === S_IFIFO ? `pipe:[${ino}]` : type === S_IFSOCK ? `socket:[${ino}]` : 'anon_inode:[file]';
	}

	/** What a kind of object adds to /proc/PID/fdinfo/N, proc_pid_fdinfo(5): whole lines. */
	get infoText(): string {
		return '';
	}

	/** Emits entries from `offset` on until the sink is full or the end: 0, or -errno; `offset` says where to go on. */
	readDirectory(_task: Task, _sink: DirectorySink): number {
		return -ENOTDIR;
	}

	ioctl(_task: Task, _request: number, _argument: number): number {
		return -ENOTTY;
	}
	/** fcntl(2) commands of a kind of object: pipe sizes, seals. */
	control(_task: Task, command: number, _argument: number): number {
		return command === F_GETPIPE_SZ || command === F_SETPIPE_SZ ? -EBADF : -EINVAL;
	}
	truncate(_lengthBytes: number): number {
		return -EINVAL;
	}
	fallocate(_mode: number, _offset: number, _length: number): number {
		return -ENODEV;
	}
	sync(_isDataOnly: boolean): number {
		return -EINVAL;
	}

	/** Called when F_SETFL changed the status flags. */
	flagsChanged(): void {}

	/** A host descriptor to lend for mapping with this description's rights (owned by the caller), or -ENODEV. */
	openForMapping(): number {
		return (this.flags & O_PATH) !== 0 ? -EBADF : -ENODEV;
	}

	/** A descriptor of the host's that carries this description's bytes (regular host files, container stdio), or -1. The description owns it. */
	get hostFd(): number {
		return -1;
	}
}
