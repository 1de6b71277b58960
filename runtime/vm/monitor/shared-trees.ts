import { fstatSync } from 'node:fs';
import type { MountConfig } from '../../oci/config.js';
import type { Machine } from './machine.js';

const MS_RDONLY = 1;

interface SharedTree {
	/** Below the share's top. */
	readonly name: string;
	/** Of the folder or file that is its root, whether it has what is mounted below, and how its ids are mapped. */
	readonly key: string;
	readonly isReadonly: boolean;
	users: number;
}

/**
 * What containers of a pod have bound of the host's, attached to its machine's share. Two that bind the same folder or file get the same tree, so that it is the same
 * inodes for the guest's kernel, and mappings, locks, sockets and events of one are those of the other. A container that may not write gets the tree of one that
 * may, if there is one: its mount in the guest is read-only.
 */
export class SharedTrees {
	private readonly trees: SharedTree[] = [];
	private next = 0;

	constructor(private readonly machine: Machine) {}

	/** The tree for a mount whose detached mount is `fd`, which stays the caller's: its name, to be given back. Throws HostError. */
	take(mount: MountConfig, fd: number): string {
		const { dev, ino } = fstatSync(fd, { bigint: true });
		const key = `${dev}:${ino}:${mount.isRecursive}:${JSON.stringify(mount.idMappings)}`;
		const isReadonly = (mount.flags & MS_RDONLY) !== 0;
		let tree = this.trees.find((known) => known.key === key && (isReadonly || !known.isReadonly));
		if (tree === undefined) {
			tree = { name: `volumes.${this.next++}`, key, isReadonly, users: 0 };
			this.machine.attach(fd, tree.name);
			this.trees.push(tree);
		}
		tree.users++;
		return tree.name;
	}

	/** One user less: without any it is taken off. */
	give(name: string): void {
		const at = this.trees.findIndex((tree) => tree.name === name);
		const tree = this.trees[at]!;
		if (--tree.users > 0) return;
		this.trees.splice(at, 1);
		this.machine.detach(name);
	}
}
