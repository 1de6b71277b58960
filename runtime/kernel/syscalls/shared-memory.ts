import { native } from '../../native.js';
import { CAP_IPC_LOCK } from '../abi/capability-numbers.js';
import { EACCES, EIDRM, EINVAL, ENOMEM, ENOSPC, EPERM } from '../abi/errno.js';
import { O_RDONLY, O_RDWR } from '../abi/fcntl.js';
import { PAGE_SIZE } from '../abi/limits.js';
import { MAP_FIXED, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import {
	IPC_64,
	IPC_INFO,
	IPC_RMID,
	IPC_SET,
	IPC_STAT,
	SHM_DEST,
	SHM_EXEC,
	SHM_HUGETLB,
	SHM_INFO,
	SHM_LOCK,
	SHM_LOCKED,
	SHM_RDONLY,
	SHM_REMAP,
	SHM_RND,
	SHM_STAT,
	SHM_STAT_ANY,
	SHM_UNLOCK,
} from '../abi/sysv.js';
import { bounds } from '../bounds.js';
import { readHostProc } from '../fs/proc/host-proc.js';
import { MemoryFile } from '../fs/tmpfs/memory-file.js';
import type { IpcNamespace } from '../ipc/sysv/ipc-namespace.js';
import { IPC_PERM_BYTES, put64 } from '../ipc/sysv/ipc-object.js';
import { SHMALL, SHMMAX, SharedMemory } from '../ipc/sysv/shared-memory.js';
import { ANSWERED } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import { type Task, TaskState } from '../task/task.js';
import type { ThreadGroup } from '../task/thread-group.js';
import { copyIn, copyOut, scratch, scratchView } from '../trap/guest-memory.js';
import { EVENT_INTERRUPTED, EVENT_LENT, LEND_CONTINUE } from '../trap/records.js';
import type { Trap } from '../trap/trap.js';
import { anonymousPath } from '../vfs/anonymous-path.js';
import { LENT_STALE } from '../vfs/descriptor-table.js';

const READ = 0o444;
const WRITE = 0o222;
const EXECUTE = 0o111;
const NR_MMAP = 9;
const NR_MUNMAP = 11;
const MAP_FIXED_NOREPLACE = 0x10_0000;
const SHMINFO_BYTES = 72;
const SHM_INFO_BYTES = 48;

const callArguments = new Float64Array(6);

/** shmget(2). Huge pages are the host's: EPERM, as for who may not have them. */
export function sysShmget(task: Task, trap: Trap): number {
	const key = trap.int(0);
	const size = trap.size(1);
	const flags = trap.int(2);
	const { group, credentials } = task;
	const { ipc } = group.container;
	return ipc.segments.get(
		key,
		flags,
		credentials,
		(found) => (size > found.sizeBytes ? -EINVAL : 0),
		() => {
			if (size < 1 || size > SHMMAX) return -EINVAL;
			if ((flags & SHM_HUGETLB) !== 0) return -EPERM;
			const pages = Math.ceil(size / PAGE_SIZE);
			if (ipc.segmentPages + pages > SHMALL) return -ENOSPC;
			const file = MemoryFile.create('SYSV', 0, flags & 0o777, credentials.euid, credentials.egid);
			if (typeof file === 'number') return -ENOSPC;
			const error = file.truncate(pages * PAGE_SIZE);
			if (error < 0) {
				file.release();
				return -ENOMEM;
			}
			ipc.segmentPages += pages;
			return new SharedMemory(key, flags, credentials, size, file, group.insideId);
		},
	);
}

/**
 * shmat(2). Only the thread itself can map memory, so it is made to run mmap in place of this call (`native.runCall`), which traps in its turn: `mapSegment`
 * lends it the segment's memory file for that.
 */
export function sysShmat(task: Task, trap: Trap): number {
	const flags = trap.int(2);
	let address = trap.size(1);
	if (trap.int(0) < 0) return -EINVAL;
	if (address % PAGE_SIZE !== 0) {
		if ((flags & SHM_RND) === 0) return -EINVAL;
		address -= address % PAGE_SIZE;
	}
	if (address === 0 && (flags & SHM_REMAP) !== 0) return -EINVAL;
	const { group, credentials } = task;
	const { ipc } = group.container;
	const segment = ipc.segments.find(trap.int(0));
	if (typeof segment === 'number') return segment;
	const isReadOnly = (flags & SHM_RDONLY) !== 0;
	const wanted = READ | (isReadOnly ? 0 : WRITE) | ((flags & SHM_EXEC) !== 0 ? EXECUTE : 0);
	if (!segment.allows(credentials, wanted)) return -EACCES;
	if (segment.isRemoved) return -EIDRM;
	const fd = group.files.size;
	if (fd >= group.limits.soft[RLIMIT_NOFILE]!) return -ENOMEM;
	const placing = address === 0 ? 0 : (flags & SHM_REMAP) !== 0 ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	const prot = PROT_READ | (isReadOnly ? 0 : PROT_WRITE) | ((flags & SHM_EXEC) !== 0 ? PROT_EXEC : 0);
	callArguments.set([address, segment.pages * PAGE_SIZE, prot, MAP_SHARED | placing, fd, 0]);
	task.attaching = { segment, fd, isReadOnly };
	group.container.rememberMapping(anonymousPath(segment.file, `/SYSV${(segment.key >>> 0).toString(16).padStart(8, '0')} (deleted)`));
	// It must not go while it is being mapped.
	segment.attached(group.insideId);
	const error = runCall(task, trap, NR_MMAP, (result) => {
		task.attaching = null;
		if (result >= 0 && !group.isDead) {
			group.attachments ??= new Map();
			const replaced = group.attachments.get(result);
			group.attachments.set(result, segment);
			if (replaced !== undefined) ipc.detach(replaced, group);
		} else ipc.detach(segment, group);
	});
	if (error >= 0) return ANSWERED;
	task.attaching = null;
	ipc.detach(segment, group);
	return error;
}

/** The mmap(2) that stands for a shmat(2): its descriptor is lent at a number that nobody has, and counts as somebody else's there. */
export function mapSegment(task: Task, trap: Trap): number {
	const { segment, fd, isReadOnly } = task.attaching!;
	const { kernel, files } = task;
	task.attaching = null;
	if (trap.int(4) !== fd) return -EINVAL;
	const source = segment.file.openForMapping(isReadOnly ? O_RDONLY : O_RDWR, false);
	if (source < 0) return -ENOMEM;
	files.setLentState(fd, LENT_STALE);
	const key = kernel.endpoints.add({
		onEvent: (kind) => {
			if (kind === EVENT_LENT) kernel.endpoints.remove(key);
		},
	});
	task.group.container.counts.lent++;
	native.lend(key, trap.listener, trap.idLow, trap.idHigh, Int32Array.of(source, fd), LEND_CONTINUE, 0);
	native.close(source);
	return ANSWERED;
}

/** shmdt(2): the thread is made to run munmap. What the process has itself unmapped, or mapped over, is not there any more. */
export function sysShmdt(task: Task, trap: Trap): number {
	const address = trap.size(0);
	const { group } = task;
	const segment = group.attachments?.get(address);
	if (segment === undefined) return -EINVAL;
	const { ipc } = group.container;
	if (!isMapped(group, address, segment)) {
		group.attachments!.delete(address);
		ipc.detach(segment, group);
		return -EINVAL;
	}
	callArguments.fill(0);
	callArguments[0] = address;
	callArguments[1] = segment.pages * PAGE_SIZE;
	const error = runCall(task, trap, NR_MUNMAP, (result) => {
		if (result >= 0 && group.attachments?.delete(address)) ipc.detach(segment, group);
	});
	return error < 0 ? error : ANSWERED;
}

/** Makes the thread run call `number` with `callArguments` in place of its own; `done` gets the result, -errno when it did not run. */
function runCall(task: Task, trap: Trap, number: number, done: (result: number) => void): number {
	const { kernel } = task;
	const key = kernel.endpoints.add({
		onEvent: (kind, low, high) => {
			if (kind !== EVENT_INTERRUPTED) return;
			kernel.endpoints.remove(key);
			if (task.state === TaskState.InTrap) task.state = TaskState.Running;
			done(high * 0x1_0000_0000 + (low >>> 0));
		},
	});
	const error = native.runCall(key, trap.listener, trap.idLow, trap.idHigh, task.tid, number, callArguments);
	if (error < 0) kernel.endpoints.remove(key);
	return error < 0 ? -ENOMEM : 0;
}

/** Is the segment still mapped at an address where it was attached? */
function isMapped(group: ThreadGroup, address: number, segment: SharedMemory): boolean {
	const key = segment.file.mappingKey();
	if (key === null) return false;
	const start = `${address.toString(16).padStart(8, '0')}-`;
	return readHostProc(`${group.pid}/maps`)
		.split('\n')
		.some((line) => line.startsWith(start) && line.includes(` ${key} `));
}

/** Attachments whose memory was unmapped without shmdt(2) are none. */
function recount(ipc: IpcNamespace, task: Task, segment: SharedMemory): void {
	for (const group of task.kernel.groups.values()) {
		for (const [address, attached] of group.attachments ?? []) {
			if (attached !== segment || isMapped(group, address, segment)) continue;
			group.attachments!.delete(address);
			ipc.detach(segment, group);
		}
	}
}

/** shmctl(2). */
export function sysShmctl(task: Task, trap: Trap): number {
	const id = trap.int(0);
	const command = trap.int(1) & ~IPC_64;
	if (id < 0) return -EINVAL;
	const { ipc } = task.group.container;
	const { credentials } = task;
	if (command === IPC_INFO || command === SHM_INFO) return info(task, ipc, trap.size(2), command === SHM_INFO);
	const isByPlace = command === SHM_STAT || command === SHM_STAT_ANY;
	if (command === IPC_SET) {
		const error = copyIn(task.tid, trap.size(2), IPC_PERM_BYTES);
		if (error < 0) return error;
	}
	const segment = isByPlace ? ipc.segments.at(id) : ipc.segments.find(id);
	if (typeof segment === 'number') return segment;
	switch (command) {
		case IPC_STAT:
		case SHM_STAT:
		case SHM_STAT_ANY: {
			if (command !== SHM_STAT_ANY && !segment.allows(credentials, READ)) return -EACCES;
			recount(ipc, task, segment);
			const error = copyOut(task.tid, trap.size(2), segment.encode());
			return error < 0 ? error : isByPlace ? segment.id : 0;
		}
		case IPC_SET:
			if (!segment.isOwnedBy(credentials)) return -EPERM;
			segment.set();
			return 0;
		case IPC_RMID:
			if (!segment.isOwnedBy(credentials)) return -EPERM;
			recount(ipc, task, segment);
			if (segment.isRemoved) return 0;
			if (segment.attachCount === 0) ipc.removeSegment(segment);
			else {
				segment.mode |= SHM_DEST;
				ipc.segments.forgetKey(segment);
			}
			return 0;
		case SHM_LOCK:
		case SHM_UNLOCK:
			if (!segment.isOwnedBy(credentials) && !hasCapability(credentials, CAP_IPC_LOCK)) return -EPERM;
			segment.mode = command === SHM_LOCK ? segment.mode | SHM_LOCKED : segment.mode & ~SHM_LOCKED;
			return 0;
		default:
			return -EINVAL;
	}
}

/** struct shminfo, struct shm_info. */
function info(task: Task, ipc: IpcNamespace, address: number, isUse: boolean): number {
	const bytes = isUse ? SHM_INFO_BYTES : SHMINFO_BYTES;
	scratch.fill(0, 0, bytes);
	if (isUse) {
		let resident = 0;
		for (const segment of ipc.segments.all()) resident += segment.file.residentBytes / PAGE_SIZE;
		scratchView.setInt32(0, ipc.segments.size, true);
		put64(8, ipc.segmentPages);
		put64(16, resident);
	} else {
		for (const [at, value] of [SHMMAX, 1, bounds.sharedSegments, bounds.sharedSegments, SHMALL].entries()) put64(at * 8, value);
	}
	const error = copyOut(task.tid, address, bytes);
	return error < 0 ? error : Math.max(0, ipc.segments.highest);
}
