import { O_PATH } from '../abi/fcntl.js';
import { POLLERR, POLLHUP, POLLNVAL } from '../abi/poll-constants.js';
import type { Task } from '../task/task.js';
import type { FileDescription } from '../vfs/file-description.js';

/**
 * What a blocked poll(2) or select(2) waits for. Holds its descriptions open, as the call on Linux does, so that a descriptor that is closed or
 * changes hands meanwhile doesn't change what is waited for. Kept in `trap.state`.
 */
export class PollSet {
	private readonly descriptions: (FileDescription | null)[] = [];
	/** Events asked for, per entry; with POLLERR and POLLHUP. */
	private readonly events: number[] = [];

	/** The call's timeout, as it was given. */
	timeoutNs = 0;

	/** Adds an entry: null for one that never becomes ready. */
	add(description: FileDescription | null, events: number): void {
		this.descriptions.push(description?.acquire() ?? null);
		this.events.push(events);
	}

	/** Which of its events hold for entry `index` now. */
	poll(index: number): number {
		const description = this.descriptions[index];
		return description == null ? 0 : description.poll() & this.events[index]!;
	}

	/** Puts the task on the queue of every entry. */
	wait(task: Task): void {
		for (let i = 0; i < this.descriptions.length; i++) {
			const description = this.descriptions[i];
			if (description != null) task.waitOn(description.waiters, this.events[i]!);
		}
	}

	/** The call is over. */
	dispose(): void {
		for (const description of this.descriptions) description?.release();
		this.descriptions.length = this.events.length = 0;
	}
}

/** The events that a pollfd asks for, and those that are always reported. */
export function eventFilter(events: number): number {
	return events | POLLERR | POLLHUP;
}

/** What holds for a descriptor now, out of `filter`: POLLNVAL alone for one that isn't open. */
export function pollDescription(description: FileDescription | null, filter: number): number {
	if (description === null || (description.flags & O_PATH) !== 0) return POLLNVAL;
	return description.poll() & filter;
}
