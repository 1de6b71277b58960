import type { Container } from '../../kernel/container.js';
import type { Kernel } from '../../kernel/kernel.js';
import { type Task, TaskState } from '../../kernel/task/task.js';
import type { ThreadGroup } from '../../kernel/task/thread-group.js';
import { callText } from '../../kernel/trap/call-text.js';
import type { FileDescription } from '../../kernel/vfs/file-description.js';
import { linkText, mountpointText } from '../../kernel/vfs/path-text.js';
import { native } from '../../native.js';
import type { DescriptorReport, MemoryReport, MountReport, QueueReport, SandboxReport, TaskReport } from '../report.js';

/** What a report has at most: a guest may have a million descriptors, and the report is made within the loop. */
const MAX_DESCRIPTORS = 1024;
const MAX_TASKS = 1024;
/** Characters of a report: it must fit into the connection's buffer, as nobody waits for its reader. */
const MAX_REPORT = 65536;
const NS_PER_MS = 1e6;
const COMM_BYTES = 64;
const STATES = {
	[TaskState.Running]: 'running',
	[TaskState.InTrap]: 'in a trap',
	[TaskState.Blocked]: 'blocked',
	[TaskState.Dead]: 'running',
} as const;

/** A SandboxReport as JSON: a container of a living sandbox process, as it is between two traps. What is too long loses tasks and descriptors from behind. */
export function inspect(kernel: Kernel, container: Container): string {
	const whole = reportOn(kernel, container);
	for (let share = 1; ; share /= 2) {
		const tasks = whole.tasks.slice(0, whole.tasks.length * share);
		const descriptors = whole.descriptors.slice(0, whole.descriptors.length * share);
		const text = JSON.stringify({ ...whole, tasks, descriptors });
		if (text.length <= MAX_REPORT || tasks.length + descriptors.length === 0) return text;
	}
}

function reportOn(kernel: Kernel, container: Container): SandboxReport {
	const nowNs = native.monotonicNs();
	const calls = [...kernel.dispatcher.counts()].map(([name, count]) => ({ name, count }));
	return {
		tasks: tasks(kernel, container, nowNs),
		descriptors: descriptors(container),
		threadCount: [...container.groups.values()].reduce((sum, group) => sum + group.tasks.size, 0),
		descriptorCount: [...container.groups.values()].reduce((sum, group) => sum + group.files.used, 0),
		mounts: mounts(container),
		queues: queues(kernel, nowNs),
		calls: calls.sort((left, right) => right.count - left.count),
		memory: memory(),
	};
}

function tasks(kernel: Kernel, container: Container, nowNs: number): TaskReport[] {
	const reports: TaskReport[] = [];
	for (const group of container.groups.values())
		for (const task of group.tasks.values()) if (reports.length < MAX_TASKS) reports.push(taskReport(kernel, task, nowNs));
	return reports;
}

function taskReport(kernel: Kernel, task: Task, nowNs: number): TaskReport {
	const { group, state, trap } = task;
	const isBlocked = state === TaskState.Blocked;
	const comm = Buffer.alloc(COMM_BYTES);
	const length = native.readProcFile(`${group.pid}/task/${task.tid}/comm`, comm);
	return {
		pid: group.container.insideId(group.pid),
		tid: group.container.insideId(task.tid, true),
		outsidePid: group.pid,
		outsideTid: task.tid,
		name: length > 0 ? comm.latin1Slice(0, length).trimEnd() : '?',
		state: STATES[state],
		call: state === TaskState.Running ? '' : callText(task, kernel.dispatcher.name(trap.number)),
		blockedMs: isBlocked ? (nowNs - task.blockedSinceNs) / NS_PER_MS : null,
		deadlineMs: isBlocked && trap.deadlineNs >= 0 ? (trap.deadlineNs - nowNs) / NS_PER_MS : null,
		queues: task.queueCount,
	};
}

function descriptors(container: Container): DescriptorReport[] {
	const reports: DescriptorReport[] = [];
	for (const group of container.groups.values()) {
		const pid = container.insideId(group.pid);
		for (const fd of group.files.numbers()) {
			if (reports.length === MAX_DESCRIPTORS) return reports;
			reports.push(descriptorReport(group, pid, fd, group.files.get(fd)!));
		}
	}
	return reports;
}

function descriptorReport(group: ThreadGroup, pid: number, fd: number, description: FileDescription): DescriptorReport {
	return {
		pid,
		fd,
		target: description.path === null ? description.anonymousText : linkText(description.path, group.container.rootPath),
		access: `${description.isReadable ? 'r' : '-'}${description.isWritable ? 'w' : '-'}${description.isNonBlocking ? 'n' : '-'}`,
		offset: description.offset,
		waiters: description.waiters.length,
	};
}

function mounts(container: Container): MountReport[] {
	return [...container.mounts.all()].map((mount) => ({
		place: mountpointText(mount, container.rootPath) ?? '?',
		type: mount.fs.type,
		source: mount.source,
		isReadOnly: mount.isReadOnly,
		options: mount.options,
	}));
}

function queues(kernel: Kernel, nowNs: number): QueueReport {
	const next = kernel.timers.nextNs();
	return {
		runnable: kernel.runQueue.length,
		timers: kernel.timers.size,
		nextTimerMs: next < 0 ? null : (next - nowNs) / NS_PER_MS,
		endpoints: kernel.endpoints.size,
		threads: kernel.tasks.size,
		processes: kernel.groups.size,
	};
}

function memory(): MemoryReport {
	const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
	return { residentBytes: rss, heapUsedBytes: heapUsed, heapTotalBytes: heapTotal, externalBytes: external };
}
