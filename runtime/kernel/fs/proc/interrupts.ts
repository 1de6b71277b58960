import { processors } from './cpuinfo.js';

/** /proc/interrupts, proc_interrupts(5): none are the guest's to see. */
export function interruptsText(): string {
	return `${' '.repeat(11)}${processors()
		.map((number) => `CPU${number}`.padEnd(11))
		.join('')}\n`;
}
