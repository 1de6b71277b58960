import { processors, rangeText } from '../proc/cpuinfo.js';
import { ProcDirectory } from '../proc/proc-directory.js';
import { ProcFile } from '../proc/proc-file.js';
import { PseudoFileSystem, SYSFS_ERRORS } from '../proc/pseudo-file-system.js';

const SYSFS_MAGIC = 0x62656572;
const PAGE_BYTES = 4096;
/** Most processors that a kernel is configured for: what "possible" ends at is what there is. */
const KERNEL_MAX = 8191;

/** /sys, sysfs(5): the few files that programs ask how many processors there are and how memory is backed. Read-only. */
export class SysFileSystem extends PseudoFileSystem {
	override readonly root: ProcDirectory;

	constructor() {
		super('sysfs', SYSFS_MAGIC, PAGE_BYTES, SYSFS_ERRORS.create, SYSFS_ERRORS.link);
		const online = `${rangeText(processors())}\n`;
		const cpu = this.directory()
			.add('kernel_max', this.file(`${KERNEL_MAX}\n`))
			.add('offline', this.file('\n'))
			.add('online', this.file(online))
			.add('possible', this.file(online))
			.add('present', this.file(online));
		for (const number of processors()) cpu.add(`cpu${number}`, this.directory());
		const hugepages = this.directory()
			.add('defrag', this.file('always defer defer+madvise [madvise] never\n'))
			.add('enabled', this.file('always [madvise] never\n'))
			.add('hpage_pmd_size', this.file('2097152\n'));
		this.root = this.directory(0o555)
			.add('block', this.directory())
			.add('bus', this.directory())
			.add('class', this.directory().add('net', this.directory()))
			.add('dev', this.directory())
			.add('devices', this.directory().add('system', this.directory().add('cpu', cpu)))
			.add('firmware', this.directory())
			.add('fs', this.directory().add('cgroup', this.directory()))
			.add('kernel', this.directory().add('mm', this.directory().add('transparent_hugepage', hugepages)))
			.add('module', this.directory())
			.add('power', this.directory());
	}

	private directory(permissions = 0o755): ProcDirectory {
		return new ProcDirectory(this, permissions);
	}

	private file(content: string): SysFile {
		return new SysFile(this, content);
	}
}

/** A file of sysfs has the size of a page, whatever its content. */
class SysFile extends ProcFile {
	constructor(fs: SysFileSystem, content: string) {
		super(fs, fs.allocateInos(1), 0o444, () => content);
	}

	override get sizeBytes(): number {
		return PAGE_BYTES;
	}
}
