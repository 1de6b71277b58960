import { processors, rangeText } from '../../../proc/cpuinfo.js';
import type { ProcDirectory } from '../../../proc/proc-directory.js';
import type { SysTree } from '../../sys-file.js';
import { maskText } from './cpu.js';

/** Distance of a node from itself. */
const LOCAL_DISTANCE = 10;

/** /sys/devices/system/node: one node that has all processors and all memory. */
export function nodeDirectory(tree: SysTree): ProcDirectory {
	const numbers = processors();
	const node = tree.files({
		cpulist: rangeText(numbers),
		cpumap: maskText(numbers, numbers[numbers.length - 1]!),
		distance: LOCAL_DISTANCE,
	});
	return tree.files({ has_cpu: 0, has_memory: 0, has_normal_memory: 0, online: 0, possible: 0 }).add('node0', node);
}
