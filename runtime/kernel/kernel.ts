import { native } from '../native.js';
import type { Container } from './container.js';
import { Timers } from './event/timers.js';
import { NetworkNamespace } from './net/network-namespace.js';
import { Forks } from './task/forks.js';
import { NativeRoot } from './task/native-root.js';
import { Signals } from './task/signals.js';
import type { Task } from './task/task.js';
import type { ThreadGroup } from './task/thread-group.js';
import { Dispatcher, type SyscallEntry } from './trap/dispatcher.js';
import { Endpoints } from './trap/endpoints.js';
import { Terminals } from './tty/terminals.js';

export interface KernelOptions {
	/** Directory that becomes the guests' native root (holds the loader); owned by the sandbox process. */
	nativeRootFd: number;
	/** Compiled filter for guests. */
	filter: Uint8Array;
	/** Handlers by system-call number. */
	table: readonly SyscallEntry[];
	/** The sandbox process's own descriptor limit, which guests' native ones can't exceed. */
	maxDescriptors: number;
	/** A structured log record for the operator. */
	log(level: 'warn' | 'error' | 'info', message: string, fields: Record<string, unknown>): void;
}

/**
 * The guest kernel of one pod: everything that its containers share. One thread, one loop; see README.md for the way of a system call.
 */
export class Kernel {
	readonly timers = new Timers();
	/** Blocked tasks that a wait queue has woken: their calls run again in this turn. */
	readonly runQueue: Task[] = [];
	/** Whose call is being handled. */
	current: Task | null = null;
	/** Every known thread by tid, every known process by pid (the sandbox process's view of ids). */
	readonly tasks = new Map<number, Task>();
	readonly groups = new Map<number, ThreadGroup>();
	readonly containers = new Map<string, Container>();
	readonly endpoints = new Endpoints();
	readonly forks: Forks;
	readonly signals: Signals;
	readonly terminals: Terminals;
	readonly nativeRoot: NativeRoot;
	readonly dispatcher: Dispatcher;
	readonly network: NetworkNamespace;
	/** Descriptors that a process may have at most: lent ones have the guest's number on the host. */
	readonly maxDescriptors: number;
	/** Instructions of all seccomp filters that guests have installed. */
	filterInstructions = 0;
	/** When the sandbox started, monotonic ns. */
	readonly startNs = native.monotonicNs();

	constructor(readonly options: KernelOptions) {
		this.maxDescriptors = options.maxDescriptors;
		this.network = new NetworkNamespace(options.maxDescriptors);
		this.forks = new Forks(this);
		this.signals = new Signals(this);
		this.terminals = new Terminals(this);
		this.nativeRoot = new NativeRoot(options.nativeRootFd);
		this.dispatcher = new Dispatcher(this, options.table);
	}

	log(level: 'warn' | 'error' | 'info', message: string, fields: Record<string, unknown> = {}): void {
		this.options.log(level, message, fields);
	}
}
