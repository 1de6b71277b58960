import { CAP_SETGID, CAP_SETPCAP, CAP_SETUID } from '../abi/capability-numbers.js';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../abi/errno.js';
import { NGROUPS_MAX } from '../abi/limits.js';
import { CapabilitySet, type Credentials, hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

/** SECBIT_NO_SETUID_FIXUP, SECBIT_KEEP_CAPS (capabilities(7)). */
const SECBIT_NO_SETUID_FIXUP = 4;
/** (uid_t) -1: leave it. */
const KEEP = 0xffff_ffff;

/** getuid(2), geteuid(2), getgid(2), getegid(2). */
export const sysGetuid = (task: Task): number => task.credentials.uid;
export const sysGeteuid = (task: Task): number => task.credentials.euid;
export const sysGetgid = (task: Task): number => task.credentials.gid;
export const sysGetegid = (task: Task): number => task.credentials.egid;

/** New user ids, with what they do to capabilities (capabilities(7), "Effect of user ID changes on capabilities"). */
function setUserIds(task: Task, uid: number, euid: number, suid: number, fsuid: number): number {
	const old = task.credentials;
	let { permitted, effective, ambient } = old;
	if ((old.securebits & SECBIT_NO_SETUID_FIXUP) === 0) {
		const wasRoot = old.uid === 0 || old.euid === 0 || old.suid === 0;
		const isRoot = uid === 0 || euid === 0 || suid === 0;
		if (wasRoot && !isRoot) {
			if (!task.group.keepCapabilities) permitted = CapabilitySet.empty;
			ambient = CapabilitySet.empty;
		}
		if (old.euid === 0 && euid !== 0) effective = CapabilitySet.empty;
		if (old.euid !== 0 && euid === 0) effective = permitted;
		effective = effective.and(permitted);
	}
	commit(task, { ...old, uid, euid, suid, fsuid, permitted, effective, ambient });
	return 0;
}

/** A thread's new credentials. A single-threaded process's are what its later threads start with. */
function commit(task: Task, credentials: Credentials): void {
	const old = task.credentials;
	task.credentials = credentials;
	task.group.credentials = credentials;
	if (old.euid !== credentials.euid || old.egid !== credentials.egid || !credentials.permitted.isSubsetOf(old.permitted))
		task.group.isDumpable = false;
}

/** setuid(2). */
export function sysSetuid(task: Task, trap: Trap): number {
	const uid = trap.uint(0);
	const old = task.credentials;
	if (uid === KEEP) return -EINVAL;
	if (hasCapability(old, CAP_SETUID)) return setUserIds(task, uid, uid, uid, uid);
	if (uid !== old.uid && uid !== old.suid) return -EPERM;
	return setUserIds(task, old.uid, uid, old.suid, uid);
}

/** setreuid(2). */
export function sysSetreuid(task: Task, trap: Trap): number {
	const old = task.credentials;
	const ruid = trap.uint(0);
	const euid = trap.uint(1);
	const isCapable = hasCapability(old, CAP_SETUID);
	if (ruid !== KEEP && !isCapable && ruid !== old.uid && ruid !== old.euid) return -EPERM;
	if (euid !== KEEP && !isCapable && euid !== old.uid && euid !== old.euid && euid !== old.suid) return -EPERM;
	const uid = ruid === KEEP ? old.uid : ruid;
	const effective = euid === KEEP ? old.euid : euid;
	const suid = ruid !== KEEP || (euid !== KEEP && euid !== old.uid) ? effective : old.suid;
	return setUserIds(task, uid, effective, suid, effective);
}

/** setresuid(2). */
export function sysSetresuid(task: Task, trap: Trap): number {
	const old = task.credentials;
	const ids = [trap.uint(0), trap.uint(1), trap.uint(2)];
	if (!hasCapability(old, CAP_SETUID)) {
		for (const id of ids) if (id !== KEEP && id !== old.uid && id !== old.euid && id !== old.suid) return -EPERM;
	}
	const uid = ids[0] === KEEP ? old.uid : ids[0]!;
	const euid = ids[1] === KEEP ? old.euid : ids[1]!;
	const suid = ids[2] === KEEP ? old.suid : ids[2]!;
	return setUserIds(task, uid, euid, suid, euid);
}

/** setfsuid(2): the old id, always. */
export function sysSetfsuid(task: Task, trap: Trap): number {
	const old = task.credentials;
	const fsuid = trap.uint(0);
	if (fsuid === old.uid || fsuid === old.euid || fsuid === old.suid || fsuid === old.fsuid || hasCapability(old, CAP_SETUID)) {
		if (fsuid !== KEEP) task.credentials = { ...old, fsuid };
	}
	return old.fsuid;
}

function setGroupIds(task: Task, gid: number, egid: number, sgid: number): number {
	commit(task, { ...task.credentials, gid, egid, sgid, fsgid: egid });
	return 0;
}

/** setgid(2). */
export function sysSetgid(task: Task, trap: Trap): number {
	const gid = trap.uint(0);
	const old = task.credentials;
	if (gid === KEEP) return -EINVAL;
	if (hasCapability(old, CAP_SETGID)) return setGroupIds(task, gid, gid, gid);
	if (gid !== old.gid && gid !== old.sgid) return -EPERM;
	return setGroupIds(task, old.gid, gid, old.sgid);
}

/** setregid(2). */
export function sysSetregid(task: Task, trap: Trap): number {
	const old = task.credentials;
	const rgid = trap.uint(0);
	const egid = trap.uint(1);
	const isCapable = hasCapability(old, CAP_SETGID);
	if (rgid !== KEEP && !isCapable && rgid !== old.gid && rgid !== old.egid) return -EPERM;
	if (egid !== KEEP && !isCapable && egid !== old.gid && egid !== old.egid && egid !== old.sgid) return -EPERM;
	const effective = egid === KEEP ? old.egid : egid;
	const sgid = rgid !== KEEP || (egid !== KEEP && egid !== old.gid) ? effective : old.sgid;
	return setGroupIds(task, rgid === KEEP ? old.gid : rgid, effective, sgid);
}

/** setresgid(2). */
export function sysSetresgid(task: Task, trap: Trap): number {
	const old = task.credentials;
	const ids = [trap.uint(0), trap.uint(1), trap.uint(2)];
	if (!hasCapability(old, CAP_SETGID)) {
		for (const id of ids) if (id !== KEEP && id !== old.gid && id !== old.egid && id !== old.sgid) return -EPERM;
	}
	return setGroupIds(task, ids[0] === KEEP ? old.gid : ids[0]!, ids[1] === KEEP ? old.egid : ids[1]!, ids[2] === KEEP ? old.sgid : ids[2]!);
}

/** setfsgid(2): the old id, always. */
export function sysSetfsgid(task: Task, trap: Trap): number {
	const old = task.credentials;
	const fsgid = trap.uint(0);
	if (fsgid === old.gid || fsgid === old.egid || fsgid === old.sgid || fsgid === old.fsgid || hasCapability(old, CAP_SETGID)) {
		if (fsgid !== KEEP) task.credentials = { ...old, fsgid };
	}
	return old.fsgid;
}

function putThree(task: Task, trap: Trap, values: readonly [number, number, number]): number {
	for (let i = 0; i < 3; i++) {
		scratchView.setUint32(0, values[i]!, true);
		const error = copyOut(task.tid, trap.size(i), 4);
		if (error < 0) return error;
	}
	return 0;
}

/** getresuid(2), getresgid(2). */
export const sysGetresuid = (task: Task, trap: Trap): number =>
	putThree(task, trap, [task.credentials.uid, task.credentials.euid, task.credentials.suid]);
export const sysGetresgid = (task: Task, trap: Trap): number =>
	putThree(task, trap, [task.credentials.gid, task.credentials.egid, task.credentials.sgid]);

/** getgroups(2). */
export function sysGetgroups(task: Task, trap: Trap): number {
	const { groups } = task.credentials;
	const size = trap.int(0);
	if (size < 0) return -EINVAL;
	if (size === 0) return groups.length;
	if (size < groups.length) return -EINVAL;
	for (let i = 0; i < groups.length; i++) scratchView.setUint32(i * 4, groups[i]!, true);
	const error = copyOut(task.tid, trap.size(1), groups.length * 4);
	return error < 0 ? error : groups.length;
}

/** setgroups(2). */
export function sysSetgroups(task: Task, trap: Trap): number {
	if (!hasCapability(task.credentials, CAP_SETGID)) return -EPERM;
	const count = trap.uint(0);
	if (count > NGROUPS_MAX) return -EINVAL;
	const error = count > 0 ? copyIn(task.tid, trap.size(1), count * 4) : 0;
	if (error < 0) return error;
	const groups: number[] = [];
	for (let i = 0; i < count; i++) groups.push(scratchView.getUint32(i * 4, true));
	commit(task, { ...task.credentials, groups });
	return 0;
}

// --- capget, capset --------------------------------------------------------------------------------------------------

const CAPABILITY_VERSION_1 = 0x19980330;
const CAPABILITY_VERSION_2 = 0x20071026;
const CAPABILITY_VERSION_3 = 0x20080522;

/** Words of struct __user_cap_data that the header's version has; -EINVAL and the kernel's own version for an unknown one. */
function capabilityWords(task: Task, header: number): number {
	const error = copyIn(task.tid, header, 8);
	if (error < 0) return error;
	const version = scratchView.getUint32(0, true);
	if (version === CAPABILITY_VERSION_1) return 1;
	if (version === CAPABILITY_VERSION_2 || version === CAPABILITY_VERSION_3) return 2;
	scratchView.setUint32(0, CAPABILITY_VERSION_3, true);
	return copyOut(task.tid, header, 4) < 0 ? -EFAULT : -EINVAL;
}

/** capget(2). */
export function sysCapget(task: Task, trap: Trap): number {
	const words = capabilityWords(task, trap.size(0));
	if (words < 0) return words === -EINVAL && trap.size(1) === 0 ? 0 : words;
	const pid = scratchView.getInt32(4, true);
	if (pid < 0) return -EINVAL;
	const group = pid === 0 ? task.group : task.group.container.groupByInsideId(pid);
	if (group === null) return -ESRCH;
	if (trap.size(1) === 0) return 0;
	const { effective, permitted, inheritable } = pid === 0 ? task.credentials : group.credentials;
	const sets = [effective, permitted, inheritable];
	for (let i = 0; i < 3; i++) {
		scratchView.setUint32(i * 4, sets[i]!.low >>> 0, true);
		scratchView.setUint32(12 + i * 4, sets[i]!.high >>> 0, true);
	}
	return copyOut(task.tid, trap.size(1), words * 12);
}

/** capset(2). */
export function sysCapset(task: Task, trap: Trap): number {
	const words = capabilityWords(task, trap.size(0));
	if (words < 0) return words;
	const pid = scratchView.getInt32(4, true);
	if (pid !== 0 && task.group.container.outsideId(pid, true) !== task.tid) return -EPERM;
	scratchView.setUint32(12, 0, true);
	scratchView.setUint32(16, 0, true);
	scratchView.setUint32(20, 0, true);
	const error = copyIn(task.tid, trap.size(1), words * 12);
	if (error < 0) return error;
	const known = CapabilitySet.full;
	const set = (i: number): CapabilitySet =>
		new CapabilitySet(scratchView.getInt32(i * 4, true), scratchView.getInt32(12 + i * 4, true)).and(known);
	const effective = set(0);
	const permitted = set(1);
	const inheritable = set(2);
	const old = task.credentials;
	if (!permitted.isSubsetOf(old.permitted) || !effective.isSubsetOf(permitted)) return -EPERM;
	if (!hasCapability(old, CAP_SETPCAP) && !inheritable.isSubsetOf(old.inheritable.or(old.permitted))) return -EPERM;
	if (!inheritable.isSubsetOf(old.inheritable.or(old.bounding))) return -EPERM;
	commit(task, { ...old, effective, permitted, inheritable, ambient: old.ambient.and(permitted).and(inheritable) });
	return 0;
}
