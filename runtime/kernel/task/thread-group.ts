import { native } from '../../native.js';
import { SIGKILL, SIGSTOP } from '../abi/signal-numbers.js';
import type { Container } from '../container.js';
import type { AioContext } from '../event/aio-context.js';
import type { PosixTimers } from '../event/posix-timers.js';
import type { Timer } from '../event/timers.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { Adjustments, SemaphoreSet } from '../ipc/sysv/semaphore-set.js';
import type { SharedMemory } from '../ipc/sysv/shared-memory.js';
import type { DescriptorTable } from '../vfs/descriptor-table.js';
import type { Path } from '../vfs/path.js';
import type { Credentials } from './credentials.js';
import type { FileSystemContext } from './file-system-context.js';
import type { FilterHold } from './filter-hold.js';
import type { PendingFork } from './forks.js';
import type { KeptSignals } from './kept-signals.js';
import type { Limits } from './limits.js';
import type { MemoryPolicies } from './memory-policy.js';
import { RunningProgram } from './running-programs.js';
import type { Task } from './task.js';
import type { ExecPlan } from './task-exec.js';

const oneByte = Buffer.alloc(1);

/**
 * A guest process (Linux: signal_struct and what threads share). Its host process has the same id; ids here are the sandbox process's
 * view, `container.insideId` gives the guest's.
 */
export class ThreadGroup {
	/** Threads that have trapped, by tid. */
	readonly tasks = new Map<number, Task>();
	/** Bumped by each exec: tells one program's traps from the next one's. */
	incarnation = 0;
	/** See `executable`. */
	private program: RunningProgram | null = null;
	/** What /proc/PID/exe shows, and whether its environment and memory are its own user's to read (PR_SET_DUMPABLE). */
	isDumpable = true;
	/** An exec that was checked and continued, and that the loader has not asked for yet. */
	pendingExec: ExecPlan | null = null;
	/** Its SIGCHLD handler was set without SA_RESTART: see sysRtSigaction. */
	isChildSignalInterrupting = false;
	/** Signals sent to it, by the guest kernel or (children's ends) by the host: see Task.signalsSeen. */
	signalsSent = 0;
	/** Signals for the process that are kept for a signalfd; null before the first. */
	kept: KeptSignals | null = null;
	/** `insideId`, once asked for: the host doesn't know it any more when the process is gone. */
	private knownInsideId = 0;
	/** What it has to give back of semaphores when it ends (SEM_UNDO); null without any. */
	semaphoreUndo: Map<SemaphoreSet, Adjustments> | null = null;
	/** Segments that it has mapped, by address; null without any. */
	attachments: Map<number, SharedMemory> | null = null;
	/** Seccomp filters of its own, and of its ancestors; null without any. */
	filters: FilterHold | null = null;
	/** Policies of parts of its memory; null without any. */
	memoryPolicies: MemoryPolicies | null = null;
	/** A fork in flight whose child would be told by the same cookie: others of the group wait until it is over. */
	fork: PendingFork | null = null;
	readonly forkQueue = new WaitQueue();
	/** Execs of the group wait for the one in flight. */
	readonly execQueue = new WaitQueue();
	/** pidfd under watch; owned by the addon. */
	pidfd = -1;
	isDead = false;
	/** Started by the sandbox process itself (init, or an exec), which reaps it. */
	isSpawned = false;
	/** What a spawned process is to run: consumed by its first execve, which waits on `execQueue` while it is held. */
	spawn: { readonly path: Path; readonly name: string; isHeld: boolean } | null = null;
	/** Told its wait status once it ended; for spawned ones. */
	onEnd: ((status: number) => void) | null = null;
	/** What the host says of the program's stack, to tell a new program from the old one: see task-exec.ts. */
	stackStart = '';
	/** ITIMER_REAL and alarm(2). Interval in ns, 0 for one shot. */
	realTimer: Timer | null = null;
	realTimerIntervalNs = 0;
	/** timer_create(2)'s; null before the first. They belong to the program. */
	posixTimers: PosixTimers | null = null;
	/** Contexts of io_setup(2) by id; null without any. They belong to the program: exec and the end of the process destroy them. */
	aio: Map<number, AioContext> | null = null;
	/** PR_SET_KEEPCAPS. */
	keepCapabilities = false;
	/** A script's interpreter, its argument and the script's path, which stand in for the first arguments of the exec that started it: for /proc/PID/cmdline. */
	scriptArguments: { readonly dropArguments: number; readonly strings: readonly string[] } | null = null;
	/** /proc/PID/oom_score_adj, and how low it may be set without CAP_SYS_RESOURCE. Inherited by fork. */
	oomScoreAdj = 0;
	oomScoreAdjMin = 0;
	/** Start of the process, monotonic ns, for /proc/PID/stat. */
	readonly startNs = native.monotonicNs();

	constructor(
		readonly container: Container,
		/** Thread group id as the sandbox process sees it. */
		readonly pid: number,
		/** The forking group's pid; the host knows the current parent. */
		readonly parentPid: number,
		/** Its identity cookie (facts/traps.md 22, 23): inherited by fork, so that a child tells which fork made it. */
		public cookie: number,
		public files: DescriptorTable,
		public fs: FileSystemContext,
		public limits: Limits,
		/** What a thread that traps for the first time acts as. */
		public credentials: Credentials,
	) {}

	/** The program that runs: /proc/PID/exe. Null before the first exec, and after the end. */
	get executable(): Path | null {
		return this.program?.path ?? null;
	}
	/** Another program runs, or none any more: who held the file against writing lets go of it. */
	setExecutable(path: Path | null): void {
		const old = this.program;
		this.program = path === null ? null : new RunningProgram(path);
		old?.release();
	}

	/** Its id as its container sees it; 0 if nobody has asked while it lived. */
	get insideId(): number {
		return this.knownInsideId === 0 ? this.learnInsideId() : this.knownInsideId;
	}
	/** Asks the host for `insideId`, which can't be asked for once the process is gone. */
	learnInsideId(): number {
		this.knownInsideId = this.container.insideId(this.pid);
		return this.knownInsideId;
	}
	/** The program is gone, by exec or by the end of the process. */
	destroyAio(): void {
		if (this.aio !== null) for (const context of this.aio.values()) context.destroy();
		this.aio = null;
	}

	get isInit(): boolean {
		return this.container.pids.init === this;
	}
	/** From the sandbox process the host would force them on a container's init; inside, they do nothing (pid_namespaces(7)). */
	isImmuneTo(signal: number): boolean {
		return this.isInit && (signal === SIGKILL || signal === SIGSTOP);
	}
	/** Is `tid` (the sandbox process's view) one of its threads? One that has never trapped is known to the host alone. */
	hasThread(tid: number): boolean {
		return this.tasks.has(tid) || native.readProcFile(`${this.pid}/task/${tid}/stat`, oneByte) > 0;
	}
}
