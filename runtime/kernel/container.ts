import { native } from '../native.js';
import { IpcNamespace } from './ipc/sysv/ipc-namespace.js';
import type { Kernel } from './kernel.js';
import type { ThreadGroup } from './task/thread-group.js';
import type { MountNamespace } from './vfs/mount.js';
import { Path } from './vfs/path.js';

/** System calls by how they ended, for the user to see. */
export interface CallCounts {
	trapped: number;
	continued: number;
	lent: number;
	/** Calls that no handler exists for, by name. */
	missing: Map<string, number>;
}

/**
 * A container: an init process and its descendants in a PID namespace, mount namespace and UTS namespace of their own.
 */
export class Container {
	/** Processes alive, by pid (the sandbox process's view). */
	readonly groups = new Map<number, ThreadGroup>();
	init: ThreadGroup | null = null;
	/** The container's PID namespace; -1 before its first process. Owned. */
	pidNamespaceFd = -1;
	/** Where its devpts is mounted: the root of what names its terminals; null without one. */
	devpts: Path | null = null;
	/** init's wait status once it ended; null while it lives. */
	exitStatus: number | null = null;
	/** The host is freezing its processes: none may stay in a blocked call (facts/traps.md 5). */
	isPaused = false;
	/** System V objects and POSIX queues of its processes. */
	readonly ipc = new IpcNamespace();
	readonly counts: CallCounts = { trapped: 0, continued: 0, lent: 0, missing: new Map() };

	constructor(
		readonly kernel: Kernel,
		readonly id: string,
		readonly mounts: MountNamespace,
		/** uname(2) nodename, sethostname(2). */
		public hostname: string,
		public domainname: string,
	) {}

	/** The root of the container's tree. */
	get rootPath(): Path {
		return new Path(this.mounts.root, this.mounts.root.root);
	}

	/** init has ended: the host kills the rest of the PID namespace. */
	initEnded(status: number): void {
		this.exitStatus = status;
	}

	/** Nobody lives in it any more: gives back what it holds of the host, its trees above all, which its file systems own. */
	dispose(): void {
		for (const fs of new Set([...this.mounts.all()].map((mount) => mount.fs))) fs.dispose();
		if (this.pidNamespaceFd >= 0) native.close(this.pidNamespaceFd);
		this.pidNamespaceFd = -1;
	}

	/** A pid or tid as the container's processes see it; 0 if the host doesn't know it (gone, or outside). */
	insideId(id: number, isThread = false): number {
		const inside = native.translatePid(this.pidNamespaceFd, id, isThread, true);
		return Math.max(0, inside);
	}

	/** The sandbox process's id of a guest's pid or tid; 0 if there is none. */
	outsideId(id: number, isThread = false): number {
		if (id <= 0) return 0;
		const outside = native.translatePid(this.pidNamespaceFd, id, isThread, false);
		return Math.max(0, outside);
	}

	/** The process with the guest's pid `id`, or null. */
	groupByInsideId(id: number): ThreadGroup | null {
		return this.groups.get(this.outsideId(id)) ?? null;
	}
}
