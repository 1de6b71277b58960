import { TaskState } from '../../../task/task.js';
import type { ProcessTarget } from './process-target.js';

const NAMES: Readonly<Record<string, string>> = {
	R: 'running',
	S: 'sleeping',
	D: 'disk sleep',
	T: 'stopped',
	t: 'tracing stop',
	X: 'dead',
	Z: 'zombie',
	I: 'idle',
};

/**
 * The state letter that the guest is to see. The host shows a thread whose trap waits for its answer as "D": to the guest it runs in the
 * kernel, or sleeps there.
 */
export function guestState(target: ProcessTarget, hostState: string): string {
	if (hostState !== 'D' && hostState !== 'S') return hostState;
	switch (target.task?.state) {
		case TaskState.InTrap:
			return 'R';
		case TaskState.Blocked:
			return 'S';
		default:
			return hostState;
	}
}

/** As /proc/PID/status spells it: "S (sleeping)". */
export function stateText(state: string): string {
	return `${state} (${NAMES[state] ?? 'unknown'})`;
}
