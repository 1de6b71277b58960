import { processors, processorTopology, rangeText } from '../../../proc/cpuinfo.js';
import type { ProcDirectory } from '../../../proc/proc-directory.js';
import type { SysTree } from '../../sys-file.js';

/** Most processors that a kernel is configured for: what "possible" ends at is what there is. */
const KERNEL_MAX = 8191;
const BITS_PER_WORD = 32;

/** Processors as sysfs writes a mask: words of 32 bits, the highest first, as many as all processors need. */
export function maskText(numbers: readonly number[], highest: number): string {
	const words = new Array<number>(Math.floor(highest / BITS_PER_WORD) + 1).fill(0);
	for (const number of numbers) words[Math.floor(number / BITS_PER_WORD)]! |= 1 << (number % BITS_PER_WORD);
	const digits = Math.min(8, Math.ceil(((highest % BITS_PER_WORD) + 1) / 4));
	return words
		.reverse()
		.map((word, index) => (word >>> 0).toString(16).padStart(index === 0 ? digits : 8, '0'))
		.join(',');
}

/** /sys/devices/system/cpu: the host's processors, as /proc/cpuinfo tells of them. */
export function cpuDirectory(tree: SysTree): ProcDirectory {
	const numbers = processors();
	const highest = numbers[numbers.length - 1]!;
	const online = `${rangeText(numbers)}\n`;
	const topology = processorTopology();
	const cpu = tree
		.directory()
		.add('isolated', tree.file('\n'))
		.add('kernel_max', tree.file(`${KERNEL_MAX}\n`))
		.add('offline', tree.file('\n'))
		.add('online', tree.file(online))
		.add('possible', tree.file(online))
		.add('present', tree.file(online));
	for (const processor of topology) {
		const threads = topology.filter((other) => other.packageId === processor.packageId && other.coreId === processor.coreId);
		const cores = topology.filter((other) => other.packageId === processor.packageId);
		const threadNumbers = threads.map(({ number }) => number);
		const packageNumbers = cores.map(({ number }) => number);
		const directory = tree.files({
			core_cpus: maskText(threadNumbers, highest),
			core_cpus_list: rangeText(threadNumbers),
			core_id: processor.coreId,
			core_siblings: maskText(packageNumbers, highest),
			core_siblings_list: rangeText(packageNumbers),
			die_id: 0,
			package_cpus: maskText(packageNumbers, highest),
			package_cpus_list: rangeText(packageNumbers),
			physical_package_id: processor.packageId,
			thread_siblings: maskText(threadNumbers, highest),
			thread_siblings_list: rangeText(threadNumbers),
		});
		cpu.add(`cpu${processor.number}`, tree.directory().add('online', tree.file('1\n')).add('topology', directory));
	}
	return cpu;
}
