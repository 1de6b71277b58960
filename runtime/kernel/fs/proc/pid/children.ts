import { ESRCH } from '../../../abi/errno.js';
import type { ProcessTarget } from './process-target.js';

/** /proc/PID/task/TID/children, proc_tid_children(5): the host's list with the container's ids. */
export function childrenText(target: ProcessTarget): string | number {
	if (target.isGone) return -ESRCH;
	let text = '';
	for (const word of target.readHost('children').split(' ')) {
		const inside = word === '' ? 0 : target.group.container.insideId(Number(word));
		if (inside > 0) text += `${inside} `;
	}
	return text;
}
