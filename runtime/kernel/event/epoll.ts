import { EPOLL_EVENT_BYTES, EPOLL_EVENT_DATA_HIGH, EPOLL_EVENT_DATA_LOW, EPOLL_EVENT_EVENTS } from '../abi/epoll-event.js';
import { EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, ENOSPC } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { POLLIN, POLLRDNORM } from '../abi/poll-constants.js';
import { bounds } from '../bounds.js';
import { acquireAccount, type UserAccount } from '../ipc/user-account.js';
import type { Task } from '../task/task.js';
import { copyOut, scratch, scratchView } from '../trap/guest-memory.js';
import { sharedAnonymousInode } from '../vfs/anonymous-inode.js';
import { FileDescription } from '../vfs/file-description.js';
import { EpollItem } from './epoll-item.js';
import { WAKE_ANY, WaitQueue } from './wait-queue.js';

/** Links from epoll instance to epoll instance in a row (fs/eventpoll.c, EP_MAX_NESTS). */
const MAX_NESTS = 4;
/** Ways up from an epoll instance to others that one wake-up may have to take (fs/eventpoll.c, path_limits). */
const MAX_PATHS = 500;
/** Events delivered by one call at most: what the scratch buffer has room for. */
const MAX_DELIVERED = Math.floor((scratch.length - 64) / EPOLL_EVENT_BYTES);
const READABLE = POLLIN | POLLRDNORM;

/** Items whose events are in the scratch buffer, to be taken back if they can't be copied out. */
const delivered: EpollItem[] = [];

/**
 * An epoll instance, epoll(7). Items that a wake-up has reached stand on the ready list, in order of arrival; waiting looks at these alone. Whether
 * they really are ready is asked when they are delivered.
 */
export class Epoll extends FileDescription {
	/** First of the items registered under a number. */
	private readonly items = new Map<number, EpollItem>();
	private readyHead: EpollItem | null = null;
	private readyTail: EpollItem | null = null;
	private readyCount = 0;
	/** Blocked in epoll_wait; one is woken per event. Pollers of the instance are in `waiters`. */
	private readonly sleepers = new WaitQueue();
	/** Items for other epoll instances, and items of others for this one. */
	private readonly nested = new Set<EpollItem>();
	private readonly watchers = new Set<EpollItem>();
	private readonly account: UserAccount;

	constructor(task: Task) {
		super(null, sharedAnonymousInode, O_RDWR);
		this.account = acquireAccount(task.credentials.uid);
	}

	override get anonymousText(): string {
		return 'anon_inode:[eventpoll]';
	}

	protected override close(): void {
		for (const first of this.items.values()) {
			for (let item: EpollItem | null = first; item !== null; item = item.nextSameFd) this.detach(item);
		}
		this.items.clear();
		this.readyHead = this.readyTail = null;
		this.account.release();
	}

	override ioctl(): number {
		return -EINVAL;
	}

	/** As for eventfds (noop_llseek). */
	override seek(): number {
		return 0;
	}

	/** Readable when an item is. Those that no longer are leave the ready list. */
	override poll(): number {
		for (let count = this.readyCount; count > 0; count--) {
			const item = this.readyHead!;
			if (item.poll() !== 0) return READABLE;
			this.unready(item);
		}
		return 0;
	}

	// --- Registrations -------------------------------------------------------------------------------------------

	/** EPOLL_CTL_ADD. Errors: EEXIST, ELOOP (a circle of instances, or a chain that is too long), EINVAL (too many ways up), ENOSPC. */
	add(fd: number, description: FileDescription, events: number, dataLow: number, dataHigh: number): number {
		if (description instanceof Epoll) {
			if (description.reaches(this)) return -ELOOP;
			if (description.height('nested', new Map()) + this.height('watchers', new Map()) + 1 > MAX_NESTS) return -ELOOP;
		}
		if (this.find(fd, description) !== null) return -EEXIST;
		const { watches } = this.account;
		if (watches.count >= bounds.epollWatchesPerUser || watches.all >= bounds.epollWatches) return -ENOSPC;
		const item = new EpollItem(this, fd, description, events, dataLow, dataHigh);
		item.nextSameFd = this.items.get(fd) ?? null;
		this.items.set(fd, item);
		watches.add(1);
		if (description instanceof Epoll) {
			this.nested.add(item);
			description.watchers.add(item);
			if (description.hasTooManyPaths(new Map())) {
				this.remove(item);
				return -EINVAL;
			}
		}
		if (item.poll() !== 0) this.markReady(item);
		return 0;
	}

