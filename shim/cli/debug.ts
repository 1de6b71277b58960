import { StateStore } from '../../runtime/oci/state.js';
import { SandboxClient } from '../../runtime/sandbox/client.js';
import type { SandboxReport } from '../../runtime/sandbox/report.js';
import { printTable } from './commands.js';

const MIB = 1 << 20;
/** Calls that the table shows: the most frequent ones. */
const MAX_CALLS = 20;

/** `isopod debug`. */
export async function debug(root: string, id: string, format: string): Promise<void> {
	const store = new StateStore(root);
	const { status, sandboxId } = store.load(id);
	if (status === 'stopped' || status === 'creating') throw new Error(`cannot look into a container that is ${status}`);
	const client = SandboxClient.connect(store.socket(sandboxId));
	try {
		const { report } = await client.call({ inspect: { containerId: id } });
		if (format === 'json') process.stdout.write(`${report}\n`);
		else print(JSON.parse(report) as SandboxReport);
	} finally {
		client.close();
	}
}

function print({ tasks, threadCount, descriptors, descriptorCount, mounts, queues, calls, memory }: SandboxReport): void {
	section(
		tasks.length < threadCount ? `Tasks (${tasks.length} of ${threadCount})` : 'Tasks',
		['PID', 'TID', 'SANDBOX-TID', 'NAME', 'STATE', 'SINCE', 'ENDS-IN', 'QUEUES', 'CALL'],
		tasks.map((task) => [
			`${task.pid}`,
			`${task.tid}`,
			`${task.outsideTid}`,
			plain(task.name),
			task.state,
			milliseconds(task.blockedMs),
			milliseconds(task.deadlineMs),
			`${task.queues}`,
			plain(task.call),
		]),
	);
	section(
		descriptors.length < descriptorCount ? `Descriptors (${descriptors.length} of ${descriptorCount})` : 'Descriptors',
		['PID', 'FD', 'ACCESS', 'OFFSET', 'WAITERS', 'TARGET'],
		descriptors.map(({ pid, fd, access, offset, waiters, target }) => [
			`${pid}`,
			`${fd}`,
			access,
			`${offset}`,
			`${waiters}`,
			plain(target),
		]),
	);
	section(
		'Mounts',
		['TYPE', 'ACCESS', 'SOURCE', 'OPTIONS', 'PLACE'],
		mounts.map(({ type, isReadOnly, source, options, place }) => [type, isReadOnly ? 'ro' : 'rw', plain(source), options, plain(place)]),
	);
	const { runnable, timers, nextTimerMs, endpoints, threads, processes } = queues;
	section(
		'Queues',
		['RUNNABLE', 'TIMERS', 'NEXT-TIMER', 'ENDPOINTS', 'THREADS', 'PROCESSES'],
		[[`${runnable}`, `${timers}`, milliseconds(nextTimerMs), `${endpoints}`, `${threads}`, `${processes}`]],
	);
	section(
		'Calls that were trapped',
		['COUNT', 'NAME'],
		calls.slice(0, MAX_CALLS).map(({ name, count }) => [`${count}`, name]),
	);
	section(
		"The sandbox process's memory, MiB",
		['RESIDENT', 'HEAP', 'HEAP-USED', 'EXTERNAL'],
		[[memory.residentBytes, memory.heapTotalBytes, memory.heapUsedBytes, memory.externalBytes].map((bytes) => (bytes / MIB).toFixed(1))],
	);
}

function section(title: string, header: readonly string[], rows: readonly (readonly string[])[]): void {
	process.stdout.write(`${title}\n`);
	printTable(header, rows);
	process.stdout.write('\n');
}

function milliseconds(value: number | null): string {
	return value === null ? '-' : `${value.toFixed(1)} ms`;
}

/** A guest's bytes must not steer the terminal. */
function plain(text: string): string {
	return text.replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
