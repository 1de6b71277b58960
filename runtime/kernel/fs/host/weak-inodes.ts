import { createContext, Script } from 'node:vm';

/** Look-ups between two times that the engine is told to let go of what weak references have handed out. */
const LOOKUPS_PER_RELEASE = 8192;
/** Entries below which nothing is swept. */
const MIN_SWEEP = 4096;

/**
 * What a WeakRef has handed out stays alive until the current job of the event loop ends, and the guest kernel's loop is one job that never ends.
 * A script whose microtasks run when it was evaluated ends that span (2.6 µs).
 */
const endOfJob = new Script('0');
const endOfJobContext = createContext({}, { microtaskMode: 'afterEvaluate' });

function releaseKeptReferences(): void {
	endOfJob.runInContext(endOfJobContext);
}

/**
 * What there is for files of the host that somebody still holds, by the host's device and inode number: the inodes of a tree (a dentry, a description, a child
 * inode hold them), so that two names of one file give one inode. Holds none of them itself.
 */
export class WeakInodes<T extends object> {
	/** By device, then by inode number: no key strings on the path of a look-up. */
	private readonly devices = new Map<number, Map<number, WeakRef<T>>>();
	private size = 0;
	private sweepAt = MIN_SWEEP;
	private lookups = 0;

	get isEmpty(): boolean {
		return this.size === 0;
	}

	get(dev: number, ino: number): T | undefined {
		if (++this.lookups >= LOOKUPS_PER_RELEASE) {
			this.lookups = 0;
			releaseKeptReferences();
		}
		return this.devices.get(dev)?.get(ino)?.deref();
	}

	set(dev: number, ino: number, inode: T): void {
		let inodes = this.devices.get(dev);
		if (inodes === undefined) {
			inodes = new Map();
			this.devices.set(dev, inodes);
		}
		const before = inodes.size;
		inodes.set(ino, new WeakRef(inode));
		this.size += inodes.size - before;
		if (this.size >= this.sweepAt) this.sweep();
	}

	/** Forgets `inode`, if it is the one that is known by its number: the file is gone and the number may come back. */
	delete(dev: number, ino: number, inode: T): void {
		const inodes = this.devices.get(dev);
		const known = inodes?.get(ino);
		if (known === undefined || known.deref() !== inode) return;
		inodes!.delete(ino);
		this.size--;
	}

	/** Drops what nobody holds any more. Runs when a quarter more entries have come since the last time, so that its cost is spread. */
	private sweep(): void {
		releaseKeptReferences();
		for (const inodes of this.devices.values()) {
			for (const [ino, reference] of inodes) {
				if (reference.deref() !== undefined) continue;
				inodes.delete(ino);
				this.size--;
			}
		}
		releaseKeptReferences();
		this.sweepAt = Math.max(MIN_SWEEP, Math.ceil(this.size * 1.25));
	}
}
