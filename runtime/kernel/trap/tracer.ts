import { native } from '../../native.js';
import { ANSWERED, BLOCKED, CONTINUE } from '../task/blocked.js';
import type { Task } from '../task/task.js';
import { callStrings, callText, resultText } from './call-text.js';

/** Which calls a sink wants to see; an empty set of anything is all of it. */
export interface TraceFilter {
	readonly calls: ReadonlySet<string>;
	/** What one of the call's strings begins with. */
	readonly paths: readonly string[];
	/** Processes, by their number inside of the container. */
	readonly pids: ReadonlySet<number>;
	/** Of this container. */
	readonly containerId: string;
}

/** Takes lines of a trace. */
export interface TraceSink {
	readonly filter: TraceFilter;
	line(text: string): void;
}

/** What the loader of a new program asks first. */
const PLAN = 'isopod_plan';
/** Calls that the host ends, and whose end is seen all the same: by the child's first call, by the loader's. */
const SEEN_LATER: ReadonlySet<string> = new Set(['fork', 'vfork', 'clone', 'execve', 'execveat']);

interface Call {
	readonly name: string;
	readonly text: string;
	readonly pid: number;
	readonly startNs: number;
	readonly sinks: readonly TraceSink[];
}

/** Shows trapped calls to whoever asked for them, one line each when it ends. Exists only while somebody does. */
export class Tracer {
	private sinks: readonly TraceSink[] = [];
	/** Calls that have begun. */
	private readonly calls = new WeakMap<Task, Call>();

	get isIdle(): boolean {
		return this.sinks.length === 0;
	}

	add(sink: TraceSink): void {
		this.sinks = [...this.sinks, sink];
	}

	remove(sink: TraceSink): void {
		this.sinks = this.sinks.filter((other) => other !== sink);
	}

	/** A call begins: its arguments are read now, as an exec leaves nothing of them. */
	enter(task: Task, name: string): void {
		if (this.calls.has(task)) this.exitBefore(task, name);
		const { container } = task.group;
		const mayWant = this.sinks.some(
			({ filter }) => filter.containerId === container.id && (filter.calls.size === 0 || filter.calls.has(name)),
		);
		if (!mayWant) return;
		const pid = container.insideId(task.group.pid);
		const text = callText(task, name);
		const sinks = this.sinks.filter(({ filter }) => wants(filter, container.id, name, pid));
		if (sinks.length > 0) this.calls.set(task, { name, text, pid, startNs: native.monotonicNs(), sinks });
	}

	/** A call has ended with `result`, or goes its own way. */
	exit(task: Task, name: string, result: number): void {
		if (result === BLOCKED || (result === CONTINUE && SEEN_LATER.has(name))) return;
		const call = this.calls.get(task);
		if (call === undefined) return;
		this.calls.delete(task);
		const seconds = ((native.monotonicNs() - call.startNs) / 1e9).toFixed(6);
		// What the host, or a lend, answers does not come by here.
		const shown = result <= ANSWERED ? '?' : resultText(name, result);
		for (const sink of call.sinks) sink.line(`[pid ${call.pid}] ${call.text} = ${shown} <${seconds}>`);
	}

	/** The thread's call before `next` is over: it was interrupted under a mask of its own, or its thread lost it, or the host has ended it. */
	private exitBefore(task: Task, next: string): void {
		const { name } = this.calls.get(task)!;
		if (SEEN_LATER.has(name)) {
			// A child that has not called yet is looked for now.
			task.kernel.forks.settle();
			if (!this.calls.has(task)) return;
		}
		this.exit(task, name, next === PLAN && name.startsWith('exec') ? 0 : ANSWERED);
	}
}

function wants(filter: TraceFilter, containerId: string, name: string, pid: number): boolean {
	if (filter.containerId !== containerId) return false;
	if (filter.calls.size > 0 && !filter.calls.has(name)) return false;
	if (filter.pids.size > 0 && !filter.pids.has(pid)) return false;
	return filter.paths.length === 0 || callStrings.some((text) => filter.paths.some((path) => text.startsWith(path)));
}
