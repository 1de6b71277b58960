import { native } from '../../native.js';
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../abi/capability-numbers.js';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../abi/errno.js';
import { RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_STACK } from '../abi/resource.js';
import { SIGRTMAX } from '../abi/signal-numbers.js';
import { UTS_MACHINE, UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../abi/uts.js';
import { CONTINUE } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import { INFINITY, RLIMITS } from '../task/limits.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { seccompMode, setSeccomp } from './seccomp.js';

const UTS_FIELD = 65;

/** uname(2). */
export function sysUname(task: Task, trap: Trap): number {
	const { container } = task.group;
	const fields = [UTS_SYSNAME, container.uts.hostname, UTS_RELEASE, UTS_VERSION, UTS_MACHINE, container.uts.domainname];
	scratch.fill(0, 0, fields.length * UTS_FIELD);
	for (let i = 0; i < fields.length; i++) scratch.latin1Write(fields[i]!.slice(0, UTS_FIELD - 1), i * UTS_FIELD);
	return copyOut(task.tid, trap.size(0), fields.length * UTS_FIELD);
}

/** sethostname(2). */
export function sysSethostname(task: Task, trap: Trap): number {
	const name = hostName(task, trap);
	if (typeof name === 'number') return name;
	task.group.container.uts.hostname = name;
	return 0;
}

/** setdomainname(2). */
export function sysSetdomainname(task: Task, trap: Trap): number {
	const name = hostName(task, trap);
	if (typeof name === 'number') return name;
	task.group.container.uts.domainname = name;
	return 0;
}

function hostName(task: Task, trap: Trap): string | number {
	if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
	const length = trap.int(1);
	if (length < 0 || length > UTS_FIELD - 1) return -EINVAL;
	const error = copyIn(task.tid, trap.size(0), length);
	return error < 0 ? error : scratch.latin1Slice(0, length).split('\0')[0]!;
}

const memoryInfo = Buffer.alloc(8192);

/** sysinfo(2): memory from the host's /proc/meminfo, time since the sandbox started. */
export function sysSysinfo(task: Task, trap: Trap): number {
	const length = native.readProcFile('meminfo', memoryInfo);
	const text = length > 0 ? memoryInfo.latin1Slice(0, length) : '';
	const kib = (name: string): number => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(text)?.[1] ?? 0);
	scratch.fill(0, 0, 112);
	const put = (at: number, value: number): void => {
		scratchView.setUint32(at, value % 0x1_0000_0000, true);
		scratchView.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
	};
	put(0, Math.floor((native.monotonicNs() - task.kernel.startNs) / 1e9));
	put(32, kib('MemTotal') * 1024);
	put(40, kib('MemFree') * 1024);
	put(48, kib('Shmem') * 1024);
	put(56, kib('Buffers') * 1024);
	scratchView.setUint16(80, task.group.container.pids.groups.size, true);
	scratchView.setUint32(104, 1, true);
	return copyOut(task.tid, trap.size(0), 112);
}

// --- Limits -----------------------------------------------------------------------------------------------------------

const RLIM_INFINITY_HALF = 0xffff_ffff;
/** Limits that the host enforces for us: the guest's own memory and time. */
const NATIVE_LIMITS = new Set([RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CPU]);
const nativeLimit = new Float64Array(2);
const oldNativeLimit = new Float64Array(2);

function getLimit(at: number): number {
	const low = scratchView.getUint32(at, true);
	const high = scratchView.getUint32(at + 4, true);
	return low === RLIM_INFINITY_HALF && high === RLIM_INFINITY_HALF ? INFINITY : high * 0x1_0000_0000 + low;
}

function putLimit(at: number, value: number): void {
	scratchView.setUint32(at, value === INFINITY ? RLIM_INFINITY_HALF : value % 0x1_0000_0000, true);
	scratchView.setUint32(at + 4, value === INFINITY ? RLIM_INFINITY_HALF : Math.floor(value / 0x1_0000_0000), true);
}

