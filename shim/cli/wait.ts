import { native } from '../../runtime/native.js';
import { processStart } from '../../runtime/oci/state.js';

const POLL_MS = 1;
const LIMIT_MS = 10_000;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Waits until a sandbox process is gone, and reaps it if it is our child. Throws after ten seconds. */
export function waitForEnd(pid: number, start: string): void {
	for (let waitedMs = 0; processStart(pid) === start && start !== ''; waitedMs += POLL_MS) {
		if (waitedMs > LIMIT_MS) throw new Error(`Wait for the sandbox process ${pid}: it is still there after ${LIMIT_MS / 1000} s`);
		Atomics.wait(sleeper, 0, 0, POLL_MS);
	}
	native.reap(pid);
}

/** A wait status as shells report it: the exit code, or 128 + the signal. */
export function exitCode(status: number): number {
	return (status & 0x7f) !== 0 ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}
