import { ENOSPC } from '../abi/errno.js';
import type { Dentry } from './dentry.js';
import { type Mount, MountNamespace } from './mount.js';
import { makeShared, type PeerGroup } from './peer-group.js';

/** What a copy of a tree of mounts leaves out. */
export interface CopyOptions {
	/** With what stands below, not the one mount alone. */
	readonly isRecursive: boolean;
	/** Unbindable mounts too: for a new namespace. */
	readonly withUnbindable: boolean;
}

/** Copies `from` (the part below `root`) and what stands on it; `copies` gets each mount's copy. The copy stands nowhere. Bounded by the caller. */
export function copyTree(from: Mount, root: Dentry, options: CopyOptions, copies = new Map<Mount, Mount>()): Mount {
	const copy = from.clone(root);
	copies.set(from, copy);
	if (!options.isRecursive) return copy;
	const pending: Mount[] = [from];
	for (let source = pending.pop(); source !== undefined; source = pending.pop()) {
		const target = copies.get(source)!;
		// What is attached meanwhile (a tree copied into itself) is not part of what is copied.
		for (const [mountpoint, child] of [...source.children]) {
			if (child.isUnbindable && !options.withUnbindable) continue;
			if (source === from && !root.isAncestorOf(mountpoint)) continue;
			const childCopy = child.clone();
			copies.set(child, childCopy);
			childCopy.attachTo(target, mountpoint);
			pending.push(child);
		}
	}
	return copy;
}

/** Forgets a tree that never came to stand anywhere. */
export function discardTree(root: Mount): void {
	for (const mount of root.tree().reverse()) {
		mount.detach();
		mount.peers?.remove(mount);
		mount.master?.removeSlave(mount);
	}
}

/**
 * Attaches a tree that stands nowhere, or was just taken off its place, at a place and at the same place of all that `parent` shares mounts with (Linux: attach_recursive_mnt).
 * Errors: ENOSPC, and nothing is attached.
 */
export function graft(tree: Mount, parent: Mount, mountpoint: Dentry): number {
	const namespace = parent.namespace!;
	const size = tree.tree().length;
	const group = parent.peers;
	const receivers = group === null ? 0 : group.receivers().length - 1;
	const added = (tree.namespace === null ? size : 0) + receivers * size;
	if (!namespace.budget.has(added)) return -ENOSPC;
	if (group !== null) for (const mount of tree.tree()) makeShared(mount);
	tree.attachTo(parent, mountpoint);
	// Not adopted yet, so that a tree which is of the same group receives no copy of itself.
	if (group !== null) propagate(group, parent, mountpoint, tree, new Set([group]));
	if (tree.namespace === null) namespace.adopt(tree);
	return 0;
}

/** Copies of `tree` for the members of `group` but `except`, and for its slaves. */
function propagate(group: PeerGroup, except: Mount | null, mountpoint: Dentry, tree: Mount, seen: Set<PeerGroup>): void {
	for (const member of [...group.members]) if (member !== except) place(member, mountpoint, tree, 'peer');
	for (const slave of [...group.slaves]) {
		if (slave.peers === null) {
			place(slave, mountpoint, tree, 'slave');
		} else if (!seen.has(slave.peers)) {
			seen.add(slave.peers);
			const copy = place(slave, mountpoint, tree, 'shared slave');
			if (copy !== null) propagate(slave.peers, slave, mountpoint, copy, seen);
		}
	}
}

function place(receiver: Mount, mountpoint: Dentry, tree: Mount, kind: 'peer' | 'slave' | 'shared slave'): Mount | null {
	const { namespace } = receiver;
	if (namespace === null || !receiver.root.isAncestorOf(mountpoint)) return null;
	const copy = copyTree(tree, tree.root, { isRecursive: true, withUnbindable: true });
	if (kind !== 'peer') {
		for (const mount of copy.tree()) {
			const { peers } = mount;
			if (peers === null) continue;
			peers.remove(mount);
			peers.addSlave(mount);
			if (kind === 'shared slave') makeShared(mount);
		}
	}
	const top = receiver.topmost(mountpoint);
	copy.attachTo(top.mount, top.dentry);
	namespace.adopt(copy);
	return copy;
}

/** Takes a tree of mounts away, here and where it was propagated to (Linux: umount_tree). */
export function ungraft(tree: Mount): void {
	for (const mount of tree.tree().reverse()) {
		const { parent, mountpoint } = mount;
		const others = parent?.peers === null || parent === null ? [] : parent.peers.receivers();
		mount.namespace?.drop(mount);
		for (const other of others) {
			const twin = other.children.get(mountpoint!);
			// What has something of its own mounted on it stays.
			if (twin !== undefined && twin.fs === mount.fs && twin.children.size === 0) twin.namespace?.drop(twin);
		}
	}
}

/** A copy of a namespace, unshare(2) with CLONE_NEWNS; `copies` tells which mount is whose copy. Errors: ENOSPC. */
export function copyNamespace(namespace: MountNamespace, copies: Map<Mount, Mount>): MountNamespace | number {
	if (!namespace.budget.has(namespace.size)) return -ENOSPC;
	const { root } = namespace;
	return new MountNamespace(copyTree(root, root.root, { isRecursive: true, withUnbindable: true }, copies), namespace.budget);
}

/** Nobody is in it any more. */
export function dissolveNamespace(namespace: MountNamespace): void {
	for (const mount of namespace.root.tree().reverse()) namespace.drop(mount);
}
