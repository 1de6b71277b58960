import { native } from '../../../native.js';
import type { HostFileSystem } from './host-file-system.js';
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

	/** Closes `inode`'s descriptor: the directory is gone. */
	close(inode: HostInode): void {
		if (!this.holders.delete(inode)) return;
		native.close(inode.directoryFd);
		inode.directoryFd = -1;
	}

	/** Closes what directories of one tree have open. */
	closeAll(fs: HostFileSystem): void {
		for (const inode of this.holders) {
			if (inode.fs !== fs) continue;
			this.holders.delete(inode);
			native.close(inode.directoryFd);
			inode.directoryFd = -1;
		}
	}

	private evict(): void {
		for (const inode of this.holders) {
			this.holders.delete(inode);
			if (inode.isRecentlyUsed) {
				inode.isRecentlyUsed = false;
				this.holders.add(inode);
				continue;
			}
			native.close(inode.directoryFd);
			inode.directoryFd = -1;
			return;
		}
	}
}

export const directoryDescriptors = new DirectoryDescriptors();
