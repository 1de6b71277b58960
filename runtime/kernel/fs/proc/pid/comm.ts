import { EINVAL, ESRCH } from '../../../abi/errno.js';
import { bounds } from '../../../bounds.js';
import type { Task } from '../../../task/task.js';
import type { ProcessTarget } from './process-target.js';

/** TASK_COMM_LEN without the NUL. */
const COMM_BYTES = 15;

interface GivenName {
	/** What the host called the thread when it got its name: once that changes (prctl, exec), the given name is over. */
	readonly hostName: string;
	readonly name: string;
}

/**
 * Names written to /proc/PID/comm. The host lets only the process itself write there, so they live here. By the thread's process, then
 * tid.
 */
const givenNames = new WeakMap<object, Map<number, GivenName>>();

/** A thread's name, given what the host calls it. */
export function commText(target: ProcessTarget, hostName: string): string {
	const given = givenNames.get(target.group)?.get(target.tid);
	return given !== undefined && given.hostName === hostName ? given.name : hostName;
}

function hostComm(target: ProcessTarget): string | null {
	const text = target.readHost('comm');
	return text === '' ? null : text.slice(0, -1);
}

/** /proc/PID/comm, proc_pid_comm(5). */
export function readComm(target: ProcessTarget): string | number {
	const name = hostComm(target);
	return name === null || target.isGone ? -ESRCH : `${commText(target, name)}\n`;
}

/** A thread's own process may name it. Errors: EINVAL for others, ESRCH. */
export function writeComm(writer: Task, target: ProcessTarget, text: string): number {
	if (writer.group !== target.group) return -EINVAL;
	const hostName = hostComm(target);
	if (hostName === null) return -ESRCH;
	const end = text.indexOf('\0');
	const name = (end < 0 ? text : text.slice(0, end)).slice(0, COMM_BYTES);
	let names = givenNames.get(target.group);
	if (names === undefined) {
		names = new Map();
		givenNames.set(target.group, names);
	}
	if (names.size >= bounds.threadNames) {
		for (const oldest of names.keys()) {
			names.delete(oldest);
			break;
		}
	}
	names.set(target.tid, { hostName, name });
	return text.length;
}
