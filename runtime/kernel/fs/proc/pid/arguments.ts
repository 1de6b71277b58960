import { native } from '../../../../native.js';
import { ESRCH } from '../../../abi/errno.js';
import { readHostStat } from './host-stat.js';
import type { ProcessTarget } from './process-target.js';

/** More than any stack holds of arguments or environment (a quarter of 24 MiB, execve(2)). */
const MAX_BYTES = 6 << 20;
/** Where the host's stat says that they lie. */
const ARG_START = 48;
const ARG_END = 49;
const ENV_START = 50;
const ENV_END = 51;
/** A title that a program wrote over its arguments is looked for in so many bytes. */
const TITLE_BYTES = 4096;

/** Guest memory from `start` to `end` as a byte string, as far as it can be read. */
function readRange(tid: number, start: number, end: number): string {
	const length = Math.min(end - start, MAX_BYTES);
	if (!(length > 0)) return '';
	const buffer = Buffer.allocUnsafe(length);
	const got = native.readMemory(tid, start, buffer, 0, length);
	return got > 0 ? buffer.latin1Slice(0, got) : '';
}

/** /proc/PID/cmdline, proc_pid_cmdline(5): what lies where the arguments were put, or the title that the program has put there since. */
export function cmdlineText(target: ProcessTarget): string | number {
	const stat = readHostStat(target);
	if (stat === null || target.isGone) return -ESRCH;
	const { tid, group } = target;
	const start = stat.number(ARG_START);
	const end = stat.number(ARG_END);
	const text = readRange(tid, start, end);
	if (text === '') return '';
	if (text.charCodeAt(text.length - 1) !== 0) {
		const title = readRange(tid, start, Math.min(start + TITLE_BYTES, Math.max(stat.number(ENV_END), end)));
		const nul = title.indexOf('\0');
		return nul < 0 ? title : title.slice(0, nul + 1);
	}
	const script = group.scriptArguments;
	if (script === null) return text;
	let at = 0;
	for (let dropped = 0; dropped < script.dropArguments && at < text.length; dropped++) at = text.indexOf('\0', at) + 1;
	return `${script.strings.join('\0')}\0${text.slice(at)}`;
}

/** /proc/PID/environ: the environment that the program was started with. */
export function environText(target: ProcessTarget): string | number {
	const stat = readHostStat(target);
	if (stat === null || target.isGone) return -ESRCH;
	return readRange(target.tid, stat.number(ENV_START), stat.number(ENV_END));
}
