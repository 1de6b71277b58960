import { PAGE_SIZE } from './abi/limits.js';
import { bounds } from './bounds.js';
import { TmpfsPool } from './fs/tmpfs/tmp-file-system.js';
import { IpcNamespace } from './ipc/sysv/ipc-namespace.js';
import type { Kernel } from './kernel.js';
import { OwnMounts } from './task/mount-use.js';
import { PidNamespace } from './task/pid-namespace.js';
import type { ThreadGroup } from './task/thread-group.js';
import type { UtsNamespace } from './uts-namespace.js';
import type { Dentry } from './vfs/dentry.js';
import type { FileSystem } from './vfs/inode.js';
import type { MountNamespace } from './vfs/mount.js';
import { Path } from './vfs/path.js';

/** What tmpfs file systems that a container's processes mount may hold together: it is the sandbox process's memory. */
const TMPFS_BYTES = 256 << 20;
const TMPFS_INODES = 65536;

/** System calls by how they ended, for the user to see. */
export interface CallCounts {
	trapped: number;
	continued: number;
	lent: number;
	/** Calls that no handler exists for, by name. */
	missing: Map<string, number>;
}

/**
 * A container: a first process and its descendants, with mounts of their own. The other namespaces are its own, or those of the pod's first container.
 * (The network is the pod's, always.)
 */
export class Container {
	/** Its processes alive, by pid (the sandbox process's view). */
	readonly groups = new Map<number, ThreadGroup>();
	/** Its first process: the container ends with it. Number 1 where the PID namespace is its own. */
	init: ThreadGroup | null = null;
	/** Where its devpts is mounted: the root of what names its terminals; null without one. */
	devpts: Path | null = null;
	/** init's wait status once it ended; null while it lives. */
	exitStatus: number | null = null;
	/** Called when its last process has ended. */
	onEmpty: (() => void) | null = null;
	/** The host is freezing its processes: none may stay in a blocked call (facts/traps.md 5). */
	isPaused = false;
	/** Seccomp filters that its processes begin with: the sandbox's, and those that the sandbox itself runs under. */
	filterCount = 1;
	/** Its processes begin with a seccomp profile of its own, which is in the sandbox's filter, and shown as Linux shows it. */
	hasSeccompProfile = false;
	/** POSIX timers of its processes. */
	posixTimerCount = 0;
	/** Guest names of mapped host files: "major:minor inode" as in /proc/PID/maps → where it was opened. */
	readonly mappedNames = new Map<string, Path>();
	/** Most memory that it may use; Infinity without a limit. Changed by `isopod update`. */
	memoryLimitBytes = Number.POSITIVE_INFINITY;
	/** What its processes mount. */
	readonly ownMounts = new OwnMounts(this);
	/** What all tmpfs that its processes mount may hold together. */
	readonly tmpfsPool = new TmpfsPool(TMPFS_BYTES / PAGE_SIZE, TMPFS_INODES);
	/** File systems of which it has one: proc, sysfs, cgroup2, mqueue, once one of its processes has mounted it. */
	readonly systems = new Map<string, { readonly root: Dentry; readonly options: string }>();
	readonly counts: CallCounts = { trapped: 0, continued: 0, lent: 0, missing: new Map() };

	/** File systems of the operator's mounts. Owned. */
	private readonly fileSystems = new Set<FileSystem>();

	constructor(
		readonly kernel: Kernel,
		readonly id: string,
		readonly mounts: MountNamespace,
		readonly uts: UtsNamespace,
		/** System V objects and POSIX queues of its processes. */
		readonly ipc = new IpcNamespace(),
		readonly pids = new PidNamespace(),
	) {}

	/** The root of the container's tree. */
	get rootPath(): Path {
		const { root } = this.mounts;
		const { mount, dentry } = root.topmost(root.root);
		return new Path(mount, dentry);
	}

	/** Its tree is complete: the file systems are the container's for as long as it lives, whatever its processes unmount. */
	keepFileSystems(): void {
		for (const { fs } of this.mounts.all()) this.fileSystems.add(fs);
	}

	/** Are its processes alone in their PID namespace? */
	get hasOwnPids(): boolean {
		return this.pids.init === this.init;
	}

	/** Nobody lives in it any more: gives back what it holds of the host, its trees above all, which its file systems own. */
	dispose(): void {
		for (const fs of this.fileSystems) fs.dispose();
		this.ownMounts.dispose();
		if (this.hasOwnPids) this.pids.dispose();
	}

	/** Remembers the guest's name of a file that is about to be mapped, for /proc/PID/maps. Bounded: the oldest names go. */
	rememberMapping(path: Path): void {
		const key = path.dentry.inode?.mappingKey() ?? null;
		if (key === null || this.mappedNames.get(key) === path) return;
		if (this.mappedNames.size >= bounds.mappedNames) {
			for (const oldest of this.mappedNames.keys()) {
				this.mappedNames.delete(oldest);
				break;
			}
		}
		this.mappedNames.set(key, path);
	}

	/** A pid or tid as the container's processes see it; 0 if the host doesn't know it (gone, or outside). */
	insideId(id: number, isThread = false): number {
		return this.pids.insideId(id, isThread);
	}

	/** The sandbox process's id of a guest's pid or tid; 0 if there is none. */
	outsideId(id: number, isThread = false): number {
		return this.pids.outsideId(id, isThread);
	}

	/** The process with the guest's pid `id`, or null. */
	groupByInsideId(id: number): ThreadGroup | null {
		return this.pids.groups.get(this.outsideId(id)) ?? null;
	}
}
