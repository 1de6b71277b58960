/** /proc/filesystems, proc_filesystems(5): the types that a container's mounts have. */
export function filesystemsText(): string {
	return ['sysfs', 'tmpfs', 'proc', 'cgroup2', 'devtmpfs', 'sockfs', 'pipefs', 'devpts', 'overlay', 'mqueue']
		.map((type) => `nodev\t${type}\n`)
		.join('');
}
