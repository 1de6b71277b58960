import { native } from '../../native.js';
import { EINTR, EIO, ENOSYS, ERESTARTNOHAND, ERESTARTSYS } from '../abi/errno.js';
import type { Kernel } from '../kernel.js';
import { ANSWERED, BLOCKED, CONTINUE } from '../task/blocked.js';
import { identify } from '../task/identify.js';
import { type Task, TaskState } from '../task/task.js';
import {
	EVENT_ENDED,
	EVENT_LISTENER_GONE,
	EVENT_TRAP,
	RECORD_WORDS,
	TRAP_ARGS,
	TRAP_ID_HIGH,
	TRAP_ID_LOW,
	TRAP_LISTENER,
	TRAP_NUMBER,
	TRAP_TID,
} from './records.js';
import { Tracer, type TraceSink } from './tracer.js';

/** A system call: a value >= 0, a negative errno, or BLOCKED, CONTINUE, ANSWERED. */
export type Handler = (task: Task, trap: Task['trap']) => number;

/** How a blocked call ends when a signal interrupts it (facts/traps.md 2). */
export type RestartClass = 'restart' | 'noHandler' | 'never';

/** What the dispatcher needs of a syscall table entry. */
export interface SyscallEntry {
	readonly number: number;
	readonly name: string;
	readonly handler: Handler | null;
	/** Errno of a call without a handler. */
	readonly missing?: number;
	readonly restart?: RestartClass;
}

const BATCH_RECORDS = 256;
/** Highest system-call number with a slot of its own, private ones included. */
const TABLE_SIZE = 0x1600;
const RESTART_CODES = { restart: -ERESTARTSYS, noHandler: -ERESTARTNOHAND, never: -EINTR };

/**
 * The loop: receives traps, sees ends of processes before the traps that may depend on them, runs handlers, answers.
 */
export class Dispatcher {
	private readonly batch = new Int32Array(BATCH_RECORDS * RECORD_WORDS);
	private handlers: readonly Handler[];
	/** The same while nothing is traced. */
	private readonly plainHandlers: readonly Handler[];
	/** Null while nobody traces, which then costs one test a trap. */
	private tracer: Tracer | null = null;
	/** Traps by number. */
	private readonly callCounts = new Float64Array(TABLE_SIZE);
	private readonly restartCodes = new Int32Array(TABLE_SIZE).fill(-ERESTARTSYS);
	private readonly names: string[] = [];
	private isStopping = false;

	constructor(
		private readonly kernel: Kernel,
		table: readonly SyscallEntry[],
	) {
		const handlers = new Array<Handler>(TABLE_SIZE).fill((task, trap) => this.missing(task, trap.number, `syscall_${trap.number}`, ENOSYS));
		for (const entry of table) {
			const { number, name, handler, missing = ENOSYS } = entry;
			handlers[number] = handler ?? ((task) => this.missing(task, number, name, missing));
			this.restartCodes[number] = RESTART_CODES[entry.restart ?? 'restart'];
			this.names[number] = name;
		}
		this.handlers = this.plainHandlers = handlers;
		native.setBatch(this.batch);
	}

	/** Runs turns until `stop`. `idle` is called before each wait: it returns false to end the loop. */
	run(): void {
		while (!this.isStopping) this.turn();
	}

	stop(): void {
		this.isStopping = true;
	}

	/** The Linux name of a call, for logs. */
	name(number: number): string {
		return this.names[number] ?? `syscall_${number}`;
	}

	/** How often each call has trapped, by name. */
	counts(): Map<string, number> {
		const counts = new Map<string, number>();
		this.callCounts.forEach((count, number) => {
			if (count > 0) counts.set(this.name(number), count);
		});
		return counts;
	}

	/** Shows calls to one more. */
	trace(sink: TraceSink): void {
		const tracer = this.tracer ?? new Tracer();
		tracer.add(sink);
		if (this.tracer !== null) return;
		this.tracer = tracer;
		this.handlers = this.plainHandlers.map((handler) => (task, trap) => {
			if (trap.isFirstRun) tracer.enter(task, this.name(trap.number));
			return handler(task, trap);
		});
	}

	/** A fork that the host was let do has made the process `pid`. */
	forked(parent: Task, pid: number): void {
		this.tracer?.exit(parent, '', parent.group.container.insideId(pid));
	}

	endTrace(sink: TraceSink): void {
		this.tracer?.remove(sink);
		if (!this.tracer?.isIdle) return;
		this.tracer = null;
		this.handlers = this.plainHandlers;
	}

	private turn(): void {
		const kernel = this.kernel;
		const count = native.wait(this.timeoutNs());
		const batch = this.batch;
		let offset = 0;
		for (let i = 0; i < count; i++, offset += RECORD_WORDS) {
			const kind = batch[offset]!;
			if (kind === EVENT_TRAP) this.receive(offset);
			// Its key is the listener's, no endpoint's; whose guests it had has been told by their ends.
			else if (kind !== EVENT_LISTENER_GONE)
				kernel.endpoints.deliver(batch[offset + 1]!, kind, kind === EVENT_ENDED ? 0 : batch[offset + 2]!, batch[offset + 3]!);
		}
		if (kernel.timers.size > 0) kernel.timers.run(native.monotonicNs());
		// Tasks that are woken while this runs join the end and run in this turn too; each is there at most once.
		const queue = kernel.runQueue;
		for (let i = 0; i < queue.length; i++) this.rerun(queue[i]!);
		queue.length = 0;
	}

