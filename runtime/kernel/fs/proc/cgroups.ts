/** Controllers of the one hierarchy, with their numbers of cgroups; cgroups(7). */
const CONTROLLERS = ['cpuset', 'cpu', 'cpuacct', 'blkio', 'memory', 'devices', 'freezer', 'perf_event', 'hugetlb', 'pids'];

/** /proc/cgroups: as under version 2, where all controllers are of hierarchy 0. */
export function cgroupsText(): string {
	return `#subsys_name\thierarchy\tnum_cgroups\tenabled\n${CONTROLLERS.map((name) => `${name}\t0\t1\t1\n`).join('')}`;
}
