import { readFileSync } from 'node:fs';

/** Where the host has its control groups. */
export interface Hierarchies {
	readonly version: 1 | 2;
	/** v1: mount point by controller. v2: the one mount point, by the name ''. */
	readonly mounts: ReadonlyMap<string, string>;
}

/** Controllers of v1 that a container has a group in, where the host has them. */
export const CONTROLLERS_V1 = ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'freezer', 'blkio', 'hugetlb', 'net_cls', 'net_prio'] as const;

/**
 * Reads the host's mounts. A v2 hierarchy beside v1 ones (hybrid) has no controllers: it counts only where it stands alone. Throws when there is none.
 */
export function findHierarchies(mountinfo: string = readFileSync('/proc/self/mountinfo', 'latin1')): Hierarchies {
	const mounts = new Map<string, string>();
	let unified: string | null = null;
	for (const line of mountinfo.trimEnd().split('\n')) {
		const [left = '', right = ''] = line.split(' - ');
		const point = left.split(' ')[4]!.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
		const [type, , options = ''] = right.split(' ');
		if (type === 'cgroup2') unified ??= point;
		if (type !== 'cgroup') continue;
		for (const controller of options.split(',')) {
			if ((CONTROLLERS_V1 as readonly string[]).includes(controller) && !mounts.has(controller)) mounts.set(controller, point);
		}
	}
	if (mounts.size > 0) return { version: 1, mounts };
	if (unified !== null) return { version: 2, mounts: new Map([['', unified]]) };
	throw new Error('Find the control groups: no cgroup file system is mounted');
}
