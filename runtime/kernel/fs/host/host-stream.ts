import { native } from '../../../native.js';
import { EAGAIN, EINVAL, ENOTTY, EPIPE, ESPIPE } from '../../abi/errno.js';
import {
	EPOLLET,
	EPOLLIN,
	EPOLLOUT,
	EPOLLRDHUP,
	POLLERR,
	POLLHUP,
	POLLIN,
	POLLOUT,
	POLLRDNORM,
	POLLWRNORM,
} from '../../abi/poll-constants.js';
import { SIGPIPE } from '../../abi/signal-numbers.js';
import { S_IFMT, S_IFREG } from '../../abi/stat-constants.js';
import type { Kernel } from '../../kernel.js';
import type { Task } from '../../task/task.js';
import { copyIn, copyOut, type IoVector, scratch } from '../../trap/guest-memory.js';
import { EVENT_READY } from '../../trap/records.js';
import { FileDescription } from '../../vfs/file-description.js';
import { FileSystem, type Inode } from '../../vfs/inode.js';
import { OwnedInode } from '../../vfs/owned-inode.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';

const PIPEFS_MAGIC = 0x50495045;
const hostStat = new Float64Array(18);

/** The file system that descriptors handed in by the front end belong to. */
class StreamFileSystem extends FileSystem {
	readonly isExclusive = true;

	constructor() {
		super('pipefs', PIPEFS_MAGIC);
	}
	get root(): Inode {
		throw new Error('Look up the root of pipefs: it has none');
	}
}

let streamFs: StreamFileSystem | null = null;

/** What a container's stdio is: a pipe, file, socket or terminal of the host's, which the front end handed over. */
class StreamInode extends OwnedInode {
	constructor(readonly fd: number) {
		streamFs ??= new StreamFileSystem();
		native.fstat(fd, hostStat);
		super(streamFs, hostStat[1]!, hostStat[2]!, 0, 0);
	}

	override stat(out: Stat): number {
		const error = native.fstat(this.fd, hostStat);
		if (error < 0) return error;
		out.dev = this.fs.dev;
		out.ino = hostStat[1]!;
		out.mode = this.mode;
		out.nlink = 1;
		out.uid = this.uid;
		out.gid = this.gid;
		out.rdev = hostStat[6]!;
		out.sizeBytes = hostStat[7]!;
		out.blockSizeBytes = hostStat[8]!;
		out.blocks = hostStat[9]!;
		out.atimeSec = hostStat[10]!;
		out.atimeNsec = hostStat[11]!;
		out.mtimeSec = hostStat[12]!;
		out.mtimeNsec = hostStat[13]!;
		out.ctimeSec = hostStat[14]!;
		out.ctimeNsec = hostStat[15]!;
		out.btimeSec = out.btimeNsec = 0;
		return 0;
	}

	override truncate(lengthBytes: number): number {
		return native.ftruncate(this.fd, lengthBytes);
	}

	/** Through /proc/PID/fd (/dev/stdout): the same stream of the host's, another description. */
	override open(_path: Path, flags: number, task: Task): FileDescription | number {
		const fd = native.dup(this.fd);
		return fd < 0 ? fd : new HostStream(task.kernel, fd, flags);
	}
}

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TCSETSW = 0x5403;
const TCSETSF = 0x5404;
const TIOCGWINSZ = 0x5413;
const FIONREAD = 0x541b;
/** Bytes that each request moves, and which way. */
const IOCTLS = new Map<number, { readonly bytes: number; readonly isInput: boolean }>([
	[TCGETS, { bytes: 36, isInput: false }],
	[TCSETS, { bytes: 36, isInput: true }],
	[TCSETSW, { bytes: 36, isInput: true }],
	[TCSETSF, { bytes: 36, isInput: true }],
	[TIOCGWINSZ, { bytes: 8, isInput: false }],
	[FIONREAD, { bytes: 4, isInput: false }],
]);

/** An open stream of the host's; the descriptor is non-blocking unless it is a regular file's, which never blocks. */
export class HostStream extends FileDescription {
	private readonly key: number;
	private readonly isFile: boolean;

	constructor(
		private readonly kernel: Kernel,
		/** Owned. */
		private readonly fd: number,
		flags: number,
	) {
		const inode = new StreamInode(fd);
		super(null, inode, flags);
		this.isFile = (inode.mode & S_IFMT) === S_IFREG;
		this.key = kernel.endpoints.add({
			onEvent: (kind, events) => {
				if (kind === EVENT_READY)
					this.waiters.wake(events | ((events & POLLIN) !== 0 ? POLLRDNORM : 0) | ((events & POLLOUT) !== 0 ? POLLWRNORM : 0));
			},
		});
		if (!this.isFile) native.watch(fd, this.key, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	}

	protected override close(): void {
		if (!this.isFile) native.unwatch(this.fd);
		this.kernel.endpoints.remove(this.key);
		native.close(this.fd);
	}

	override read(task: Task, vector: IoVector): number {
		const bytes = vector.fromHost(this.fd, -1);
		if (bytes !== -EAGAIN || this.isNonBlocking) return bytes;
		return task.blockOn(this.waiters, POLLIN | POLLHUP | POLLERR);
	}

	override write(task: Task, vector: IoVector): number {
		vector.skip(task.trap.progress);
		while (vector.remaining > 0) {
			const bytes = vector.toHost(this.fd, -1, false);
			if (bytes > 0) {
				task.trap.progress += bytes;
				continue;
			}
			if (bytes === -EAGAIN && !this.isNonBlocking) return task.blockOn(this.waiters, POLLOUT | POLLHUP | POLLERR);
			if (bytes === -EPIPE) task.kernel.signals.sendToThread(task, SIGPIPE);
			return task.trap.progress > 0 ? task.trap.progress : bytes;
		}
		return vector.length;
	}

	override poll(): number {
		if (this.isFile) return super.poll();
		const events = native.pollNow(this.fd, POLLIN | POLLOUT | EPOLLRDHUP);
		if (events < 0) return POLLERR;
		return events | ((events & POLLIN) !== 0 ? POLLRDNORM : 0) | ((events & POLLOUT) !== 0 ? POLLWRNORM : 0);
	}

	override get isSeekable(): boolean {
		return this.isFile;
	}

	override seek(offset: number, whence: number): number {
		return this.isFile ? native.lseek(this.fd, offset, whence) : -ESPIPE;
	}

	override truncate(lengthBytes: number): number {
		return this.isFile ? native.ftruncate(this.fd, lengthBytes) : -EINVAL;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		const shape = IOCTLS.get(request);
		if (shape === undefined) return -ENOTTY;
		if (shape.isInput) {
			const error = copyIn(task.tid, argument, shape.bytes);
			if (error < 0) return error;
		}
		const error = native.ioctl(this.fd, request, scratch.subarray(0, shape.bytes));
		if (error < 0 || shape.isInput) return error;
		return copyOut(task.tid, argument, shape.bytes);
	}
}