	/** EPOLL_CTL_MOD. Errors: ENOENT, EINVAL (an exclusive item). */
	modify(fd: number, description: FileDescription, events: number, dataLow: number, dataHigh: number): number {
		const item = this.find(fd, description);
		if (item === null) return -ENOENT;
		if (item.isExclusive) return -EINVAL;
		item.modify(events, dataLow, dataHigh);
		if (!item.isReady && item.poll() !== 0) this.markReady(item);
		return 0;
	}

	/** EPOLL_CTL_DEL. Errors: ENOENT. */
	delete(fd: number, description: FileDescription): number {
		const item = this.find(fd, description);
		if (item === null) return -ENOENT;
		this.remove(item);
		return 0;
	}

	/** The item goes: it was deleted, or its description was closed. */
	remove(item: EpollItem): void {
		const first = this.items.get(item.fd) ?? null;
		if (first === item) {
			if (item.nextSameFd === null) this.items.delete(item.fd);
			else this.items.set(item.fd, item.nextSameFd);
		} else {
			let previous = first;
			while (previous !== null && previous.nextSameFd !== item) previous = previous.nextSameFd;
			if (previous !== null) previous.nextSameFd = item.nextSameFd;
		}
		if (item.isReady) this.unready(item);
		this.detach(item);
	}

	private detach(item: EpollItem): void {
		item.detach();
		this.account.watches.add(-1);
		if (item.description instanceof Epoll) {
			this.nested.delete(item);
			item.description.watchers.delete(item);
		}
	}

	/** What the item at place `index` of those registered under `fd` stands for, or null. */
	target(fd: number, index: number): FileDescription | null {
		let item = this.items.get(fd) ?? null;
		for (let left = index; item !== null && left > 0; left--) item = item.nextSameFd;
		return item?.description ?? null;
	}

	private find(fd: number, description: FileDescription): EpollItem | null {
		let item = this.items.get(fd) ?? null;
		while (item !== null && item.description !== description) item = item.nextSameFd;
		return item;
	}

	// --- Nesting -------------------------------------------------------------------------------------------------

	/** Is `other` this instance, or below it? */
	private reaches(other: Epoll, seen = new Set<Epoll>()): boolean {
		if (this === other) return true;
		if (seen.has(this)) return false;
		seen.add(this);
		for (const item of this.nested) if ((item.description as Epoll).reaches(other, seen)) return true;
		return false;
	}

	/** Length of the longest chain of links down ("nested") or up ("watchers"). */
	private height(direction: 'nested' | 'watchers', known: Map<Epoll, number>): number {
		let height = known.get(this) ?? -1;
		if (height >= 0) return height;
		height = 0;
		for (const item of this[direction]) {
			const next = direction === 'nested' ? (item.description as Epoll) : item.epoll;
			height = Math.max(height, 1 + next.height(direction, known));
		}
		known.set(this, height);
		return height;
	}

	/** Has this instance, or one below it, more ways up than a wake-up may take? */
	private hasTooManyPaths(known: Map<Epoll, number>, seen = new Set<Epoll>()): boolean {
		if (seen.has(this)) return false;
		seen.add(this);
		if (this.pathsUp(known) > MAX_PATHS) return true;
		for (const item of this.nested) if ((item.description as Epoll).hasTooManyPaths(known, seen)) return true;
		return false;
	}

