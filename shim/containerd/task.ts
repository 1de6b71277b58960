import type { GuestSandbox } from '../../runtime/sandbox/guest-sandbox.js';
import type { Exit } from '../../runtime/sandbox/sandbox.js';
import type { ProcessIo, StdioPaths } from './process-io.js';

/** A program of a container: its first, or one of an Exec. */
export class TaskProcess {
	exit: Exit | null = null;
	isStarted = false;
	/** Of its terminal, when somebody has said it. */
	size: { readonly rows: number; readonly columns: number } | null = null;
	/** The host's pid that stands for it. */
	pid = 0;
	private waiting: ((exit: Exit) => void)[] = [];

	constructor(
		/** '' for the container's first. */
		readonly execId: string,
		readonly paths: StdioPaths,
		readonly io: ProcessIo,
	) {}

	/** How it ended, whenever that is or was. */
	wait(): Promise<Exit> {
		return this.exit !== null ? Promise.resolve(this.exit) : new Promise((resolve) => this.waiting.push(resolve));
	}

	ended(exit: Exit): void {
		this.exit = exit;
		for (const resolve of this.waiting.splice(0)) resolve(exit);
	}
}

/** A container, as containerd calls it. */
export class Task {
	readonly execs = new Map<string, TaskProcess>();
	/** Of each exec that was added, its `process` of the OCI specification, until it is started. */
	readonly specs = new Map<string, object>();
	isPaused = false;

	constructor(
		readonly id: string,
		readonly bundle: string,
		readonly sandbox: GuestSandbox,
		readonly init: TaskProcess,
	) {}
}
