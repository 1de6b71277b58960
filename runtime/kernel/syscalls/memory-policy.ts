import { CAP_SYS_NICE } from '../abi/capability-numbers.js';
import { EFAULT, EINVAL, EOPNOTSUPP, EPERM } from '../abi/errno.js';
import { PAGE_SIZE } from '../abi/limits.js';
import { hasCapability } from '../task/credentials.js';
import { type Mapping, mappingAt, memoryMap } from '../task/memory-map.js';
import { MemoryPolicies, type MemoryPolicy } from '../task/memory-policy.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, copyOutInt, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';

/** As on a machine with one node, set_mempolicy(2), mbind(2), get_mempolicy(2). */
const MPOL_DEFAULT = 0;
const MPOL_PREFERRED = 1;
const MPOL_BIND = 2;
const MPOL_INTERLEAVE = 3;
const MPOL_LOCAL = 4;
const MPOL_PREFERRED_MANY = 5;
const MPOL_MAX = 7;
const MPOL_F_NUMA_BALANCING = 1 << 13;
const MPOL_F_RELATIVE_NODES = 1 << 14;
const MPOL_F_STATIC_NODES = 1 << 15;
const MODE_FLAGS = MPOL_F_NUMA_BALANCING | MPOL_F_RELATIVE_NODES | MPOL_F_STATIC_NODES;

const MPOL_F_NODE = 1;
const MPOL_F_ADDR = 2;
const MPOL_F_MEMS_ALLOWED = 4;

const MPOL_MF_VALID = 7;
const MPOL_MF_MOVE_ALL = 4;

/** Nodes that a set can name (MAX_NUMNODES of most builds). */
const MAX_NODES = 1024;
const WORD_BITS = 64;
const WORD_BYTES = 8;

/** A set of nodes. */
interface Nodes {
	readonly isEmpty: boolean;
	/** The one node that there is. */
	readonly hasNode: boolean;
	/** Some other. */
	readonly isBeyond: boolean;
}

const NO_NODES: Nodes = { isEmpty: true, hasNode: false, isBeyond: false };

/** Copies a set of nodes in. Errors: EINVAL, EFAULT. */
export function readNodes(task: Task, address: number, maxNode: number): Nodes | number {
	const bits = maxNode - 1;
	if (bits <= 0 || address === 0) return NO_NODES;
	if (bits > PAGE_SIZE * 8) return -EINVAL;
	const words = Math.ceil(bits / WORD_BITS);
	const error = copyIn(task.tid, address, words * WORD_BYTES);
	if (error < 0) return error;
	const bytes = Math.ceil(bits / 8);
	if (bits % 8 !== 0) scratch[bytes - 1]! &= (1 << (bits % 8)) - 1;
	let isBeyond = (scratch[0]! & ~1) !== 0;
	for (let i = 1; i < bytes; i++) {
		if (scratch[i] === 0) continue;
		if (i >= MAX_NODES / 8) return -EINVAL;
		isBeyond = true;
	}
	const hasNode = (scratch[0]! & 1) !== 0;
	return { isEmpty: !hasNode && !isBeyond, hasNode, isBeyond };
}

/** The policy of a mode word and a set of nodes; null is MPOL_DEFAULT. Errors: EINVAL. */
function policyOf(word: number, nodes: Nodes): MemoryPolicy | null | number {
	const flags = word & MODE_FLAGS;
	const mode = word & ~MODE_FLAGS;
	const isFixed = (flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)) !== 0;
	if (mode < 0 || mode >= MPOL_MAX) return -EINVAL;
	if ((flags & MPOL_F_STATIC_NODES) !== 0 && (flags & MPOL_F_RELATIVE_NODES) !== 0) return -EINVAL;
	if ((flags & MPOL_F_NUMA_BALANCING) !== 0 && mode !== MPOL_BIND && mode !== MPOL_PREFERRED_MANY) return -EINVAL;
	if (mode === MPOL_DEFAULT) return nodes.isEmpty ? null : -EINVAL;
	if (mode === MPOL_LOCAL || (mode === MPOL_PREFERRED && nodes.isEmpty)) {
		return nodes.isEmpty && !isFixed ? { mode: MPOL_LOCAL, flags, hasNode: false } : -EINVAL;
	}
	// Relative nodes are counted round: any is the one.
	const hasNode = (flags & MPOL_F_RELATIVE_NODES) !== 0 ? !nodes.isEmpty : nodes.hasNode;
	return hasNode ? { mode, flags, hasNode } : -EINVAL;
}

