import { EACCES, ENOENT } from '../../../abi/errno.js';
import { DT_LNK, DT_REG } from '../../../abi/stat-constants.js';
import type { Task } from '../../../task/task.js';
import { anonymousPath } from '../../../vfs/anonymous-path.js';
import type { DirectorySink, FileDescription } from '../../../vfs/file-description.js';
import type { Inode } from '../../../vfs/inode.js';
import type { Path } from '../../../vfs/path.js';
import { linkText } from '../../../vfs/path-text.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc-directory.js';
import { ProcFile } from '../proc-file.js';
import { ProcLink } from '../proc-link.js';
import { descriptorInfo } from './descriptor-info.js';
import { canInspect, type ProcessTarget } from './process-target.js';

/** Most descriptor numbers there are: fs/nr_open has seven digits. */
const MAX_DIGITS = 7;

/** A name that is a decimal number as the kernel would print it, else -1. */
export function numberName(name: string, maxDigits = MAX_DIGITS): number {
	if (name.length > maxDigits || !/^(?:0|[1-9][0-9]*)$/.test(name)) return -1;
	return Number(name);
}

/** /proc/PID/fd or /proc/PID/fdinfo, proc_pid_fd(5): an entry for each open descriptor. */
abstract class DescriptorsDirectory extends PseudoDirectory {
	constructor(
		ino: number,
		protected readonly target: ProcessTarget,
		permissions: number,
		private readonly entryType: number,
		/** Made for the process itself, which may look even when it isn't dumpable and the directory is root's. */
		isOwn: boolean,
	) {
		super(target.fs, ino, permissions, isOwn ? target.directoryOwner : target.fileOwner);
	}

	protected abstract entryOf(fd: number, description: FileDescription): Inode;
	protected abstract canList(task: Task): boolean;

	override lookup(name: string, task: Task): Inode | number {
		const fd = numberName(name);
		const { group } = this.target;
		const description = fd < 0 || group.isDead ? null : group.files.get(fd);
		if (description === null) return -ENOENT;
		return this.canList(task) ? this.entryOf(fd, description) : -EACCES;
	}

	override emit(task: Task, description: FileDescription, sink: DirectorySink): number {
		const { group } = this.target;
		if (group.isDead) return -ENOENT;
		if (!this.canList(task)) return -EACCES;
		const { files } = group;
		for (let fd = description.offset - FIRST_ENTRY; fd < files.size; fd++) {
			if (files.get(fd) === null) continue;
			if (!sink.entry(this.fs.fdIno(this.ino, fd), FIRST_ENTRY + fd + 1, this.entryType, String(fd))) return 0;
			description.offset = FIRST_ENTRY + fd + 1;
		}
		return 0;
	}
}

/** /proc/PID/fd: magic links to what the descriptors are open on. Its permission is its mode's. */
export class FdDirectory extends DescriptorsDirectory {
	constructor(ino: number, target: ProcessTarget, isOwn: boolean) {
		super(ino, target, 0o500, DT_LNK, isOwn);
	}

	override get sizeBytes(): number {
		return this.target.group.isDead ? 0 : this.target.group.files.used;
	}

	protected override canList(): boolean {
		return true;
	}

	protected override entryOf(fd: number, description: FileDescription): Inode {
		const { target } = this;
		const permissions = (description.isReadable ? 0o500 : 0) | (description.isWritable ? 0o300 : 0);
		// The number may have another description by the time that the link is read.
		const current = (task: Task): FileDescription | number => {
			if (!canInspect(task, target)) return -EACCES;
			return (target.group.isDead ? null : target.group.files.get(fd)) ?? -ENOENT;
		};
		return new ProcLink(
			this.fs,
			this.fs.fdIno(this.ino, fd),
			(task) => {
				const found = current(task);
				return typeof found === 'number' ? found : descriptionText(found, task);
			},
			{
				owner: target.fileOwner,
				permissions,
				sizeBytes: 64,
				jump: (task) => {
					const found = current(task);
					return typeof found === 'number' ? found : descriptionPath(found);
				},
			},
		);
	}
}

/** /proc/PID/fdinfo: position and flags of each descriptor. Only for those who may trace the process. */
export class FdInfoDirectory extends DescriptorsDirectory {
	constructor(ino: number, target: ProcessTarget, isOwn: boolean) {
		super(ino, target, 0o555, DT_REG, isOwn);
	}

	protected override canList(task: Task): boolean {
		return canInspect(task, this.target);
	}

	protected override entryOf(fd: number): Inode {
		const { target } = this;
		return new ProcFile(this.fs, this.fs.fdIno(this.ino, fd), 0o444, () => descriptorInfo(target.group, fd), { owner: target.fileOwner });
	}
}

/** The text of a link to what a description is open on. */
function descriptionText(description: FileDescription, reader: Task): string {
	return description.path === null ? description.anonymousText : linkText(description.path, reader.fs.root);
}

/** Where such a link leads: for an object that has no name, a place of its own. */
function descriptionPath(description: FileDescription): Path {
	return description.path ?? anonymousPath(description.inode, description.anonymousText);
}
