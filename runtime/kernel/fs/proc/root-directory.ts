import { ENOENT } from '../../abi/errno.js';
import { DT_DIR } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import { direntType } from '../../vfs/dirent-type.js';
import type { DirectorySink, FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import { cgroupsText } from './cgroups.js';
import { cpuinfoText } from './cpuinfo.js';
import { devicesText } from './devices.js';
import { filesystemsText } from './filesystems.js';
import { interruptsText } from './interrupts.js';
import { LoadAverage } from './loadavg.js';
import { locksText } from './locks.js';
import { meminfoText, swapsText, vmstatText } from './meminfo.js';
import { partitionsText } from './partitions.js';
import { numberName } from './pid/descriptors.js';
import { FIRST_ENTRY, PseudoDirectory } from './proc-directory.js';
import { ProcFile, type ProcText } from './proc-file.js';
import type { ProcFileSystem } from './proc-file-system.js';
import { ProcLink } from './proc-link.js';
import { ProcessorTimes } from './stat.js';
import { sysDirectory } from './sys/sys-directory.js';
import { sysvipcDirectory } from './sysvipc.js';
import { uptimeText } from './uptime.js';
import { versionText } from './version.js';

/** Directory offsets of processes begin here, behind the fixed names, and go by pid, so that the end of one moves no other. */
const FIRST_PROCESS = 256;

/** /proc itself. */
export class RootDirectory extends PseudoDirectory {
	declare readonly fs: ProcFileSystem;
	private readonly fixed = new Map<string, Inode>();
	private readonly names: readonly string[];

	constructor(fs: ProcFileSystem) {
		super(fs, fs.allocateInos(1), 0o555, null);
		const { container } = fs;
		const processorTimes = new ProcessorTimes(fs);
		const loadAverage = new LoadAverage(fs);
		this.addLink('self', (task) => inside(container.insideId(task.group.pid)));
		this.addLink('thread-self', (task) => {
			const pid = container.insideId(task.group.pid);
			return pid === 0 ? -ENOENT : `${pid}/task/${container.insideId(task.tid, true)}`;
		});
		this.addFile('cgroups', cgroupsText);
		this.addFile('cmdline', () => 'isopod\n');
		this.addFile('cpuinfo', cpuinfoText);
		this.addFile('devices', devicesText);
		this.addFile('diskstats', () => '');
		this.addFile('filesystems', filesystemsText);
		this.addFile('interrupts', interruptsText);
		this.addFile('loadavg', () => loadAverage.text());
		this.addFile('locks', () => locksText(container));
		this.addFile('meminfo', () => meminfoText(fs));
		this.addFile('modules', () => '');
		this.addLink('mounts', () => 'self/mounts', 11);
		this.addLink('net', () => 'self/net', 8);
		this.addFile('partitions', partitionsText);
		this.addFile('stat', () => processorTimes.text());
		this.addFile('swaps', swapsText);
		this.fixed.set('sys', sysDirectory(fs));
		this.fixed.set('sysvipc', sysvipcDirectory(fs));
		this.addFile('uptime', () => uptimeText(fs, processorTimes));
		this.addFile('version', versionText);
		this.addFile('vmstat', () => vmstatText(fs));
		this.names = [...this.fixed.keys()];
	}

	private addFile(name: string, text: ProcText): void {
		this.fixed.set(name, new ProcFile(this.fs, this.fs.allocateInos(1), 0o444, text));
	}

	private addLink(name: string, text: (task: Task) => string | number, sizeBytes = 0): void {
		this.fixed.set(name, new ProcLink(this.fs, this.fs.allocateInos(1), text, { sizeBytes }));
	}

	override get linkCount(): number {
		return 4 + this.fs.container.pids.groups.size;
	}

	override lookup(name: string): Inode | number {
		const fixed = this.fixed.get(name);
		if (fixed !== undefined) return fixed;
		const id = numberName(name);
		if (id <= 0) return -ENOENT;
		const { fs } = this;
		const { container } = fs;
		const group = container.groupByInsideId(id);
		if (group !== null) return group.isDead ? -ENOENT : fs.directoryOf(group, group.pid, false);
		// A thread's id leads to a directory too, though none is listed.
		const task = container.kernel.tasks.get(container.outsideId(id, true));
		return task === undefined || task.group.container !== container || task.group.isDead
			? -ENOENT
			: fs.directoryOf(task.group, task.tid, false);
	}

	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		for (;;) {
			const name = this.names[description.offset - FIRST_ENTRY];
			if (name === undefined) break;
			const inode = this.fixed.get(name)!;
			if (!sink.entry(inode.ino, description.offset + 1, direntType(inode.mode), name)) return 0;
			description.offset++;
		}
		return this.emitProcesses(description, sink);
	}

	private emitProcesses(description: FileDescription, sink: DirectorySink): number {
		const { fs } = this;
		const from = Math.max(description.offset, FIRST_PROCESS);
		const listed: [id: number, ino: number][] = [];
		for (const group of fs.container.pids.groups.values()) {
			const id = fs.container.insideId(group.pid);
			if (id > 0 && id + FIRST_PROCESS >= from) listed.push([id, fs.directoryOf(group, group.pid, false).ino]);
		}
		listed.sort((one, other) => one[0] - other[0]);
		for (const [id, ino] of listed) {
			const next = id + FIRST_PROCESS + 1;
			if (!sink.entry(ino, next, DT_DIR, String(id))) return 0;
			description.offset = next;
		}
		return 0;
	}
}

/** The text of a link to a process; a process of another container has none. */
function inside(pid: number): string | number {
	return pid === 0 ? -ENOENT : String(pid);
}