/** set_mempolicy(2). */
export function sysSetMempolicy(task: Task, trap: Trap): number {
	const nodes = readNodes(task, trap.size(1), trap.size(2));
	if (typeof nodes === 'number') return nodes;
	const policy = policyOf(trap.int(0), nodes);
	if (typeof policy === 'number') return policy;
	task.memoryPolicy = policy;
	return 0;
}

/** mbind(2). */
export function sysMbind(task: Task, trap: Trap): number {
	const start = trap.size(0);
	const flags = trap.uint(5);
	const nodes = readNodes(task, trap.size(3), trap.size(4));
	if (typeof nodes === 'number') return nodes;
	if ((flags & ~MPOL_MF_VALID) !== 0) return -EINVAL;
	if ((flags & MPOL_MF_MOVE_ALL) !== 0 && !hasCapability(task.credentials, CAP_SYS_NICE)) return -EPERM;
	if (start % PAGE_SIZE !== 0) return -EINVAL;
	const end = start + Math.ceil(trap.size(1) / PAGE_SIZE) * PAGE_SIZE;
	if (end === start) return 0;
	const policy = policyOf(trap.int(2), nodes);
	if (typeof policy === 'number') return policy;
	if (!isMapped(memoryMap(task.group.pid, task.tid), start, end)) return -EFAULT;
	task.group.memoryPolicies ??= new MemoryPolicies();
	return task.group.memoryPolicies.set(start, end, policy);
}

function isMapped(mappings: readonly Mapping[], start: number, end: number): boolean {
	for (let at = start; at < end; ) {
		const mapping = mappingAt(mappings, at);
		if (mapping === null) return false;
		at = mapping.end;
	}
	return true;
}

/** set_mempolicy_home_node(2): of a range with a policy that has nodes. */
export function sysSetMempolicyHomeNode(task: Task, trap: Trap): number {
	const start = trap.size(0);
	const length = Math.ceil(trap.size(1) / PAGE_SIZE) * PAGE_SIZE;
	if (start % PAGE_SIZE !== 0 || trap.size(3) !== 0 || trap.size(2) !== 0) return -EINVAL;
	if (length === 0) return 0;
	const policy = task.group.memoryPolicies?.at(start) ?? null;
	if (policy === null) return 0;
	return policy.mode === MPOL_BIND || policy.mode === MPOL_PREFERRED_MANY ? 0 : -EOPNOTSUPP;
}

/** get_mempolicy(2). */
export function sysGetMempolicy(task: Task, trap: Trap): number {
	const modeAddress = trap.size(0);
	const nodesAddress = trap.size(1);
	const maxNode = trap.size(2);
	const address = trap.size(3);
	const flags = trap.uint(4);
	if (nodesAddress !== 0 && maxNode < 1) return -EINVAL;
	if ((flags & ~(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED)) !== 0) return -EINVAL;
	if ((flags & MPOL_F_MEMS_ALLOWED) !== 0) {
		if ((flags & (MPOL_F_NODE | MPOL_F_ADDR)) !== 0) return -EINVAL;
		return putPolicy(task, modeAddress, 0, nodesAddress, maxNode, true);
	}
	const isOfAddress = (flags & MPOL_F_ADDR) !== 0;
	if (!isOfAddress && address !== 0) return -EINVAL;
	if (isOfAddress && mappingAt(memoryMap(task.group.pid, task.tid), address) === null) return -EFAULT;
	const policy = (isOfAddress ? task.group.memoryPolicies?.at(address) : null) ?? task.memoryPolicy;
	// The node that a page is on, or that the next one comes from.
	if ((flags & MPOL_F_NODE) !== 0) {
		if (!isOfAddress && policy?.mode !== MPOL_INTERLEAVE) return -EINVAL;
		return putPolicy(task, modeAddress, 0, nodesAddress, maxNode, policy?.hasNode ?? false);
	}
	const mode = policy === null ? MPOL_DEFAULT : policy.mode | policy.flags;
	return putPolicy(task, modeAddress, mode, nodesAddress, maxNode, policy?.hasNode ?? false);
}

function putPolicy(task: Task, modeAddress: number, mode: number, nodesAddress: number, maxNode: number, hasNode: boolean): number {
	if (modeAddress !== 0) {
		const error = copyOutInt(task.tid, modeAddress, mode);
		if (error < 0) return error;
	}
	if (nodesAddress === 0) return 0;
	const bytes = Math.ceil((maxNode - 1) / WORD_BITS) * WORD_BYTES;
	if (bytes > PAGE_SIZE) return -EINVAL;
	scratch.fill(0, 0, bytes);
	if (bytes > 0) scratchView.setUint32(0, hasNode ? 1 : 0, true);
	return bytes === 0 ? 0 : copyOut(task.tid, nodesAddress, bytes);
}
