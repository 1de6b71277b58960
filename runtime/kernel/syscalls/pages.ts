import { CAP_SYS_NICE } from '../abi/capability-numbers.js';
import { E2BIG, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, EPERM, ESRCH } from '../abi/errno.js';
import { PAGE_SIZE, TASK_SIZE } from '../abi/limits.js';
import { hasCapability } from '../task/credentials.js';
import { type Mapping, mappingAt, memoryMap } from '../task/memory-map.js';
import { PageMap } from '../task/page-map.js';
import type { Task } from '../task/task.js';
import { isStill, traceable } from '../task/trace-access.js';
import { copyIn, copyOut, copyOutBytes, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { readNodes } from './memory-policy.js';

/** Pages that one mincore(2) or move_pages(2) looks at. */
const MAX_PAGES = 1 << 20;
const MAX_MOVED = 1 << 16;
const POINTER_BYTES = 8;
const INT_BYTES = 4;
const BATCH = 1024;

const MPOL_MF_MOVE = 2;
const MPOL_MF_MOVE_ALL = 4;

const residence = new Uint8Array(BATCH);

/** mincore(2). Of files it tells nothing: all is in memory, as Linux says to who may not write them. At most 4 GiB at a time (ENOMEM). */
export function sysMincore(task: Task, trap: Trap): number {
	const start = trap.size(0);
	const length = trap.size(1);
	const vector = trap.size(2);
	if (start % PAGE_SIZE !== 0) return -EINVAL;
	const pages = Math.ceil(length / PAGE_SIZE);
	if (start + length > TASK_SIZE || pages > MAX_PAGES) return -ENOMEM;
	if (vector + pages > TASK_SIZE) return -EFAULT;
	const pageMap = new PageMap(task.group.pid, task.tid);
	const result = pageMap.isOpen ? findResidence(task, pageMap, start, pages, vector) : -ENOMEM;
	pageMap.close();
	return result;
}

function findResidence(task: Task, pageMap: PageMap, start: number, pages: number, vector: number): number {
	const mappings = memoryMap(task.group.pid, task.tid);
	let mapping: Mapping | null = null;
	for (let done = 0; done < pages; ) {
		const count = Math.min(BATCH, pages - done);
		let known = 0;
		for (; known < count; known++) {
			const address = start + (done + known) * PAGE_SIZE;
			if (mapping === null || address >= mapping.end) mapping = mappingAt(mappings, address);
			if (mapping === null) break;
			residence[known] = mapping.isFile || pageMap.isPresent(address) ? 1 : 0;
		}
		if (copyOutBytes(task.tid, vector + done, residence, known) < 0) return -EFAULT;
		if (known < count) return -ENOMEM;
		done += count;
	}
	return 0;
}

/** move_pages(2): all pages are on the one node there is, so none moves. */
export function sysMovePages(task: Task, trap: Trap): number {
	const count = trap.size(1);
	const flags = trap.uint(5);
	if ((flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return -EINVAL;
	if ((flags & MPOL_MF_MOVE_ALL) !== 0 && !hasCapability(task.credentials, CAP_SYS_NICE)) return -EPERM;
	const group = trap.int(0) === 0 ? task.group : traceable(task, trap.int(0));
	if (typeof group === 'number') return group;
	if (count > MAX_MOVED) return -E2BIG;
	const tid = group === task.group ? task.tid : group.pid;
	const pageMap = new PageMap(group.pid, tid);
	const mappings = memoryMap(group.pid, tid);
	let result = pageMap.isOpen && isStill(group) ? 0 : -ESRCH;
	for (let done = 0; done < count && result === 0; done += BATCH) {
		const batch = Math.min(BATCH, count - done);
		result = checkNodes(task, trap.size(3), done, batch);
		if (result === 0) result = copyIn(task.tid, trap.size(2) + done * POINTER_BYTES, batch * POINTER_BYTES);
		if (result < 0) break;
		for (let i = 0; i < batch; i++) {
			const address = scratchView.getUint32(i * POINTER_BYTES + 4, true) * 0x1_0000_0000 + scratchView.getUint32(i * POINTER_BYTES, true);
			const status = mappingAt(mappings, address) === null ? -EFAULT : pageMap.isPresent(address) ? 0 : -ENOENT;
			// Each address is read before its place is taken.
			scratchView.setInt32(i * INT_BYTES, status, true);
		}
		result = copyOut(task.tid, trap.size(4) + done * INT_BYTES, batch * INT_BYTES);
	}
	pageMap.close();
	return result;
}

/** The nodes that pages are to go to, if the caller names any: ENODEV for all but the one. */
function checkNodes(task: Task, address: number, done: number, count: number): number {
	if (address === 0) return 0;
	const error = copyIn(task.tid, address + done * INT_BYTES, count * INT_BYTES);
	if (error < 0) return error;
	for (let i = 0; i < count; i++) if (scratch.readInt32LE(i * INT_BYTES) !== 0) return -ENODEV;
	return 0;
}

/** migrate_pages(2): there is nowhere to go. */
export function sysMigratePages(task: Task, trap: Trap): number {
	const from = readNodes(task, trap.size(2), trap.size(1));
	if (typeof from === 'number') return from;
	const to = readNodes(task, trap.size(3), trap.size(1));
	if (typeof to === 'number') return to;
	const group = trap.int(0) === 0 ? task.group : traceable(task, trap.int(0));
	if (typeof group === 'number') return group;
	if (to.isBeyond && !hasCapability(task.credentials, CAP_SYS_NICE)) return -EPERM;
	return to.hasNode ? 0 : -EINVAL;
}