	private pathsUp(known: Map<Epoll, number>): number {
		let paths = known.get(this) ?? -1;
		if (paths >= 0) return paths;
		paths = 0;
		for (const item of this.watchers) paths += 1 + item.epoll.pathsUp(known);
		known.set(this, paths);
		return paths;
	}

	// --- Readiness -----------------------------------------------------------------------------------------------

	/** A wake-up reached the item. True if someone waits in epoll_wait for it. */
	markReady(item: EpollItem): boolean {
		if (!item.isReady) this.pushReady(item);
		const hasSleepers = !this.sleepers.isEmpty;
		if (hasSleepers) this.sleepers.wake();
		this.waiters.wake(READABLE);
		return hasSleepers;
	}

	private pushReady(item: EpollItem): void {
		item.isReady = true;
		item.previousReady = this.readyTail;
		item.nextReady = null;
		if (this.readyTail === null) this.readyHead = item;
		else this.readyTail.nextReady = item;
		this.readyTail = item;
		this.readyCount++;
	}

	private unshiftReady(item: EpollItem): void {
		item.isReady = true;
		item.previousReady = null;
		item.nextReady = this.readyHead;
		if (this.readyHead === null) this.readyTail = item;
		else this.readyHead.previousReady = item;
		this.readyHead = item;
		this.readyCount++;
	}

	private unready(item: EpollItem): void {
		item.isReady = false;
		if (item.previousReady === null) this.readyHead = item.nextReady;
		else item.previousReady.nextReady = item.nextReady;
		if (item.nextReady === null) this.readyTail = item.previousReady;
		else item.nextReady.previousReady = item.previousReady;
		item.nextReady = item.previousReady = null;
		this.readyCount--;
	}

	/**
	 * Delivers up to `maximum` events to the array at `address`: how many, 0 when nothing is ready. A level-triggered item goes to the end of the ready
	 * list and is looked at again next time, after all others. Errors: EFAULT if not even the first could be stored; what wasn't stays ready.
	 */
	deliver(task: Task, address: number, maximum: number): number {
		const limit = Math.min(maximum, MAX_DELIVERED);
		let count = 0;
		for (let left = this.readyCount; left > 0 && count < limit; left--) {
			const item = this.readyHead!;
			this.unready(item);
			const events = item.poll();
			if (events === 0) continue;
			const at = count * EPOLL_EVENT_BYTES;
			scratchView.setUint32(at + EPOLL_EVENT_EVENTS, events >>> 0, true);
			scratchView.setInt32(at + EPOLL_EVENT_DATA_LOW, item.dataLow, true);
			scratchView.setInt32(at + EPOLL_EVENT_DATA_HIGH, item.dataHigh, true);
			delivered[count++] = item;
		}
		if (count === 0) return 0;
		const stored = copyOut(task.tid, address, count * EPOLL_EVENT_BYTES) === 0 ? count : this.storeSome(task, address, count);
		for (let i = count - 1; i >= stored; i--) if (!delivered[i]!.isReady) this.unshiftReady(delivered[i]!);
		for (let i = 0; i < stored; i++) {
			const item = delivered[i]!;
			if (item.isOneShot) item.disable();
			else if (!item.isEdgeTriggered && !item.isReady) this.pushReady(item);
		}
		// References to items that may be deleted soon aren't kept.
		delivered.length = 0;
		// The wake-up for these went to one sleeper alone: what is left is the next one's.
		if (this.readyCount > 0) this.sleepers.wake();
		return stored > 0 ? stored : -EFAULT;
	}

	/** The guest's array is shorter than its call says: how many events fit in. */
	private storeSome(task: Task, address: number, count: number): number {
		let stored = 0;
		while (stored < count) {
			const at = stored * EPOLL_EVENT_BYTES;
			if (copyOut(task.tid, address + at, EPOLL_EVENT_BYTES, at) < 0) break;
			stored++;
		}
		return stored;
	}

	/** Blocks until an item may be ready. */
	sleep(task: Task): number {
		return task.blockOn(this.sleepers, WAKE_ANY, true);
	}
}
