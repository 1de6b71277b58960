import { CAP_SYS_RESOURCE } from '../../../abi/capability-numbers.js';
import { EACCES, EINVAL, ESRCH } from '../../../abi/errno.js';
import { hasCapability } from '../../../task/credentials.js';
import type { Task } from '../../../task/task.js';
import type { ProcessTarget } from './process-target.js';

const ADJ_MIN = -1000;
const ADJ_MAX = 1000;
/** The kernel looks at so many bytes of a number that is written (PROC_NUMBUF - 1). */
const NUMBER_BYTES = 12;
/**
 * The score of a process that uses next to nothing: between 0 and 2000 in steps of its adjustment, times 2/3 (fs/proc/base.c,
 * proc_oom_score).
 */
const SCORE_BASE = 1000;

/** /proc/PID/oom_score, proc_pid_oom_score(5). */
export function oomScoreText(target: ProcessTarget): string | number {
	if (target.isGone) return -ESRCH;
	const adjustment = target.group.oomScoreAdj;
	return `${adjustment === ADJ_MIN ? 0 : Math.trunc(((SCORE_BASE + adjustment) * 2) / 3)}\n`;
}

/** /proc/PID/oom_score_adj, proc_pid_oom_score_adj(5). */
export function oomScoreAdjText(target: ProcessTarget): string | number {
	return target.isGone ? -ESRCH : `${target.group.oomScoreAdj}\n`;
}

/** Errors: EINVAL, EACCES (lower than it may go without CAP_SYS_RESOURCE), ESRCH. */
export function writeOomScoreAdj(writer: Task, target: ProcessTarget, text: string): number {
	if (target.isGone) return -ESRCH;
	const taken = text.slice(0, NUMBER_BYTES);
	const match = /^[ \t\n\v\f\r]*([+-]?\d+)[ \t\n\v\f\r]*$/.exec(taken);
	if (match === null) return -EINVAL;
	const value = Number(match[1]);
	if (value < ADJ_MIN || value > ADJ_MAX) return -EINVAL;
	const { group } = target;
	const isCapable = hasCapability(writer.credentials, CAP_SYS_RESOURCE);
	if (value < group.oomScoreAdjMin && !isCapable) return -EACCES;
	group.oomScoreAdj = value;
	if (isCapable) group.oomScoreAdjMin = value;
	return taken.length;
}

/** Range and the value for "never" of the old oom_adj. */
const OLD_ADJ_MAX = 15;
const OLD_ADJ_DISABLE = -17;

/** /proc/PID/oom_adj, proc_pid_oom_adj(5): oom_score_adj by its old scale. */
export function oomAdjText(target: ProcessTarget): string | number {
	if (target.isGone) return -ESRCH;
	const adjustment = target.group.oomScoreAdj;
	return `${adjustment === ADJ_MAX ? OLD_ADJ_MAX : Math.trunc((adjustment * -OLD_ADJ_DISABLE) / ADJ_MAX)}\n`;
}

/** Errors as `writeOomScoreAdj`. */
export function writeOomAdj(writer: Task, target: ProcessTarget, text: string): number {
	const value = /^\s*([+-]?\d+)\s*$/.exec(text.slice(0, NUMBER_BYTES));
	if (value === null) return -EINVAL;
	const old = Number(value[1]);
	if ((old < -16 || old > OLD_ADJ_MAX) && old !== OLD_ADJ_DISABLE) return -EINVAL;
	const scaled = old === OLD_ADJ_MAX ? ADJ_MAX : Math.trunc((old * ADJ_MAX) / -OLD_ADJ_DISABLE);
	const error = writeOomScoreAdj(writer, target, String(scaled));
	return error < 0 ? error : Math.min(text.length, NUMBER_BYTES);
}
