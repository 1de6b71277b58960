import type { ProcessTarget } from './process-target.js';

/** A parsed /proc/PID/stat of the host's, proc_pid_stat(5). Fields are numbered from 1 as the manual does. */
export class HostStat {
	private readonly fields: string[];
	readonly comm: string;

	constructor(text: string) {
		// The name may hold anything, parentheses and spaces included.
		const end = text.lastIndexOf(')');
		this.comm = text.slice(text.indexOf('(') + 1, end);
		this.fields = text
			.slice(end + 2)
			.trimEnd()
			.split(' ');
	}

	/** Field `number`, 3 or more, as its text. */
	text(number: number): string {
		return this.fields[number - 3] ?? '0';
	}
	number(number: number): number {
		return Number(this.fields[number - 3] ?? 0);
	}
	set(number: number, value: number | string): void {
		this.fields[number - 3] = String(value);
	}
	/** Fields 3 to 52. */
	toString(): string {
		return this.fields.slice(0, 50).join(' ');
	}
}

/** The host's statistics of a process or thread; null when it is gone. */
export function readHostStat(target: ProcessTarget): HostStat | null {
	const text = target.readHost('stat');
	return text === '' ? null : new HostStat(text);
}
