import type { ProcDirectory } from '../proc/proc-directory.js';
import { PseudoFileSystem, SYSFS_ERRORS } from '../proc/pseudo-file-system.js';
import { cpuDirectory } from './devices/system/cpu.js';
import { nodeDirectory } from './devices/system/node.js';
import { SYSFS_FILE_BYTES, SysTree } from './sys-file.js';

const SYSFS_MAGIC = 0x62656572;

/** /sys, sysfs(5): the few files that programs ask how many processors there are and how memory is backed. Read-only. */
export class SysFileSystem extends PseudoFileSystem {
	override readonly root: ProcDirectory;

	constructor() {
		super('sysfs', SYSFS_MAGIC, SYSFS_FILE_BYTES, SYSFS_ERRORS.create, SYSFS_ERRORS.link);
		const tree = new SysTree(this);
		const hugepages = tree.files({
			defrag: 'always defer defer+madvise [madvise] never',
			enabled: 'always [madvise] never',
			hpage_pmd_size: 2097152,
		});
		const memory = tree.directory().add('hugepages', tree.directory()).add('transparent_hugepage', hugepages);
		const system = tree.directory().add('cpu', cpuDirectory(tree)).add('node', nodeDirectory(tree));
		this.root = tree
			.directory(0o555)
			.add('block', tree.directory())
			.add('bus', tree.directory())
			.add('class', tree.directory().add('block', tree.directory()).add('net', tree.directory()))
			.add('dev', tree.directory().add('block', tree.directory()).add('char', tree.directory()))
			.add('devices', tree.directory().add('system', system))
			.add('firmware', tree.directory())
			.add('fs', tree.directory().add('cgroup', tree.directory()))
			.add('kernel', tree.directory().add('mm', memory))
			.add('module', tree.directory())
			.add('power', tree.directory());
	}
}
