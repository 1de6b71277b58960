import { processors } from './cpuinfo.js';
import type { ProcFileSystem } from './proc-file-system.js';
import { processTimes } from './process-times.js';
import { bootTimeSec, TICKS_PER_SECOND, uptimeNs } from './uptime.js';

/** /proc/stat, proc_stat(5): the processors' time as far as the container used it, since the sandbox's start; the rest was idle. */
export class ProcessorTimes {
	private userTicks = 0;
	private systemTicks = 0;

	constructor(private readonly fs: ProcFileSystem) {}

	/** Clock ticks of all processors together. They never go back, though processes end unwaited for. */
	sample(): { readonly user: number; readonly system: number; readonly idle: number } {
		const sum = processTimes(this.fs.container);
		this.userTicks = Math.max(this.userTicks, sum.userTicks);
		this.systemTicks = Math.max(this.systemTicks, sum.systemTicks);
		const total = Math.floor((uptimeNs(this.fs) / 1e9) * TICKS_PER_SECOND) * processors().length;
		return { user: this.userTicks, system: this.systemTicks, idle: Math.max(0, total - this.userTicks - this.systemTicks) };
	}

	text(): string {
		const { user, system, idle } = this.sample();
		const numbers = processors();
		// Which processor did the work isn't known: each gets its share, and the first ones what is left over.
		const share = (ticks: number, index: number): number => Math.floor(ticks / numbers.length) + (index < ticks % numbers.length ? 1 : 0);
		let text = `cpu  ${user} 0 ${system} ${idle} 0 0 0 0 0 0\n`;
		numbers.forEach((number, index) => {
			text += `cpu${number} ${share(user, index)} 0 ${share(system, index)} ${share(idle, index)} 0 0 0 0 0 0\n`;
		});
		const { running, threads } = processTimes(this.fs.container);
		return (
			`${text}intr 0\nctxt 0\nbtime ${bootTimeSec(this.fs)}\nprocesses ${threads}\nprocs_running ${Math.max(1, running)}\nprocs_blocked 0\n` +
			'softirq 0 0 0 0 0 0 0 0 0 0 0\n'
		);
	}
}
