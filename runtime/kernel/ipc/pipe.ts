import { EAGAIN, EBUSY, EFAULT, EINVAL, ENOTTY, EPERM, EPIPE } from '../abi/errno.js';
import { F_GETPIPE_SZ, F_SETPIPE_SZ, O_ACCMODE, O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from '../abi/fcntl.js';
import { PAGE_SIZE, PIPE_BUF } from '../abi/limits.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll-constants.js';
import { SIGPIPE } from '../abi/signal-numbers.js';
import { S_IFIFO } from '../abi/stat-constants.js';
import { bounds } from '../bounds.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { Task } from '../task/task.js';
import { copyOutInt, type IoVector } from '../trap/guest-memory.js';
import { AnonymousFileSystem, AnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';
import type { Inode } from '../vfs/inode.js';
import type { Path } from '../vfs/path.js';
import { ByteRing } from './byte-ring.js';
import { acquireAccount, type UserAccount } from './user-account.js';

const DEFAULT_CAPACITY = 16 * PAGE_SIZE;
/** Of new pipes of a user who has too much already (pipe(7), pipe-user-pages-soft). */
const SMALL_CAPACITY = 2 * PAGE_SIZE;
/** /proc/sys/fs/pipe-max-size, pipe(7). Nobody gets more: CAP_SYS_RESOURCE in a container isn't the host's. */
const PIPE_MAX_SIZE = 1 << 20;
const FIONREAD = 0x541b;
const PIPEFS_MAGIC = 0x50495045;

const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM;

/** May a user have so many more pages of capacity? */
function hasPages({ pipePages }: UserAccount, pages: number): boolean {
	return pipePages.count + pages <= bounds.pipePagesPerUser && pipePages.all + pages <= bounds.pipePages;
}

/**
 * A pipe (Linux: struct pipe_inode_info): bytes on their way from those who hold it open for writing to those who hold it open for reading.
 * Alive while either side is open, or someone waits in open(2) of a fifo.
 */
export class Pipe {
	readonly ring = new ByteRing();
	/** Bytes that it may hold; a power of two of pages. */
	capacity = DEFAULT_CAPACITY;
	/** Descriptions open for reading, for writing. */
	readers = 0;
	writers = 0;
	/** How often one was opened: tells someone who waits in open(2) that a peer came, even if it has left again. */
	readerOpens = 0;
	writerOpens = 0;
	/** Blocked readers and writers, and who polls the ends. */
	readonly readWaiters = new WaitQueue();
	readonly writeWaiters = new WaitQueue();
	/** Who waits in open(2) to read, to write. */
	readonly readOpeners = new WaitQueue();
	readonly writeOpeners = new WaitQueue();
	private account: UserAccount | null = null;
	/** Lengths of what is in the ring once a packet was written (pipe2(2) O_DIRECT): a packet's, or negative the number of stream bytes. */
	private segments: number[] | null = null;

	/** A description opens it, for `uid`'s account if it is the first. */
	open(flags: number, uid: number): void {
		if (this.account === null) {
			this.account = acquireAccount(uid);
			this.capacity = hasPages(this.account, DEFAULT_CAPACITY / PAGE_SIZE) ? DEFAULT_CAPACITY : SMALL_CAPACITY;
			this.account.pipePages.add(this.capacity / PAGE_SIZE);
		}
		const mode = flags & O_ACCMODE;
		if (mode !== O_WRONLY) {
			this.readers++;
			this.readerOpens++;
			this.writeOpeners.wakeAll();
		}
		if (mode !== O_RDONLY) {
			this.writers++;
			this.writerOpens++;
			this.readOpeners.wakeAll();
		}
	}

	close(flags: number): void {
		const mode = flags & O_ACCMODE;
		if (mode !== O_WRONLY) this.readers--;
		if (mode !== O_RDONLY) this.writers--;
		if (this.readers === 0 && this.writers === 0) {
			this.ring.clear();
			this.segments = null;
			if (this.account !== null) {
				this.account.pipePages.add(-this.capacity / PAGE_SIZE);
				this.account.release();
				this.account = null;
			}
			return;
		}
		if (this.readers === 0 || this.writers === 0) {
			this.readWaiters.wakeAll();
			this.writeWaiters.wakeAll();
		}
	}

	get space(): number {
		return this.capacity - this.ring.size;
	}
	/** A write of PIPE_BUF bytes would not wait. */
	get isWritable(): boolean {
		return this.space >= PIPE_BUF;
	}

	/** Bytes out, of which there is one at least; wakes who waits for space. */
	take(vector: IoVector): number {
		const { ring } = this;
		const wasFull = !this.isWritable;
		const bytes = this.segments === null ? ring.take(vector, Math.min(ring.size, vector.remaining)) : this.takeSegments(vector);
		if (wasFull && this.isWritable) this.writeWaiters.wake(WRITABLE);
		return bytes;
	}

	/** Forgets `length` bytes that were looked at in the ring and are somewhere else now; wakes who waits for space. */
	drop(length: number): void {
		const wasFull = !this.isWritable;
		this.ring.drop(length);
		const { segments } = this;
		let left = length;
		while (segments !== null && left > 0 && segments.length > 0) {
			const first = segments[0]!;
			const taken = Math.min(Math.abs(first), left);
			left -= taken;
			if (taken === Math.abs(first)) segments.shift();
			else segments[0] = first > 0 ? first - taken : first + taken;
		}
		if (segments?.length === 0) this.segments = null;
		if (wasFull && this.isWritable) this.writeWaiters.wake(WRITABLE);
	}

	/** `length` bytes in, for which there is space; wakes who waits for them. Returns bytes, or -EFAULT. */
	put(vector: IoVector, length: number, isPacket: boolean): number {
		if (isPacket) this.segments ??= this.ring.size > 0 ? [-this.ring.size] : [];
		const isAtomic = isPacket || length <= PIPE_BUF;
		const bytes = this.ring.put(vector, length, isAtomic);
		if (bytes < 0 || (isAtomic && bytes < length)) return -EFAULT;
		if (this.segments !== null) {
			const last = this.segments.length - 1;
			if (!isPacket && last >= 0 && this.segments[last]! < 0) this.segments[last]! -= bytes;
			else this.segments.push(isPacket ? bytes : -bytes);
		}
		this.readWaiters.wake(READABLE);
		return bytes;
	}

	/** Is there space for one more packet? Each takes a page at least, which bounds their number. */
	hasPacketSpace(length: number): boolean {
		return length <= this.space && (this.segments === null || this.segments.length < this.capacity / PAGE_SIZE);
	}

	/** As `take`, up to the end of a packet: what the reader has no room for of it is lost (pipe2(2)). */
	private takeSegments(vector: IoVector): number {
		const { ring } = this;
		const segments = this.segments!;
		let done = 0;
		while (segments.length > 0 && vector.remaining > 0) {
			const isPacket = segments[0]! > 0;
			const length = Math.abs(segments[0]!);
			const wanted = Math.min(length, vector.remaining);
			const bytes = ring.peek(vector, wanted);
			if (bytes < wanted && (isPacket || bytes <= 0)) return done > 0 ? done : -EFAULT;
			ring.drop(isPacket ? length : bytes);
			done += bytes;
			if (isPacket || bytes === length) segments.shift();
			else segments[0]! += bytes;
			if (isPacket || bytes < wanted) break;
		}
		if (segments.length === 0) this.segments = null;
		return done;
	}

	/** F_SETPIPE_SZ, fcntl(2): the new capacity. Errors: EINVAL, EPERM (above the limit, or the user has too much), EBUSY. */
	resize(wanted: number): number {
		if (wanted > 0x8000_0000) return -EINVAL;
		let capacity = PAGE_SIZE;
		while (capacity < wanted) capacity *= 2;
		const account = this.account!;
		const pages = (capacity - this.capacity) / PAGE_SIZE;
		if (pages > 0 && (capacity > PIPE_MAX_SIZE || !hasPages(account, pages))) return -EPERM;
		if (capacity < this.ring.size || (this.segments !== null && this.segments.length > capacity / PAGE_SIZE)) return -EBUSY;
		account.pipePages.add(pages);
		const isGrowing = capacity > this.capacity;
		this.capacity = capacity;
		if (isGrowing) this.writeWaiters.wakeAll(WRITABLE);
		return capacity;
	}
}

/**
 * One end of a pipe, or a fifo that was opened O_RDWR and is both. pipe(7), fifo(7).
 */
export class PipeDescription extends FileDescription {
	/** `writerOpens` when a fifo was opened without a writer: until one comes there is no hang-up to report. -1 otherwise. */
	private readonly opensSeen: number;

	constructor(
		readonly pipe: Pipe,
		path: Path | null,
		inode: Inode,
		flags: number,
		uid: number,
	) {
		super(path, inode, flags, (flags & O_ACCMODE) === O_WRONLY ? pipe.writeWaiters : pipe.readWaiters);
		const isEarly = pipe.writers === 0 && (flags & O_NONBLOCK) !== 0 && !(inode instanceof PipeInode);
		this.opensSeen = isEarly ? pipe.writerOpens : -1;
		pipe.open(flags, uid);
	}

	protected override close(): void {
		this.pipe.close(this.flags);
	}

	override read(task: Task, vector: IoVector): number {
		if (vector.length === 0) return 0;
		const { pipe } = this;
		if (pipe.ring.size > 0) {
			const bytes = pipe.take(vector);
			// The wake-up for these bytes came to this reader alone: what it has left is the next one's.
			if (!task.trap.isFirstRun && pipe.ring.size > 0) pipe.readWaiters.wake(READABLE);
			return bytes;
		}
		if (pipe.writers === 0) return 0;
		if (this.isNonBlocking) return -EAGAIN;
		return task.blockOn(pipe.readWaiters, READABLE | POLLHUP, true);
	}

	override write(task: Task, vector: IoVector): number {
		if (vector.length === 0) return 0;
		const { pipe } = this;
		const { trap } = task;
		const isPacket = (this.flags & O_DIRECT) !== 0;
		const isAtomic = vector.length <= PIPE_BUF;
		vector.skip(trap.progress);
		for (;;) {
			if (pipe.readers === 0) {
				task.kernel.signals.sendToThread(task, SIGPIPE);
				return trap.progress > 0 ? trap.progress : -EPIPE;
			}
			const { remaining } = vector;
			const wanted = isPacket ? Math.min(remaining, PIPE_BUF) : isAtomic ? remaining : Math.min(remaining, pipe.space);
			const hasSpace = isPacket ? pipe.hasPacketSpace(wanted) : wanted > 0 && wanted <= pipe.space;
			if (!hasSpace) {
				if (this.isNonBlocking) return trap.progress > 0 ? trap.progress : -EAGAIN;
				return task.blockOn(pipe.writeWaiters, WRITABLE | POLLERR, true);
			}
			const bytes = pipe.put(vector, wanted, isPacket);
			if (bytes < 0) return trap.progress > 0 ? trap.progress : bytes;
			trap.progress += bytes;
			if (bytes < wanted) return trap.progress;
			if (vector.remaining === 0) {
				// So with the wake-up for space.
				if (!trap.isFirstRun && pipe.isWritable) pipe.writeWaiters.wake(WRITABLE);
				return vector.length;
			}
		}
	}

	override poll(): number {
		const { pipe } = this;
		const mode = this.flags & O_ACCMODE;
		let events = 0;
		if (mode !== O_WRONLY) {
			if (pipe.ring.size > 0) events |= READABLE;
			if (pipe.writers === 0 && pipe.writerOpens !== this.opensSeen) events |= POLLHUP;
		}
		if (mode !== O_RDONLY) {
			if (pipe.isWritable) events |= WRITABLE;
			if (pipe.readers === 0) events |= POLLERR;
		}
		return events;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		return request === FIONREAD ? copyOutInt(task.tid, argument, this.pipe.ring.size) : -ENOTTY;
	}

	override control(task: Task, command: number, argument: number): number {
		if (command === F_GETPIPE_SZ) return this.pipe.capacity;
		return command === F_SETPIPE_SZ ? this.pipe.resize(argument) : super.control(task, command, argument);
	}
}

const pipeFs = new AnonymousFileSystem('pipefs', PIPEFS_MAGIC);

/** The inode of a pipe that pipe(2) made. Opening it again, through /proc/PID/fd/N, gives one more end of the same pipe; it never waits. */
export class PipeInode extends AnonymousInode {
	constructor(
		readonly pipe: Pipe,
		uid: number,
		gid: number,
	) {
		super(pipeFs, S_IFIFO | 0o600, uid, gid);
	}

	override open(path: Path, flags: number, task: Task): FileDescription | number {
		return (flags & O_ACCMODE) > O_RDWR ? -EINVAL : new PipeDescription(this.pipe, path, this, flags, task.credentials.uid);
	}
}

/** pipe(2): the read end and the write end, a reference each. `flags`: O_NONBLOCK, O_DIRECT. */
export function makePipe(task: Task, flags: number): [PipeDescription, PipeDescription] {
	const { uid, fsuid, fsgid } = task.credentials;
	const pipe = new Pipe();
	const inode = new PipeInode(pipe, fsuid, fsgid);
	// Packets are the writer's affair (fs/pipe.c, create_pipe_files).
	return [
		new PipeDescription(pipe, null, inode, O_RDONLY | (flags & ~O_DIRECT), uid),
		new PipeDescription(pipe, null, inode, O_WRONLY | flags, uid),
	];
}
