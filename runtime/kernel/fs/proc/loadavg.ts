import type { ProcFileSystem } from './proc-file-system.js';
import { processTimes } from './process-times.js';
import { uptimeNs } from './uptime.js';

/** The three windows, seconds. */
const WINDOWS = [60, 300, 900] as const;

/** /proc/loadavg, proc_loadavg(5): decaying averages of how many of the container's processes run, sampled when somebody asks. */
export class LoadAverage {
	private readonly averages = [0, 0, 0];
	private sampledNs: number;

	constructor(private readonly fs: ProcFileSystem) {
		this.sampledNs = uptimeNs(fs);
	}

	/** Brings the averages up to now: sysinfo(2), too, asks here. */
	sample(): readonly number[] {
		const { running } = processTimes(this.fs.container);
		const now = uptimeNs(this.fs);
		const elapsedSec = (now - this.sampledNs) / 1e9;
		this.sampledNs = now;
		WINDOWS.forEach((window, i) => {
			const weight = Math.exp(-elapsedSec / window);
			this.averages[i] = this.averages[i]! * weight + running * (1 - weight);
		});
		return this.averages;
	}

	text(): string {
		const averages = this.sample().map((average) => average.toFixed(2));
		const { container } = this.fs;
		const { running, threads } = processTimes(this.fs.container);
		let lastPid = 0;
		for (const group of container.pids.groups.values()) lastPid = Math.max(lastPid, container.insideId(group.pid));
		return `${averages.join(' ')} ${running}/${threads} ${lastPid}\n`;
	}
}