/** getrlimit(2). */
export function sysGetrlimit(task: Task, trap: Trap): number {
	return prlimit(task, 0, trap.uint(0), 0, trap.size(1));
}

/** setrlimit(2). */
export function sysSetrlimit(task: Task, trap: Trap): number {
	return trap.size(1) === 0 ? -EFAULT : prlimit(task, 0, trap.uint(0), trap.size(1), 0);
}

/** prlimit64(2). */
export function sysPrlimit64(task: Task, trap: Trap): number {
	return prlimit(task, trap.int(0), trap.uint(1), trap.size(2), trap.size(3));
}

function prlimit(task: Task, pid: number, resource: number, newAddress: number, oldAddress: number): number {
	if (resource >= RLIMITS) return -EINVAL;
	const group = pid === 0 ? task.group : task.group.container.groupByInsideId(pid);
	if (group === null) return -ESRCH;
	const { limits } = group;
	const own = task.credentials;
	const other = group.credentials;
	if (
		group !== task.group &&
		(own.uid !== other.euid || own.uid !== other.suid || own.uid !== other.uid) &&
		!hasCapability(own, CAP_SYS_RESOURCE)
	)
		return -EPERM;
	const oldSoft = limits.soft[resource]!;
	const oldHard = limits.hard[resource]!;
	if (newAddress !== 0) {
		const error = copyIn(task.tid, newAddress, 16);
		if (error < 0) return error;
		const soft = getLimit(0);
		const hard = getLimit(8);
		if (soft > hard) return -EINVAL;
		if (hard > oldHard && !hasCapability(own, CAP_SYS_RESOURCE)) return -EPERM;
		if (resource === RLIMIT_NOFILE && hard > task.kernel.maxDescriptors) return -EPERM;
		limits.set(resource, soft, hard);
		if (NATIVE_LIMITS.has(resource)) {
			// The host's hard limit stays where it is: the guest kernel keeps the guest's own.
			native.prlimit(group.pid, resource, null, oldNativeLimit);
			nativeLimit[0] = soft === INFINITY ? -1 : soft;
			nativeLimit[1] = oldNativeLimit[1]!;
			if (nativeLimit[1] >= 0 && (nativeLimit[0]! < 0 || nativeLimit[0]! > nativeLimit[1])) nativeLimit[0] = nativeLimit[1];
			native.prlimit(group.pid, resource, nativeLimit, oldNativeLimit);
		}
	}
	if (oldAddress === 0) return 0;
	putLimit(0, oldSoft);
	putLimit(8, oldHard);
	return copyOut(task.tid, oldAddress, 16);
}

/** getpriority(2), ioprio_get(2) … of the container's own processes: the host's answer is about the caller's user and PID namespace. */
export function sysHost(): number {
	return CONTINUE;
}

// --- prctl ----------------------------------------------------------------------------------------------------------------

const PR_SET_PDEATHSIG = 1;
const PR_GET_PDEATHSIG = 2;
const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const PR_GET_KEEPCAPS = 7;
const PR_SET_KEEPCAPS = 8;
const PR_GET_SECCOMP = 21;
const PR_SET_SECCOMP = 22;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
const PR_SET_TIMERSLACK = 29;
const PR_MCE_KILL_GET = 34;
const PR_SET_CHILD_SUBREAPER = 36;
const PR_GET_CHILD_SUBREAPER = 37;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_GET_NO_NEW_PRIVS = 39;
const PR_SET_THP_DISABLE = 41;
const PR_GET_THP_DISABLE = 42;
const PR_CAP_AMBIENT = 47;
const CAP_SETPCAP = 8;
const CAP_LAST = 40;