	/** How long the loop may sleep: until the first timer, or not at all while forks are to be cleared up. */
	private timeoutNs(): number {
		const kernel = this.kernel;
		if (kernel.forks.hasOver) kernel.forks.settle();
		const next = kernel.timers.nextNs();
		if (next < 0) return -1;
		return Math.max(0, next - native.monotonicNs());
	}

	private receive(offset: number): void {
		const batch = this.batch;
		const tid = batch[offset + TRAP_TID]!;
		const listener = batch[offset + TRAP_LISTENER]!;
		const task = this.kernel.tasks.get(tid) ?? this.meet(tid, listener, batch[offset + TRAP_ID_LOW]!, batch[offset + TRAP_ID_HIGH]!);
		if (task === null) return;
		const trap = task.trap;
		trap.listener = listener;
		trap.idLow = batch[offset + TRAP_ID_LOW]!;
		trap.idHigh = batch[offset + TRAP_ID_HIGH]!;
		trap.number = batch[offset + TRAP_NUMBER]!;
		const words = trap.words;
		const args = offset + TRAP_ARGS;
		for (let i = 0; i < 12; i++) words[i] = batch[args + i]!;
		trap.progress = 0;
		trap.deadlineNs = -1;
		trap.hasTimedOut = false;
		trap.isFirstRun = true;
		if (trap.state !== null) trap.dispose();
		trap.signalMask = null;
		// A task whose trap died under a signal, or whose continued call came back, starts anew.
		if (task.state === TaskState.Blocked) task.unblock();
		if (task.continued !== null) task.settleContinued(trap.number);
		task.group.container.counts.trapped++;
		if (trap.number >>> 0 < TABLE_SIZE) this.callCounts[trap.number]!++;
		this.execute(task);
	}

	/** Who traps for the first time? Nobody, if it was killed since it was received: its end may be known already, and its number be another's. */
	private meet(tid: number, listener: number, idLow: number, idHigh: number): Task | null {
		return native.isTrapValid(listener, idLow, idHigh) < 0 ? null : identify(this.kernel, tid);
	}

	private rerun(task: Task): void {
		task.unschedule();
		if (task.state !== TaskState.Blocked) return;
		task.unblock();
		task.trap.isFirstRun = false;
		this.execute(task);
	}

	private execute(task: Task): void {
		const trap = task.trap;
		task.state = TaskState.InTrap;
		this.kernel.current = task;
		let result: number;
		try {
			result = (this.handlers[trap.number] ?? this.handlers[TABLE_SIZE - 1]!)(task, trap);
			// The addon refuses any other value, outside of this try: it would end the sandbox process.
			if (!Number.isSafeInteger(result)) throw new RangeError(`a handler may not give ${result}`);
		} catch (error) {
			this.kernel.log('error', `Handle ${this.name(trap.number)}: ${String(error)}`, {
				call: trap.number,
				tid: task.tid,
				stack: error instanceof Error ? error.stack : undefined,
			});
			result = -EIO;
		}
		this.finish(task, result);
	}

	/** Ends a trap, or leaves it blocked. */
	finish(task: Task, result: number): void {
		const trap = task.trap;
		if (this.tracer !== null) this.tracer.exit(task, this.name(trap.number), result);
		if (result === BLOCKED) {
			task.block();
			if (task.group.container.isPaused) this.restart(task);
			else if (task.group.signalsSent !== task.signalsSeen || task.hasKeptSignals) this.kernel.signals.checkPending(task);
			return;
		}
		if (result === ANSWERED) return;
		if (trap.state !== null) trap.dispose();
		task.unblock();
		task.state = TaskState.Running;
		task.signalsSeen = task.group.signalsSent;
		if (result === CONTINUE) {
			task.group.container.counts.continued++;
			native.continueTrap(trap.listener, trap.idLow, trap.idHigh);
		} else {
			native.answer(trap.listener, trap.idLow, trap.idHigh, result);
		}
	}

	/**
	 * Ends a blocked trap because a signal that the thread will take is pending: partial progress, or the call's own restart code.
	 * `isInterrupting`: a handler without SA_RESTART, though the host doesn't know.
	 */
	interrupt(task: Task, isInterrupting = false): void {
		const trap = task.trap;
		const code = this.restartCodes[trap.number]!;
		this.finish(task, trap.progress > 0 ? trap.progress : isInterrupting && code === -ERESTARTSYS ? -ERESTARTNOHAND : code);
	}

	/** Ends a blocked trap so that it is issued again after a stop (facts/traps.md 5). */
	restart(task: Task): void {
		this.finish(task, task.trap.progress > 0 ? task.trap.progress : -ERESTARTSYS);
	}

	private missing(task: Task, number: number, name: string, errno: number): number {
		const missing = task.group.container.counts.missing;
		const count = missing.get(name) ?? 0;
		// Private and unknown numbers are the guest's to choose: their names are bounded by the table's size.
		missing.set(name, count + 1);
		if (count === 0)
			this.kernel.log('warn', `The guest called ${name}, which isn't there: it gets errno ${errno}`, { call: number, tid: task.tid });
		return -errno;
	}
}
