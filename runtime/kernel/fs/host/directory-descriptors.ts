import { native } from '../../../native.js';
import type { HostInode } from './host-inode.js';

/** Host descriptors of directories kept open per sandbox, all trees together. */
const MAX_DESCRIPTORS = 2048;

/**
 * The O_PATH descriptors of host directories, the least used given up first (second chance: `HostInode.isRecentlyUsed`). An inode whose descriptor was
 * given up opens it again by its name in its parent.
 */
class DirectoryDescriptors {
	/** In order of their last chance. */
	private readonly holders = new Set<HostInode>();

	/** `inode` has opened its descriptor. It stays open at least until the next `add`. */
	add(inode: HostInode): void {
		if (this.holders.size >= MAX_DESCRIPTORS) this.evict();
		this.holders.add(inode);
	}

	remove(inode: HostInode): void {
		this.holders.delete(inode);
	}

	private evict(): void {
		for (const inode of this.holders) {
			this.holders.delete(inode);
			if (inode.isRecentlyUsed && inode.directoryFd >= 0) {
				inode.isRecentlyUsed = false;
				this.holders.add(inode);
				continue;
			}
			if (inode.directoryFd >= 0) native.close(inode.directoryFd);
			inode.directoryFd = -1;
			return;
		}
	}
}

export const directoryDescriptors = new DirectoryDescriptors();
