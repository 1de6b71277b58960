import { PAGE_SIZE } from '../../../../abi/limits.js';
import type { Container } from '../../../../container.js';
import { processors, rangeText } from '../../../proc/cpuinfo.js';
import { ProcDirectory } from '../../../proc/proc-directory.js';
import { ProcFile, type ProcText } from '../../../proc/proc-file.js';
import { type ProcessTimes, processTimes } from '../../../proc/process-times.js';
import { PseudoFileSystem, SYSFS_ERRORS } from '../../../proc/pseudo-file-system.js';
import { TICKS_PER_SECOND } from '../../../proc/uptime.js';

const CGROUP2_SUPER_MAGIC = 0x63677270;
const CPU_PERIOD_US = 100_000;
const US_PER_TICK = 1e6 / TICKS_PER_SECOND;

/** The container's own cgroup as the root of a cgroup2 mount, cgroups(7): what container-aware programs read their limits from. Read-only. */
export class CgroupFileSystem extends PseudoFileSystem {
	override readonly root: ProcDirectory;

	constructor(container: Container) {
		super('cgroup2', CGROUP2_SUPER_MAGIC, PAGE_SIZE, SYSFS_ERRORS.create, SYSFS_ERRORS.link);
		const online = `${rangeText(processors())}\n`;
		const ids = () =>
			[...container.groups.keys()]
				.map((pid) => container.insideId(pid))
				.filter((pid) => pid > 0)
				.sort((one, other) => one - other)
				.map((pid) => `${pid}\n`)
				.join('');
		const files: Readonly<Record<string, string | ProcText>> = {
			'cgroup.controllers': 'cpuset cpu io memory pids\n',
			'cgroup.events': () => `populated ${container.groups.size > 0 ? 1 : 0}\nfrozen 0\n`,
			'cgroup.freeze': '0\n',
			'cgroup.max.depth': 'max\n',
			'cgroup.max.descendants': 'max\n',
			'cgroup.procs': ids,
			'cgroup.stat': 'nr_descendants 0\nnr_dying_descendants 0\n',
			'cgroup.subtree_control': '\n',
			'cgroup.type': 'domain\n',
			'cpu.max': `max ${CPU_PERIOD_US}\n`,
			'cpu.stat': () => cpuStatText(processTimes(container)),
			'cpu.weight': '100\n',
			'cpuset.cpus': '\n',
			'cpuset.cpus.effective': online,
			'cpuset.mems': '\n',
			'cpuset.mems.effective': '0\n',
			'io.stat': '',
			'memory.current': () => `${processTimes(container).residentPages * PAGE_SIZE}\n`,
			'memory.events': 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n',
			'memory.high': 'max\n',
			'memory.low': '0\n',
			'memory.max': () => `${limitText(container.memoryLimitBytes)}\n`,
			'memory.min': '0\n',
			'memory.stat': () => `anon ${processTimes(container).residentPages * PAGE_SIZE}\nfile 0\ninactive_file 0\nactive_file 0\n`,
			'memory.swap.current': '0\n',
			'memory.swap.max': '0\n',
			'pids.current': () => `${processTimes(container).threads}\n`,
			'pids.max': 'max\n',
		};
		this.root = new ProcDirectory(this);
		for (const [name, content] of Object.entries(files)) {
			const text = typeof content === 'string' ? () => content : content;
			this.root.add(name, new ProcFile(this, this.allocateInos(1), 0o444, text));
		}
	}
}

function limitText(limit: number): string {
	return Number.isFinite(limit) ? String(Math.floor(limit / PAGE_SIZE) * PAGE_SIZE) : 'max';
}

function cpuStatText({ userTicks, systemTicks }: ProcessTimes): string {
	const user = userTicks * US_PER_TICK;
	const system = systemTicks * US_PER_TICK;
	return `usage_usec ${user + system}\nuser_usec ${user}\nsystem_usec ${system}\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n`;
}
