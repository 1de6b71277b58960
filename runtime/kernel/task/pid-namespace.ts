import { native } from '../../native.js';
import type { ThreadGroup } from './thread-group.js';

/** How processes are numbered, and which of them see each other (pid_namespaces(7)): one container's, or one for several containers of a pod. */
export class PidNamespace {
	/** Processes alive, by pid (the sandbox process's view). */
	readonly groups = new Map<number, ThreadGroup>();
	/** Its number 1; null before the first process. When it ends, the host kills the rest. */
	init: ThreadGroup | null = null;
	/** The host's; -1 before the first process. Owned. */
	private fd = -1;

	/** `init` is the first process. */
	begin(init: ThreadGroup): void {
		this.init = init;
		this.fd = native.openNamespace(init.pid, 'pid');
	}

	dispose(): void {
		if (this.fd >= 0) native.close(this.fd);
		this.fd = -1;
	}

	/** A pid or tid as the guests see it; 0 if the host doesn't know it (gone, or outside). */
	insideId(id: number, isThread: boolean): number {
		return Math.max(0, native.translatePid(this.fd, id, isThread, true));
	}

	/** The sandbox process's id of a guest's pid or tid; 0 if there is none. */
	outsideId(id: number, isThread: boolean): number {
		return id <= 0 ? 0 : Math.max(0, native.translatePid(this.fd, id, isThread, false));
	}
}
