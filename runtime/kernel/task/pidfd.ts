import { native } from '../../native.js';
import { EMFILE, ESRCH } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { EPOLLET, EPOLLIN, POLLHUP, POLLIN, POLLRDNORM } from '../abi/poll-constants.js';
import { bounds } from '../bounds.js';
import type { Container } from '../container.js';
import { StatField } from '../fs/host/host-stat.js';
import type { Kernel } from '../kernel.js';
import { EVENT_READY } from '../trap/records.js';
import { AnonymousFileSystem, AnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';
import type { ThreadGroup } from './thread-group.js';

const PIDFS_MAGIC = 0x50494446;
/** Of the pod: each is a descriptor of the sandbox process. */
let openPidFds = 0;
const hostStat = new Float64Array(18);

/** Linux's pidfs: inode numbers are the host's, which has one for each process, so that two pidfds can be told to be of the same. */
class PidFileSystem extends AnonymousFileSystem {
	hostIno = 0;

	override nextIno(): number {
		return this.hostIno;
	}
}

const pidFileSystem = new PidFileSystem('pidfs', PIDFS_MAGIC);

function inodeOf(hostFd: number): AnonymousInode {
	pidFileSystem.hostIno = native.fstat(hostFd, hostStat) < 0 ? 0 : hostStat[StatField.Ino]!;
	return new AnonymousInode(pidFileSystem, 0o700, 0, 0);
}

/**
 * A process or a thread as a descriptor, pidfd_open(2). The host's own pidfd stands behind it, which knows ends and reaping: a process may be one that the
 * guest kernel has not seen yet, or that has ended and was not waited for.
 */
export class PidFd extends FileDescription {
	private readonly key: number;

	private constructor(
		private readonly kernel: Kernel,
		private readonly container: Container,
		/** Process or thread as the sandbox process sees it. The number may be somebody else's once `isGone`. */
		private readonly id: number,
		readonly isThread: boolean,
		/** Owned. */
		private readonly pidfd: number,
		statusFlags: number,
	) {
		super(null, inodeOf(pidfd), O_RDWR | statusFlags);
		openPidFds++;
		this.key = kernel.endpoints.add({
			onEvent: (kind) => {
				if (kind === EVENT_READY) this.waiters.wake(POLLIN | POLLRDNORM);
			},
		});
		this.flagsChanged();
		native.watch(pidfd, this.key, EPOLLIN | EPOLLET);
	}

	/** Opens `id`, a process or thread of `container` in the sandbox process's numbers. Errors: EMFILE (too many), and the host's (ESRCH, ENOENT, EINVAL). */
	static open(kernel: Kernel, container: Container, id: number, isThread: boolean, statusFlags: number): PidFd | number {
		if (openPidFds >= bounds.pidfds) return -EMFILE;
		const pidfd = native.pidfdOpen(id, isThread);
		return pidfd < 0 ? pidfd : new PidFd(kernel, container, id, isThread, pidfd, statusFlags);
	}

	override get anonymousText(): string {
		return 'anon_inode:[pidfd]';
	}

	protected override close(): void {
		openPidFds--;
		native.unwatch(this.pidfd);
		this.kernel.endpoints.remove(this.key);
		native.close(this.pidfd);
	}

	/** waitid(2) on a non-blocking one is EAGAIN where it would wait: the host looks at its own flag. */
	override flagsChanged(): void {
		native.setNonBlocking(this.pidfd, this.isNonBlocking);
	}

	/** POLLIN from its end on, POLLHUP when it was waited for. */
	override poll(): number {
		return native.pollNow(this.pidfd, POLLIN | POLLRDNORM) & (POLLIN | POLLRDNORM | POLLHUP);
	}

	/** It was waited for: the number is free. */
	get isGone(): boolean {
		return native.pidfdSendSignal(this.pidfd, 0) === -ESRCH;
	}
	get hasEnded(): boolean {
		return (this.poll() & POLLIN) !== 0;
	}

	/** Its process, or null when it has ended. */
	get group(): ThreadGroup | null {
		if (this.hasEnded) return null;
		if (this.kernel.forks.hasOver) this.kernel.forks.settle();
		const group = this.isThread ? (this.kernel.tasks.get(this.id)?.group ?? null) : null;
		return group ?? this.kernel.groups.get(this.id) ?? null;
	}

	/** Of a thread pidfd, its thread id; else -1. */
	get threadId(): number {
		return this.isThread ? this.id : -1;
	}

	/** To lend for waitid(2), which is the host's: the caller's. */
	openForWaiting(): number {
		return native.dup(this.pidfd);
	}

	override get infoText(): string {
		const id = this.isGone ? -1 : this.container.insideId(this.id, true);
		return `Pid:\t${id}\nNSpid:\t${id}\n`;
	}
}
