import type { Limits } from '../../../task/limits.js';

/** Names and units of the resources by number (fs/proc/base.c, lnames). */
const RESOURCES: readonly (readonly [name: string, unit: string])[] = [
	['Max cpu time', 'seconds'],
	['Max file size', 'bytes'],
	['Max data size', 'bytes'],
	['Max stack size', 'bytes'],
	['Max core file size', 'bytes'],
	['Max resident set', 'bytes'],
	['Max processes', 'processes'],
	['Max open files', 'files'],
	['Max locked memory', 'bytes'],
	['Max address space', 'bytes'],
	['Max file locks', 'locks'],
	['Max pending signals', 'signals'],
	['Max msgqueue size', 'bytes'],
	['Max nice priority', ''],
	['Max realtime priority', ''],
	['Max realtime timeout', 'us'],
];

function line(name: string, soft: string, hard: string, unit: string): string {
	return `${name.padEnd(25)} ${soft.padEnd(20)} ${hard.padEnd(20)} ${unit === '' ? '' : unit.padEnd(10)}\n`;
}

function limitText(value: number): string {
	return value === Number.POSITIVE_INFINITY ? 'unlimited' : String(value);
}

/** /proc/PID/limits, proc_pid_limits(5). */
export function limitsText(limits: Limits): string {
	let text = line('Limit', 'Soft Limit', 'Hard Limit', 'Units');
	RESOURCES.forEach(([name, unit], resource) => {
		text += line(name, limitText(limits.soft[resource]!), limitText(limits.hard[resource]!), unit);
	});
	return text;
}
