/** What `isopod debug` is told of a container and its sandbox process. */
export interface SandboxReport {
	/** The first ones: how many there are in all is told beside. */
	readonly tasks: readonly TaskReport[];
	readonly threadCount: number;
	readonly descriptors: readonly DescriptorReport[];
	readonly descriptorCount: number;
	readonly mounts: readonly MountReport[];
	readonly queues: QueueReport;
	/** Traps by call, the most frequent first; of all containers of the sandbox process. */
	readonly calls: readonly { readonly name: string; readonly count: number }[];
	readonly memory: MemoryReport;
}

export interface TaskReport {
	/** Process and thread as the container sees them. */
	readonly pid: number;
	readonly tid: number;
	/** The same as the sandbox process sees them. */
	readonly outsidePid: number;
	readonly outsideTid: number;
	readonly name: string;
	readonly state: 'running' | 'in a trap' | 'blocked';
	/** The call that is being handled or blocks, with its arguments; "" for none. */
	readonly call: string;
	/** How long it has blocked, in ms; null when it doesn't. */
	readonly blockedMs: number | null;
	/** When its call ends by itself, in ms from now; null for never. */
	readonly deadlineMs: number | null;
	/** Wait queues that its call stands on. */
	readonly queues: number;
}

export interface DescriptorReport {
	readonly pid: number;
	readonly fd: number;
	/** What it is open on, as /proc/PID/fd shows it. */
	readonly target: string;
	readonly access: string;
	readonly offset: number;
	/** Who waits for it: blocked calls, poll sets, epoll instances. */
	readonly waiters: number;
}

export interface MountReport {
	readonly place: string;
	readonly type: string;
	readonly source: string;
	readonly isReadOnly: boolean;
	readonly options: string;
}

export interface QueueReport {
	/** Tasks that were woken and whose calls run again in this turn. */
	readonly runnable: number;
	readonly timers: number;
	/** When the first timer fires, in ms from now; null without any. */
	readonly nextTimerMs: number | null;
	/** Host descriptors, processes and lends that the loop listens to. */
	readonly endpoints: number;
	readonly threads: number;
	readonly processes: number;
}

export interface MemoryReport {
	readonly residentBytes: number;
	readonly heapUsedBytes: number;
	readonly heapTotalBytes: number;
	readonly externalBytes: number;
}
