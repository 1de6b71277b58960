/** /proc/partitions, proc_partitions(5): no block devices are the guest's. */
export function partitionsText(): string {
	return 'major minor  #blocks  name\n\n';
}
