import { EBADF, EMFILE, ENFILE } from '../abi/errno.js';
import { bounds } from '../bounds.js';
import type { Task } from '../task/task.js';
import type { FileDescription } from './file-description.js';

/** Where a number's native lent descriptor stands. */
export const LENT_NONE = 0;
/** The host's descriptor of this number was lent for the description that has the number now. */
export const LENT_CURRENT = 1;
/** One was lent for a description that has lost the number since: to be replaced before the next mapping. */
export const LENT_STALE = 2;

/** Numbers in use in all tables. */
let usedCount = 0;

/** May `count` more numbers be used, in whichever table? */
export function hasDescriptors(count: number): boolean {
	return usedCount + count <= bounds.descriptors;
}

/**
 * Descriptor numbers of one process (Linux: files_struct); shared by threads and by CLONE_FILES. Owns one reference to each description in it.
 *
 * Beside each number stands whether the host's process has a lent descriptor of that number (DESIGN.md, lent descriptors): the native table
 * has the very same sharing, as fork, threads and exec treat both alike.
 */
export class DescriptorTable {
	private references = 1;
	private readonly slots: (FileDescription | null)[] = [];
	private readonly closeOnExec: boolean[] = [];
	private lent: Uint8Array = new Uint8Array(16);
	/** Every number below is in use: where the search for a free one starts. */
	private firstFree = 0;
	private count = 0;

	get size(): number {
		return this.slots.length;
	}
	/** Descriptors in use. */
	get used(): number {
		return this.count;
	}

	acquire(): this {
		this.references++;
		return this;
	}

	/** Drops a reference; the last one closes everything. */
	release(task: Task): void {
		if (--this.references === 0) for (let fd = 0; fd < this.slots.length; fd++) this.remove(fd, task);
	}

	get isShared(): boolean {
		return this.references > 1;
	}

	/** The description, or null (EBADF). */
	get(fd: number): FileDescription | null {
		return this.slots[fd] ?? null;
	}

	/**
	 * Puts a description (its reference moves in) at the lowest free number from `from` on. Errors: EMFILE (`limit` reached), ENFILE (the pod's bound), EINVAL
	 * by the caller.
	 */
	add(description: FileDescription, isCloseOnExec: boolean, limit: number, from = 0): number {
		let fd = Math.max(from, this.firstFree);
		while (fd < this.slots.length && this.slots[fd] != null) fd++;
		if (fd >= limit) return -EMFILE;
		if (!hasDescriptors(1)) return -ENFILE;
		this.put(fd, description, isCloseOnExec);
		if (from <= this.firstFree) this.firstFree = fd + 1;
		return fd;
	}

	/** Puts a description at `fd`, whatever was there is released. */
	set(fd: number, description: FileDescription, isCloseOnExec: boolean, task: Task): void {
		this.remove(fd, task);
		this.put(fd, description, isCloseOnExec);
	}

	/** close(2). Errors: EBADF. */
	close(fd: number, task: Task): number {
		return this.remove(fd, task) ? 0 : -EBADF;
	}

	isCloseOnExec(fd: number): boolean {
		return this.closeOnExec[fd] ?? false;
	}
	setCloseOnExec(fd: number, isOn: boolean): void {
		this.closeOnExec[fd] = isOn;
	}

	/** A copy for fork: the same descriptions, one more reference each. */
	copy(): DescriptorTable {
		const copy = new DescriptorTable();
		for (let fd = 0; fd < this.slots.length; fd++) {
			const description = this.slots[fd];
			if (description != null) copy.put(fd, description.acquire(), this.closeOnExec[fd] ?? false);
		}
		copy.lent = this.lent.slice();
		copy.firstFree = this.firstFree;
		return copy;
	}

	/** exec: closes what is close-on-exec. The host has closed every lent descriptor. */
	exec(task: Task): void {
		for (let fd = 0; fd < this.slots.length; fd++) if (this.slots[fd] != null && this.closeOnExec[fd]) this.close(fd, task);
		this.lent.fill(LENT_NONE);
	}

	/** Numbers in use, ascending. */
	*numbers(): Generator<number> {
		for (let fd = 0; fd < this.slots.length; fd++) if (this.slots[fd] != null) yield fd;
	}

	lentState(fd: number): number {
		return this.lent[fd] ?? LENT_NONE;
	}
	setLentState(fd: number, state: number): void {
		if (fd >= this.lent.length) {
			const grown = new Uint8Array(Math.max(fd + 1, this.lent.length * 2));
			grown.set(this.lent);
			this.lent = grown;
		}
		this.lent[fd] = state;
	}

	private put(fd: number, description: FileDescription, isCloseOnExec: boolean): void {
		while (this.slots.length < fd) {
			this.slots.push(null);
			this.closeOnExec.push(false);
		}
		this.slots[fd] = description;
		this.closeOnExec[fd] = isCloseOnExec;
		this.count++;
		usedCount++;
	}

	private remove(fd: number, task: Task): boolean {
		const description = this.slots[fd] ?? null;
		if (description === null) return false;
		this.slots[fd] = null;
		this.count--;
		usedCount--;
		if (fd < this.firstFree) this.firstFree = fd;
		if (this.lentState(fd) === LENT_CURRENT) this.setLentState(fd, LENT_STALE);
		description.flush(task);
		description.release();
		return true;
	}
}
