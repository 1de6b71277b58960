import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Timers } from '../event/timers.js';
import type { Kernel } from '../kernel.js';
import { NetworkNamespace } from '../net/network-namespace.js';
import { BLOCKED } from '../task/blocked.js';
import { CapabilitySet, initialCredentials } from '../task/credentials.js';
import { Limits } from '../task/limits.js';
import { Task, TaskState } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { copyInBytes, copyOutBytes, ioVector } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { DescriptorTable } from '../vfs/descriptor-table.js';
import type { FileDescription } from '../vfs/file-description.js';

/** A process that does nothing, whose stack stands for a guest's memory: `address` and `bytes` behind it may be written. */
export class GuestMemory {
	private readonly child = spawn('sleep', ['300'], { stdio: 'ignore' });
	readonly tid = this.child.pid!;
	readonly address: number;
	readonly bytes = 4096;

	constructor() {
		// The lowest page of the stack: far below what the program uses.
		let stack: RegExpMatchArray | null = null;
		while (stack === null) stack = readFileSync(`/proc/${this.tid}/maps`, 'latin1').match(/^([0-9a-f]+)-.*\[stack\]$/m);
		this.address = Number.parseInt(stack[1]!, 16);
	}

	put(offset: number, bytes: Uint8Array): void {
		copyOutBytes(this.tid, this.address + offset, bytes);
	}

	get(offset: number, length: number): Buffer {
		const bytes = Buffer.alloc(length);
		copyInBytes(this.tid, this.address + offset, bytes, 0, length);
		return bytes;
	}

	end(): void {
		this.child.kill('SIGKILL');
	}
}

/** Tasks of one process, with as much of a kernel as blocking takes. */
export class TestProcess {
	readonly files = new DescriptorTable();
	readonly limits = new Limits();
	/** Sent by the code under test. */
	readonly signals: number[] = [];
	private readonly runQueue: Task[] = [];
	private readonly kernel = {
		runQueue: this.runQueue,
		timers: new Timers(),
		maxDescriptors: 4096,
		network: new NetworkNamespace(4096),
		signals: { sendToThread: (_: Task, signal: number) => this.signals.push(signal) },
	} as unknown as Kernel;
	private readonly group = {
		pid: 1,
		files: this.files,
		limits: this.limits,
		signalsSent: 0,
		kept: null,
		container: { insideId: (id: number) => id },
	} as unknown as ThreadGroup;

	/** @param tid Whose memory system calls reach. */
	constructor(
		private readonly uid = 0,
		private readonly tid = 0,
	) {}

	task(): Task {
		const none = CapabilitySet.empty;
		const capabilities = { permitted: none, effective: none, inheritable: none, bounding: none, ambient: none };
		return new Task(this.kernel, this.group, this.tid, initialCredentials(this.uid, this.uid, [], capabilities, false));
	}

	/** The first run of a call of `task`: its result, or BLOCKED. */
	call(task: Task, handler: (task: Task, trap: Trap) => number, ...args: number[]): number {
		const { trap } = task;
		trap.progress = 0;
		trap.deadlineNs = -1;
		trap.hasTimedOut = false;
		trap.isFirstRun = true;
		trap.dispose();
		trap.signalMask = null;
		for (let i = 0; i < 6; i++) {
			const value = args[i] ?? 0;
			trap.words[i * 2] = (value % 0x1_0000_0000) | 0;
			trap.words[i * 2 + 1] = Math.floor(value / 0x1_0000_0000) | 0;
		}
		return this.run(task, handler);
	}

	/** Was the blocked task woken? */
	isWoken(task: Task): boolean {
		return this.runQueue.includes(task);
	}

	/** Runs the call of a blocked task again, as the dispatcher does once it was woken. */
	again(task: Task, handler: (task: Task, trap: Trap) => number): number {
		const at = this.runQueue.indexOf(task);
		if (at >= 0) this.runQueue.splice(at, 1);
		task.unschedule();
		task.unblock();
		task.trap.isFirstRun = false;
		return this.run(task, handler);
	}

	/** Its time is over. */
	timeOut(task: Task, handler: (task: Task, trap: Trap) => number): number {
		task.trap.hasTimedOut = true;
		return this.again(task, handler);
	}

	/** A signal ends the blocked call. */
	interrupt(task: Task): void {
		task.unblock();
		task.trap.dispose();
		task.state = TaskState.Running;
	}

	private run(task: Task, handler: (task: Task, trap: Trap) => number): number {
		const result = handler(task, task.trap);
		if (result === BLOCKED) {
			task.block();
			return result;
		}
		task.unblock();
		task.trap.dispose();
		task.state = TaskState.Running;
		return result;
	}
}

/** A handler that writes `text`. */
export function writing(file: FileDescription, text: string): (task: Task) => number {
	const bytes = Buffer.from(text, 'latin1');
	return (task) => {
		ioVector.kernel(bytes, 0, bytes.length);
		return file.write(task, ioVector, -1);
	};
}

/** A handler that reads up to `length` bytes into `out`. */
export function reading(file: FileDescription, length: number, out: Buffer = Buffer.alloc(length)): (task: Task) => number {
	return (task) => {
		ioVector.kernel(out, 0, length);
		return file.read(task, ioVector, -1);
	};
}
