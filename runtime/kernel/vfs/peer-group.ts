import type { Mount } from './mount.js';

let nextGroupId = 1;

/**
 * Mounts that share what is mounted on them, mount_namespaces(7) "shared subtrees": what is mounted on or taken off one of them is on
 * all of them and on their slaves.
 */
export class PeerGroup {
	/** As mountinfo shows it: "shared:1", "master:1". */
	readonly id = nextGroupId++;
	readonly members = new Set<Mount>();
	readonly slaves = new Set<Mount>();

	add(mount: Mount): void {
		mount.peers = this;
		this.members.add(mount);
	}

	/** The last member that goes leaves its slaves to the group's own master, if it has one. */
	remove(mount: Mount): void {
		this.members.delete(mount);
		mount.peers = null;
		if (this.members.size > 0) return;
		for (const slave of this.slaves) {
			slave.master = null;
			mount.master?.addSlave(slave);
		}
		this.slaves.clear();
	}

	addSlave(mount: Mount): void {
		mount.master = this;
		this.slaves.add(mount);
	}
	removeSlave(mount: Mount): void {
		mount.master = null;
		this.slaves.delete(mount);
	}

	/** All mounts that see what happens on a member: members, slaves, and theirs. */
	receivers(): Mount[] {
		const seen = new Set<PeerGroup>([this]);
		const found = new Set<Mount>();
		for (const group of seen) {
			for (const member of group.members) found.add(member);
			for (const slave of group.slaves) {
				found.add(slave);
				if (slave.peers !== null) seen.add(slave.peers);
			}
		}
		for (const group of seen) for (const member of group.members) found.add(member);
		return [...found];
	}
}

/** MS_SHARED. */
export function makeShared(mount: Mount): void {
	mount.isUnbindable = false;
	if (mount.peers === null) new PeerGroup().add(mount);
}

/** MS_PRIVATE. */
export function makePrivate(mount: Mount): void {
	mount.peers?.remove(mount);
	mount.master?.removeSlave(mount);
	mount.isUnbindable = false;
}

/** MS_SLAVE: of those who were its peers; without any it becomes private, or stays the slave that it is. */
export function makeSlave(mount: Mount): void {
	const { peers } = mount;
	mount.isUnbindable = false;
	if (peers === null) return;
	const isAlone = peers.members.size === 1;
	peers.remove(mount);
	if (isAlone) return;
	mount.master?.removeSlave(mount);
	peers.addSlave(mount);
}

/** MS_UNBINDABLE. */
export function makeUnbindable(mount: Mount): void {
	makePrivate(mount);
	mount.isUnbindable = true;
}
