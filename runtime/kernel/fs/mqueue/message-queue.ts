import { EINVAL, EPERM } from '../../abi/errno.js';
import { S_IFREG } from '../../abi/stat-constants.js';
import { realSeconds } from '../../event/clocks.js';
import { WaitQueue } from '../../event/wait-queue.js';
import type { UserAccount } from '../../ipc/user-account.js';
import type { ThreadGroup } from '../../task/thread-group.js';
import type { FileDescription } from '../../vfs/file-description.js';
import { OwnedInode } from '../../vfs/owned-inode.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import type { MqueueFileSystem } from './mqueue-file-system.js';
import { QueueDescription } from './queue-description.js';

/** st_size of a queue (ipc/mqueue.c, FILENT_SIZE). */
const FILE_BYTES = 80;
/** What the host's structures for a message and for a priority take: Linux counts them. */
const MESSAGE_OVERHEAD = 96;

/** A message and its priority. */
export interface PriorityMessage {
	readonly priority: number;
	readonly bytes: Uint8Array;
}

/** Who is told of the next message: mq_notify(3). Signal 0: nobody hears, but the place is taken. */
export interface Notification {
	readonly group: ThreadGroup;
	readonly signal: number;
	/** SIGEV_NONE: no signal. */
	readonly isSilent: boolean;
}

/** Bytes that a queue counts with its user, whatever is in it. */
export function queueBytes(maxMessages: number, messageBytes: number): number {
	return maxMessages * (messageBytes + MESSAGE_OVERHEAD);
}

/** A POSIX message queue, mq_overview(7). Owned by its name and its descriptions. */
export class PosixQueue extends OwnedInode {
	declare readonly fs: MqueueFileSystem;
	/** By priority, highest first, then by age. */
	readonly messages: PriorityMessage[] = [];
	/** Bytes of all of them. */
	bytes = 0;
	readonly senders = new WaitQueue();
	readonly receivers = new WaitQueue();
	/** Who polls. */
	readonly pollers = new WaitQueue();
	notification: Notification | null = null;
	/** It has lost its name. */
	isUnlinked = false;
	private opens = 0;
	private timeSec = realSeconds();

	constructor(
		fs: MqueueFileSystem,
		mode: number,
		uid: number,
		gid: number,
		readonly maxMessages: number,
		readonly messageBytes: number,
		/** Charged with `queueBytes`; held. */
		private readonly account: UserAccount,
	) {
		super(fs, fs.allocateInos(1), S_IFREG | (mode & 0o7777), uid, gid);
		this.reserve(queueBytes(maxMessages, messageBytes));
	}

	/** Counts bytes in (or out, negative). */
	private reserve(bytes: number): void {
		this.account.queueBytes.add(bytes);
		this.fs.reservedBytes += bytes;
	}

	override get isOpen(): boolean {
		return this.opens > 0;
	}
	opened(): void {
		this.opens++;
	}
	closed(): void {
		this.opens--;
		this.freeIfUnused();
	}
	unlinked(): void {
		this.isUnlinked = true;
		this.freeIfUnused();
	}

	private freeIfUnused(): void {
		if (!this.isUnlinked || this.opens > 0) return;
		this.messages.length = 0;
		this.reserve(-queueBytes(this.maxMessages, this.messageBytes));
		this.account.release();
	}

	/** Puts a message behind those of its priority and above. */
	insert(message: PriorityMessage): void {
		let low = 0;
		let high = this.messages.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.messages[middle]!.priority >= message.priority) low = middle + 1;
			else high = middle;
		}
		this.messages.splice(low, 0, message);
		this.bytes += message.bytes.length;
		this.timeSec = realSeconds();
	}

	/** Takes the first message; there is one. */
	shift(): PriorityMessage {
		const message = this.messages.shift()!;
		this.bytes -= message.bytes.length;
		this.timeSec = realSeconds();
		return message;
	}

	override stat(out: Stat): number {
		out.dev = this.fs.dev;
		out.ino = this.ino;
		out.mode = this.mode;
		out.nlink = this.isUnlinked ? 0 : 1;
		out.uid = this.uid;
		out.gid = this.gid;
		out.rdev = out.blocks = 0;
		out.sizeBytes = FILE_BYTES;
		out.blockSizeBytes = 4096;
		out.atimeSec = out.mtimeSec = out.ctimeSec = this.timeSec;
		out.atimeNsec = out.mtimeNsec = out.ctimeNsec = out.btimeSec = out.btimeNsec = 0;
		return 0;
	}

	override truncate(): number {
		return 0;
	}
	override setTimes(): number {
		return -EPERM;
	}
	override openForMapping(): number {
		return -EINVAL;
	}

	override open(path: Path, flags: number): FileDescription {
		return new QueueDescription(path, this, flags);
	}
}
