import { setTimeout as sleep } from 'node:timers/promises';
import { native } from '../native.js';
import { processStart } from '../oci/state.js';

const POLL_MS = 1;
const LIMIT_MS = 10_000;

/** Kills a sandbox process, if it is still the one that began at `start`. */
export function killSandbox(pid: number, start: string): void {
	if (start === '' || processStart(pid) !== start) return;
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It ended by itself meanwhile.
	}
}

/** Waits until a sandbox process is gone, and reaps it if it is our child. Rejects after ten seconds. */
export async function waitForEnd(pid: number, start: string): Promise<void> {
	for (let waitedMs = 0; processStart(pid) === start && start !== ''; waitedMs += POLL_MS) {
		if (waitedMs > LIMIT_MS) throw new Error(`Wait for the sandbox process ${pid}: it is still there after ${LIMIT_MS / 1000} s`);
		await sleep(POLL_MS);
	}
	native.reap(pid);
}
