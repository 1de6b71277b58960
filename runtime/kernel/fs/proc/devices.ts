/** /proc/devices, proc_devices(5): the drivers of what a container finds in /dev. */
export function devicesText(): string {
	return 'Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n 10 misc\n136 pts\n\nBlock devices:\n';
}