/** prctl(2), beyond the options that are native. */
export function sysPrctl(task: Task, trap: Trap): number {
	const argument = trap.uint(1);
	const { group } = task;
	const credentials = task.credentials;
	switch (trap.int(0)) {
		// The host's own parent-death signal and reaper are of the container's own processes.
		case PR_SET_PDEATHSIG:
			if (argument > SIGRTMAX) return -EINVAL;
			// init's own is what ends the container with its kernel.
			return group.isInit ? 0 : CONTINUE;
		case PR_GET_PDEATHSIG:
		case PR_SET_CHILD_SUBREAPER:
		case PR_GET_CHILD_SUBREAPER:
		case PR_SET_THP_DISABLE:
		case PR_GET_THP_DISABLE:
		case PR_MCE_KILL_GET:
		case PR_SET_TIMERSLACK:
			return CONTINUE;
		case PR_GET_DUMPABLE:
			return group.isDumpable ? 1 : 0;
		case PR_SET_DUMPABLE:
			if (argument > 1) return -EINVAL;
			group.isDumpable = argument === 1;
			return 0;
		case PR_GET_KEEPCAPS:
			return group.keepCapabilities ? 1 : 0;
		case PR_SET_KEEPCAPS:
			if (argument > 1) return -EINVAL;
			group.keepCapabilities = argument === 1;
			return 0;
		case PR_GET_SECCOMP:
			return seccompMode(task);
		case PR_SET_SECCOMP:
			return setSeccomp(task, trap);
		case PR_CAPBSET_READ:
			return argument > CAP_LAST ? -EINVAL : credentials.bounding.has(argument) ? 1 : 0;
		case PR_CAPBSET_DROP: {
			if (!credentials.effective.has(CAP_SETPCAP)) return -EPERM;
			if (argument > CAP_LAST) return -EINVAL;
			task.credentials = group.credentials = {
				...credentials,
				bounding: credentials.bounding.without(capabilityBit(credentials.bounding, argument)),
			};
			return 0;
		}
		case PR_GET_SECUREBITS:
			return credentials.securebits;
		case PR_SET_SECUREBITS:
			if (!credentials.effective.has(CAP_SETPCAP)) return -EPERM;
			task.credentials = group.credentials = { ...credentials, securebits: argument };
			return 0;
		case PR_SET_NO_NEW_PRIVS:
			if (argument !== 1 || trap.uint(2) !== 0 || trap.uint(3) !== 0 || trap.uint(4) !== 0) return -EINVAL;
			task.credentials = group.credentials = { ...credentials, noNewPrivs: true };
			return 0;
		case PR_GET_NO_NEW_PRIVS:
			return credentials.noNewPrivs ? 1 : 0;
		case PR_CAP_AMBIENT:
			return ambient(task, argument, trap.uint(2));
		default:
			return -EINVAL;
	}
}

type Set = Task['credentials']['bounding'];

function capabilityBit(like: Set, capability: number): Set {
	return new (like.constructor as new (low: number, high: number) => Set)(
		capability < 32 ? 1 << capability : 0,
		capability < 32 ? 0 : 1 << (capability - 32),
	);
}

const PR_CAP_AMBIENT_IS_SET = 1;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_LOWER = 3;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;

function ambient(task: Task, operation: number, capability: number): number {
	const credentials = task.credentials;
	const bit = capabilityBit(credentials.ambient, capability);
	let next = credentials.ambient;
	if (operation !== PR_CAP_AMBIENT_CLEAR_ALL && capability > CAP_LAST) return -EINVAL;
	switch (operation) {
		case PR_CAP_AMBIENT_IS_SET:
			return next.has(capability) ? 1 : 0;
		case PR_CAP_AMBIENT_RAISE:
			if (!credentials.permitted.has(capability) || !credentials.inheritable.has(capability)) return -EPERM;
			next = next.or(bit);
			break;
		case PR_CAP_AMBIENT_LOWER:
			next = next.without(bit);
			break;
		case PR_CAP_AMBIENT_CLEAR_ALL:
			next = next.without(next);
			break;
		default:
			return -EINVAL;
	}
	task.credentials = task.group.credentials = { ...credentials, ambient: next };
	return 0;
}

/** personality(2): only the current one, PER_LINUX, or a query. */
export function sysPersonality(_task: Task, trap: Trap): number {
	const wanted = trap.uint(0);
	return wanted === 0 || wanted === 0xffff_ffff ? 0 : -EINVAL;
}
