import { MFD_ALLOW_SEALING, MFD_CLOEXEC } from '../../kernel/abi/fcntl.js';
import { EPOLLIN } from '../../kernel/abi/poll-constants.js';
import { SIGKILL } from '../../kernel/abi/signal-numbers.js';
import { Timer } from '../../kernel/event/timers.js';
import type { Kernel } from '../../kernel/kernel.js';
import { native } from '../../native.js';
import { type Hook, hookFailure } from '../../oci/hooks.js';

/** Of what a hook writes, so much is kept for the message; it may write more. */
const MAX_OUTPUT_BYTES = 4096;
const READ_BYTES = 65536;
/** So many reads for each time that there is something: one hook must not keep the guest kernel from the others. */
const MAX_READS = 8;
/** F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE: a hook could open its standard input again, to write. */
const SEALS = 0x2 | 0x4 | 0x8;

const bytes = Buffer.alloc(READ_BYTES);

/** Starts a hook's process in the container: takes the three descriptors unless it throws, and calls `ended` with the wait status. Returns its pid. */
export type SpawnHook = (hook: Hook, stdio: readonly number[], ended: (status: number) => void) => number;

/**
 * Runs startContainer hooks one after the other, each with `state` on its standard input. `then` is called once: with null when all have done well, else
 * with what to tell the user of the first that failed.
 */
export function runStartHooks(
	kernel: Kernel,
	hooks: readonly Hook[],
	state: string,
	spawn: SpawnHook,
	then: (failure: string | null) => void,
): void {
	const next = (index: number): void => {
		const hook = hooks[index];
		if (hook === undefined) {
			then(null);
			return;
		}
		runHook(kernel, hook, state, spawn, (how, output) => {
			if (how === null) next(index + 1);
			else then(hookFailure('startContainer', index, hook, how, output));
		});
	};
	next(0);
}

function runHook(kernel: Kernel, hook: Hook, state: string, spawn: SpawnHook, then: (how: string | null, output: string) => void): void {
	let output: HookOutput | null = null;
	const stdio: number[] = [];
	try {
		stdio.push(sealedFile(Buffer.from(state)));
		output = new HookOutput(kernel, stdio);
		let isLate = false;
		const timer = new Timer(() => {
			isLate = true;
			native.sendSignal(pid, -1, SIGKILL);
		});
		const { text } = output;
		const pid = spawn(hook, stdio, (status) => {
			kernel.timers.disarm(timer);
			then(isLate ? `it ran longer than ${hook.timeoutSeconds} s` : howItEnded(status), text());
		});
		if (hook.timeoutSeconds !== null) kernel.timers.arm(timer, native.monotonicNs() + hook.timeoutSeconds * 1e9);
	} catch (error) {
		for (const fd of stdio) if (fd >= 0) native.close(fd);
		output?.text();
		then(error instanceof Error ? error.message : String(error), '');
	}
}

/** A wait status in words; null for what ended well. */
function howItEnded(status: number): string | null {
	const signal = status & 0x7f;
	if (signal !== 0) return `signal ${signal}`;
	return status === 0 ? null : `exit status ${status >> 8}`;
}

/** A memory file with that in it, to read and for nothing else. */
function sealedFile(text: Uint8Array): number {
	const fd = native.memfdCreate('state', MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) throw new Error(`make its standard input: errno ${-fd}`);
	const written = native.pwrite(fd, text, 0, text.length, 0);
	const error = written < 0 ? written : native.addSeals(fd, SEALS);
	if (error >= 0) return fd;
	native.close(fd);
	throw new Error(`write its standard input: errno ${-error}`);
}

/** What a hook writes to its standard output and error, which are one pipe. */
class HookOutput {
	private readonly key: number;
	private readonly fd: number;
	private isOpen = true;
	private kept = '';

	/** Adds the two ends for the hook to `stdio`. */
	constructor(
		private readonly kernel: Kernel,
		stdio: number[],
	) {
		const ends = new Int32Array(2);
		const error = native.pipe(ends);
		if (error < 0) throw new Error(`make its standard output: errno ${-error}`);
		this.fd = ends[0]!;
		stdio.push(ends[1]!, native.dup(ends[1]!));
		this.key = kernel.endpoints.add({ onEvent: () => this.read() });
		native.watch(this.fd, this.key, EPOLLIN);
	}

	/** The hook has ended, or was never there: all that it wrote, or the beginning of it. */
	readonly text = (): string => {
		if (!this.isOpen) return this.kept;
		this.read();
		this.isOpen = false;
		native.unwatch(this.fd);
		this.kernel.endpoints.remove(this.key);
		native.close(this.fd);
		return this.kept;
	};

	private read(): void {
		for (let reads = 0; this.isOpen && reads < MAX_READS; reads++) {
			const length = native.pread(this.fd, bytes, 0, bytes.length, -1);
			if (length <= 0) {
				// Its end stays readable for ever.
				if (length === 0) native.unwatch(this.fd);
				return;
			}
			const room = MAX_OUTPUT_BYTES - this.kept.length;
			if (room > 0) this.kept += bytes.toString('utf8', 0, Math.min(length, room));
		}
	}
}
