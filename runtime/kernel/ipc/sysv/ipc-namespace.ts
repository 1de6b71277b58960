import { bounds } from '../../bounds.js';
import { MqueueFileSystem } from '../../fs/mqueue/mqueue-file-system.js';
import type { ThreadGroup } from '../../task/thread-group.js';
import { IpcTable } from './ipc-table.js';
import type { MessageQueue } from './message-queue.js';
import { type SemaphoreSet, UndoAccount } from './semaphore-set.js';
import type { SharedMemory } from './shared-memory.js';

/** Semaphores of one set, and operations of one call (SEMMSL, SEMOPM). */
export const SEMMSL = 32000;
export const SEMOPM = 500;

/** What sysvipc(7) calls an IPC namespace: System V objects that the processes of a container share. */
export class IpcNamespace {
	readonly semaphores = new IpcTable<SemaphoreSet>(bounds.semaphoreSets);
	readonly queues = new IpcTable<MessageQueue>(bounds.messageQueues);
	readonly segments = new IpcTable<SharedMemory>(bounds.sharedSegments);
	readonly posixQueues = new MqueueFileSystem();
	readonly undo = new UndoAccount();
	/** Semaphores of all sets. */
	semaphoreCount = 0;
	/** Bytes of all messages in all queues. */
	messageBytes = 0;
	/** Pages of all segments. */
	segmentPages = 0;

	/** A process has ended: adjustments are given back, segments detached. */
	groupEnded(group: ThreadGroup): void {
		if (group.semaphoreUndo !== null) {
			for (const [set, adjustments] of group.semaphoreUndo) {
				this.undo.release(adjustments);
				set.undo(adjustments, group.insideId);
			}
			group.semaphoreUndo = null;
		}
		this.detachAll(group);
	}

	/** The process has another program, or none. */
	detachAll(group: ThreadGroup): void {
		const { attachments } = group;
		if (attachments === null) return;
		group.attachments = null;
		for (const segment of attachments.values()) this.detach(segment, group);
	}

	/** One mapping of a segment is gone; the last one of a removed segment takes it along. */
	detach(segment: SharedMemory, group: ThreadGroup): void {
		segment.detached(group.insideId);
		if (segment.isDoomed && segment.attachCount === 0) this.removeSegment(segment);
	}

	/** The segment goes for good. */
	removeSegment(segment: SharedMemory): void {
		this.segments.remove(segment);
		this.segmentPages -= segment.pages;
		segment.release();
	}

	/** fork(2): the child has what its parent has mapped. */
	inherit(parent: ThreadGroup, child: ThreadGroup): void {
		if (parent.attachments === null || parent.attachments.size === 0) return;
		child.attachments = new Map(parent.attachments);
		for (const segment of child.attachments.values()) segment.attached(parent.insideId);
	}
}
