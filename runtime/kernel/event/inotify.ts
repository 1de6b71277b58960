import { EAGAIN, EEXIST, EFAULT, EINVAL, EMFILE, ENOSPC } from '../abi/errno.js';
import { O_RDONLY } from '../abi/fcntl.js';
import {
	IN_ALL_EVENTS,
	IN_EXCL_UNLINK,
	IN_IGNORED,
	IN_ISDIR,
	IN_MASK_ADD,
	IN_MASK_CREATE,
	IN_ONESHOT,
	IN_Q_OVERFLOW,
	IN_UNMOUNT,
} from '../abi/inotify.js';
import { POLLIN, POLLRDNORM } from '../abi/poll-constants.js';
import { bounds } from '../bounds.js';
import { acquireAccount, type UserAccount } from '../ipc/user-account.js';
import type { Task } from '../task/task.js';
import { copyOutInt, type IoVector } from '../trap/guest-memory.js';
import { sharedAnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';
import type { FileState } from '../vfs/file-state.js';
import type { Inode } from '../vfs/inode.js';
import { addWatch, removeWatch, type Watch } from '../vfs/watches.js';

/** In the queues of all instances: their memory is the sandbox process's. */
let queuedEvents = 0;

/** struct inotify_event without its name. */
const HEAD_BYTES = 16;
const NAME_MAX_BYTES = 256;
const FIONREAD = 0x541b;
/** What a watch remembers of the mask it was made with. */
const KEPT_BITS = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK | IN_UNMOUNT;

const bytes = Buffer.alloc(HEAD_BYTES + NAME_MAX_BYTES);

/** One event in the queue. */
interface Event {
	readonly wd: number;
	readonly mask: number;
	readonly cookie: number;
	/** Null: about the watched file itself. */
	readonly name: string | null;
}

function eventBytes(event: Event): number {
	// The name with its NUL, in units of the head.
	return event.name === null ? HEAD_BYTES : HEAD_BYTES + Math.ceil((event.name.length + 1) / HEAD_BYTES) * HEAD_BYTES;
}

/** One watched inode, which it keeps from being forgotten. Owned by its instance. */
class InodeWatch implements Watch {
	constructor(
		private readonly instance: Inotify,
		readonly wd: number,
		readonly inode: Inode,
		/** IN_* that are told, IN_ONESHOT, IN_EXCL_UNLINK. */
		public mask: number,
	) {
		addWatch(inode, this);
	}

	tell(mask: number, cookie: number, name: string | null, isUnlinked: boolean): void {
		if ((mask & this.mask & IN_ALL_EVENTS) === 0 || (isUnlinked && (this.mask & IN_EXCL_UNLINK) !== 0)) return;
		this.instance.queue({ wd: this.wd, mask: mask >>> 0, cookie, name });
		if ((this.mask & IN_ONESHOT) !== 0) this.ended();
	}

	ended(): void {
		this.instance.drop(this);
	}
}

/** An inotify instance, inotify(7). What the guest kernel itself does to files is told; what the host does to a bind mount isn't. */
export class Inotify extends FileDescription {
	private readonly byWd = new Map<number, InodeWatch>();
	private readonly byFile = new Map<FileState, InodeWatch>();
	private events: Event[] = [];
	/** Place of the first event that was not read; what is before it goes now and then. */
	private first = 0;
	private lastWd = 0;
	private readonly account: UserAccount;

	private constructor(account: UserAccount, statusFlags: number) {
		super(null, sharedAnonymousInode, O_RDONLY | statusFlags);
		this.account = account;
		account.inotifyInstances.add(1);
	}

	/** Errors: EMFILE (the user has too many). */
	static create(task: Task, statusFlags: number): Inotify | number {
		const account = acquireAccount(task.credentials.uid);
		if (account.inotifyInstances.count < bounds.inotifyInstancesPerUser) return new Inotify(account, statusFlags);
		account.release();
		return -EMFILE;
	}

	override get anonymousText(): string {
		return 'anon_inode:inotify';
	}

	protected override close(): void {
		for (const watch of this.byWd.values()) removeWatch(watch.inode, watch);
		this.account.inotifyWatches.add(-this.byWd.size);
		this.byWd.clear();
		this.byFile.clear();
		queuedEvents -= this.events.length - this.first;
		this.events = [];
		this.first = 0;
		this.account.inotifyInstances.add(-1);
		this.account.release();
	}

	// --- Watches -----------------------------------------------------------------------------------------------------

	/** inotify_add_watch(2): the watch descriptor. Errors: EEXIST, ENOSPC. */
	watch(inode: Inode, mask: number): number {
		const kept = mask & KEPT_BITS;
		const known = this.byFile.get(inode.takeState());
		if (known !== undefined) {
			if ((mask & IN_MASK_CREATE) !== 0) return -EEXIST;
			known.mask = (mask & IN_MASK_ADD) !== 0 ? known.mask | kept : kept;
			return known.wd;
		}
		const { inotifyWatches } = this.account;
		if (inotifyWatches.count >= bounds.inotifyWatchesPerUser || inotifyWatches.all >= bounds.inotifyWatches) return -ENOSPC;
		inotifyWatches.add(1);
		const watch = new InodeWatch(this, ++this.lastWd, inode, kept);
		this.byWd.set(watch.wd, watch);
		this.byFile.set(inode.takeState(), watch);
		return watch.wd;
	}

	/** inotify_rm_watch(2). Errors: EINVAL. */
	unwatch(wd: number): number {
		const watch = this.byWd.get(wd);
		if (watch === undefined) return -EINVAL;
		this.drop(watch);
		return 0;
	}

	/** A watch goes; IN_IGNORED tells. */
	drop(watch: InodeWatch): void {
		if (!this.byWd.delete(watch.wd)) return;
		this.byFile.delete(watch.inode.takeState());
		this.account.inotifyWatches.add(-1);
		removeWatch(watch.inode, watch);
		this.queue({ wd: watch.wd, mask: IN_IGNORED, cookie: 0, name: null });
	}

	// --- Events ------------------------------------------------------------------------------------------------------

	/** Puts an event behind the others, unless it says the same as the last; the first that has no room becomes IN_Q_OVERFLOW. */
	queue(event: Event): void {
		const last = this.events[this.events.length - 1];
		const waiting = this.events.length - this.first;
		if (waiting > 0 && last !== undefined && last.wd === event.wd && last.mask === event.mask && last.name === event.name) return;
		const isFull = waiting >= bounds.inotifyEventsPerQueue || queuedEvents >= bounds.inotifyEvents;
		if (isFull && waiting > 0 && last?.mask === IN_Q_OVERFLOW) return;
		queuedEvents++;
		this.events.push(isFull ? { wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: null } : event);
		this.waiters.wake(POLLIN | POLLRDNORM);
	}

	override read(task: Task, vector: IoVector): number {
		if (this.first === this.events.length) return this.isNonBlocking ? -EAGAIN : task.blockOn(this.waiters, POLLIN);
		while (this.first < this.events.length) {
			const event = this.events[this.first]!;
			const length = eventBytes(event);
			if (vector.remaining < length) {
				if (vector.moved === 0) return -EINVAL;
				break;
			}
			bytes.fill(0, 0, length);
			bytes.writeInt32LE(event.wd, 0);
			bytes.writeUInt32LE(event.mask, 4);
			bytes.writeUInt32LE(event.cookie, 8);
			bytes.writeUInt32LE(length - HEAD_BYTES, 12);
			if (event.name !== null) bytes.latin1Write(event.name, HEAD_BYTES);
			const before = vector.moved;
			if (vector.copyOut(bytes, 0, length) !== length) return before > 0 ? before : -EFAULT;
			this.first++;
			queuedEvents--;
		}
		if (this.first > 1024 || this.first === this.events.length) {
			this.events = this.events.slice(this.first);
			this.first = 0;
		}
		return vector.moved;
	}

	override poll(): number {
		return this.first < this.events.length ? POLLIN | POLLRDNORM : 0;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		if (request !== FIONREAD) return super.ioctl(task, request, argument);
		let total = 0;
		for (let at = this.first; at < this.events.length; at++) total += eventBytes(this.events[at]!);
		return copyOutInt(task.tid, argument, total);
	}

	override get infoText(): string {
		let text = '';
		for (const { wd, inode, mask } of this.byWd.values()) {
			const shown = (mask & ~IN_ISDIR) >>> 0;
			text += `inotify wd:${wd.toString(16)} ino:${inode.ino.toString(16)} sdev:${inode.fs.dev.toString(16)} mask:${shown.toString(16)} ignored_mask:0\n`;
		}
		return text;
	}
}
