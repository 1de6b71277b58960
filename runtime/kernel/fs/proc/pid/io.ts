import { ESRCH } from '../../../abi/errno.js';
import type { ProcessTarget } from './process-target.js';

const FIELDS = ['rchar', 'wchar', 'syscr', 'syscw', 'read_bytes', 'write_bytes', 'cancelled_write_bytes'];

/** /proc/PID/io, proc_pid_io(5). The guest kernel does all input and output, and counts it for no process. */
export function ioText(target: ProcessTarget): string | number {
	return target.isGone ? -ESRCH : FIELDS.map((name) => `${name}: 0\n`).join('');
}
