/** /proc/filesystems, proc_filesystems(5): the types that a container can mount, and the kernel's own. */
export function filesystemsText(): string {
	return ['sysfs', 'tmpfs', 'proc', 'cgroup2', 'sockfs', 'pipefs', 'devpts', 'mqueue'].map((type) => `nodev\t${type}\n`).join('');
}
