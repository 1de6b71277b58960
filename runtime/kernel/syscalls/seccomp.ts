import { native } from '../../native.js';
import { CAP_SYS_ADMIN } from '../abi/capability-numbers.js';
import { EACCES, EINVAL, ENOMEM, EOPNOTSUPP } from '../abi/errno.js';
import { hostField, readHostProc } from '../fs/proc/host-proc.js';
import { ANSWERED, CONTINUE } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import { FilterHold } from '../task/filter-hold.js';
import { type Task, TaskState } from '../task/task.js';
import { copyIn, copyInBytes, scratchView } from '../trap/guest-memory.js';
import { EVENT_INTERRUPTED } from '../trap/records.js';
import type { Trap } from '../trap/trap.js';
import {
	guardedFilter,
	INSTRUCTION_BYTES,
	MAX_INSTRUCTIONS,
	SECCOMP_RET_ALLOW,
	SECCOMP_RET_ERRNO,
	SECCOMP_RET_KILL_THREAD,
	SECCOMP_RET_LOG,
	SECCOMP_RET_TRACE,
	strictFilter,
} from './guest-filter.js';

const SECCOMP_SET_MODE_STRICT = 0;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_GET_ACTION_AVAIL = 2;

const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_FILTER_FLAG_LOG = 2;
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4;
const SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 16;
/** As of a kernel without listeners: a process has one, and that is the guest kernel. */
const FLAGS = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
/** Those that the host may know of: neither its log nor its mitigations are the guest's. */
const HOST_FLAGS = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;

const SECCOMP_RET_KILL_PROCESS = 0x8000_0000;
const SECCOMP_RET_TRAP = 0x0003_0000;
const ACTIONS = [
	SECCOMP_RET_KILL_PROCESS,
	SECCOMP_RET_KILL_THREAD,
	SECCOMP_RET_TRAP,
	SECCOMP_RET_ERRNO,
	SECCOMP_RET_TRACE,
	SECCOMP_RET_LOG,
	SECCOMP_RET_ALLOW,
];

const SECCOMP_MODE_DISABLED = 0;
const SECCOMP_MODE_STRICT = 1;
const SECCOMP_MODE_FILTER = 2;

/** struct sock_fprog. */
const PROGRAM_BYTES = 16;
const PROGRAM_ADDRESS = 8;

/**
 * seccomp(2). A guest's filter is the host's to run, on top of the sandbox's own: its KILL, TRAP and ERRNO count for native and trapped calls alike, with
 * the host's own SIGSYS, and nothing that it returns lets more through. What it says of tracers and listeners is ENOSYS, as where there are none.
 */
export function sysSeccomp(task: Task, trap: Trap): number {
	const operation = trap.uint(0);
	const flags = trap.uint(1);
	const address = trap.size(2);
	// The thread's own call again, with the guest kernel's copy of the program.
	if (task.isInstallingFilter) return operation === SECCOMP_SET_MODE_FILTER ? CONTINUE : -EINVAL;
	switch (operation) {
		case SECCOMP_SET_MODE_STRICT:
			return flags !== 0 || address !== 0 ? -EINVAL : setStrict(task, trap);
		case SECCOMP_SET_MODE_FILTER:
			return setFilter(task, trap, flags, address);
		case SECCOMP_GET_ACTION_AVAIL: {
			if (flags !== 0) return -EINVAL;
			const error = copyIn(task.tid, address, 4);
			if (error < 0) return error;
			return ACTIONS.includes(scratchView.getUint32(0, true)) ? 0 : -EOPNOTSUPP;
		}
		default:
			return -EINVAL;
	}
}

/** prctl(2), PR_SET_SECCOMP. */
export function setSeccomp(task: Task, trap: Trap): number {
	if (trap.size(1) === SECCOMP_MODE_STRICT) return setStrict(task, trap);
	return trap.size(1) === SECCOMP_MODE_FILTER ? setFilter(task, trap, 0, trap.size(2)) : -EINVAL;
}

/** prctl(2), PR_GET_SECCOMP: whoever is in strict mode can't ask. */
export function seccompMode(task: Task): number {
	const count = hostField(readHostProc(`${task.tid}/status`), 'Seccomp_filters');
	return count > task.group.container.filterCount ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
}

function setStrict(task: Task, trap: Trap): number {
	return seccompMode(task) === SECCOMP_MODE_DISABLED ? install(task, trap, 0, strictFilter()) : -EINVAL;
}

function setFilter(task: Task, trap: Trap, flags: number, address: number): number {
	if ((flags & ~FLAGS) !== 0) return -EINVAL;
	const error = copyIn(task.tid, address, PROGRAM_BYTES);
	if (error < 0) return error;
	const count = scratchView.getUint16(0, true);
	const program = scratchView.getUint32(PROGRAM_ADDRESS + 4, true) * 0x1_0000_0000 + scratchView.getUint32(PROGRAM_ADDRESS, true);
	if (count === 0 || count > MAX_INSTRUCTIONS) return -EINVAL;
	if (!task.credentials.noNewPrivs && !hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EACCES;
	const bytes = new Uint8Array(count * INSTRUCTION_BYTES);
	const failed = copyInBytes(task.tid, program, bytes, 0, bytes.length);
	return failed < 0 ? failed : install(task, trap, flags & HOST_FLAGS, bytes);
}

/** Makes the thread install `program` in place of its call. */
function install(task: Task, trap: Trap, flags: number, program: Uint8Array): number {
	const guarded = guardedFilter(program);
	if (typeof guarded === 'number') return guarded;
	const { kernel, group } = task;
	const count = guarded.length / INSTRUCTION_BYTES;
	group.filters ??= new FilterHold(kernel);
	const { filters } = group;
	if (!filters.add(count)) return -ENOMEM;
	const key = kernel.endpoints.add({
		onEvent: (kind, low) => {
			if (kind !== EVENT_INTERRUPTED) return;
			kernel.endpoints.remove(key);
			task.isInstallingFilter = false;
			if (low !== 0 && !group.isDead) filters.cancel(count);
			if (task.state === TaskState.InTrap) task.state = TaskState.Running;
		},
	});
	const error = native.installFilter(key, trap.listener, trap.idLow, trap.idHigh, task.tid, flags, guarded);
	if (error < 0) {
		kernel.endpoints.remove(key);
		filters.cancel(count);
		return -ENOMEM;
	}
	task.isInstallingFilter = true;
	return ANSWERED;
}
