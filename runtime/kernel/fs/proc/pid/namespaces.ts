import { EACCES, ENOENT } from '../../../abi/errno.js';
import { DT_LNK, S_IFREG } from '../../../abi/stat-constants.js';
import type { Container } from '../../../container.js';
import type { Task } from '../../../task/task.js';
import { anonymousPath } from '../../../vfs/anonymous-path.js';
import { type DirectorySink, FileDescription } from '../../../vfs/file-description.js';
import type { Inode } from '../../../vfs/inode.js';
import type { Path } from '../../../vfs/path.js';
import { FIRST_ENTRY, PseudoDirectory } from '../proc-directory.js';
import { ProcLink } from '../proc-link.js';
import { PseudoFileSystem } from '../pseudo-file-system.js';
import { PseudoInode } from '../pseudo-inode.js';
import { canInspect, type ProcessTarget } from './process-target.js';

const NSFS_MAGIC = 0x6e736673;

/**
 * The entries of /proc/PID/ns in Linux's order: the link's name and what its text says. `own` kinds are the container's own, the rest the
 * pod's.
 */
const KINDS: readonly { readonly name: string; readonly kind: string; readonly own: boolean }[] = [
	{ name: 'net', kind: 'net', own: false },
	{ name: 'uts', kind: 'uts', own: true },
	{ name: 'ipc', kind: 'ipc', own: false },
	{ name: 'pid', kind: 'pid', own: true },
	{ name: 'pid_for_children', kind: 'pid', own: true },
	{ name: 'user', kind: 'user', own: false },
	{ name: 'mnt', kind: 'mnt', own: true },
	{ name: 'cgroup', kind: 'cgroup', own: false },
	{ name: 'time', kind: 'time', own: false },
	{ name: 'time_for_children', kind: 'time', own: false },
];
/**
 * Inode numbers of the namespaces that every container of the pod shares: Linux's numbers of its first ones (include/uapi/linux/nsfs.h).
 */
const SHARED_INOS: Readonly<Record<string, number>> = {
	net: 4026531833,
	ipc: 4026531839,
	user: 4026531837,
	cgroup: 4026531835,
	time: 4026531834,
};
const OWN_KINDS = ['uts', 'pid', 'mnt'];
const FIRST_OWN_INO = 4026532000;

class NamespaceFileSystem extends PseudoFileSystem {
	constructor() {
		super('nsfs', NSFS_MAGIC, 4096, -ENOENT, -ENOENT);
	}
	override get root(): Inode {
		return namespaceFile(SHARED_INOS['net']!);
	}
}

/** A namespace as a file: it can be opened and compared, not entered. */
class NamespaceFile extends PseudoInode {
	override open(path: Path, flags: number): FileDescription {
		return new NamespaceDescription(path, this, flags);
	}
}

class NamespaceDescription extends FileDescription {}

let fileSystem: NamespaceFileSystem | null = null;
const files = new Map<number, NamespaceFile>();

/** Containers are few in a pod's life, and so are these files. */
function namespaceFile(ino: number): NamespaceFile {
	fileSystem ??= new NamespaceFileSystem();
	let file = files.get(ino);
	if (file === undefined) {
		file = new NamespaceFile(fileSystem, ino, S_IFREG | 0o444, null);
		files.set(ino, file);
	}
	return file;
}

const ownInos = new WeakMap<Container, number>();
let nextOwnIno = FIRST_OWN_INO;

function namespaceIno(container: Container, kind: string, isOwn: boolean): number {
	if (!isOwn) return SHARED_INOS[kind]!;
	let first = ownInos.get(container);
	if (first === undefined) {
		first = nextOwnIno;
		nextOwnIno += OWN_KINDS.length;
		ownInos.set(container, first);
	}
	return first + OWN_KINDS.indexOf(kind);
}

/** /proc/PID/ns, namespaces(7): links that tell which processes share what. */
export class NamespacesDirectory extends PseudoDirectory {
	private readonly links: readonly ProcLink[];

	constructor(
		ino: number,
		private readonly target: ProcessTarget,
	) {
		super(target.fs, ino, 0o511, target.fileOwner);
		const first = target.fs.allocateInos(KINDS.length);
		this.links = KINDS.map((kind, index) => this.makeLink(first + index, kind.kind, kind.own));
	}

	private makeLink(ino: number, kind: string, isOwn: boolean): ProcLink {
		const { target } = this;
		const text = (task: Task): string | number =>
			canInspect(task, target) ? `${kind}:[${namespaceIno(target.group.container, kind, isOwn)}]` : -EACCES;
		return new ProcLink(target.fs, ino, text, {
			owner: target.fileOwner,
			jump: (task) => {
				const shown = text(task);
				return typeof shown === 'number' ? shown : anonymousPath(namespaceFile(namespaceIno(target.group.container, kind, isOwn)), shown);
			},
		});
	}

	override lookup(name: string): Inode | number {
		return this.links[KINDS.findIndex((kind) => kind.name === name)] ?? -ENOENT;
	}

	override emit(_task: Task, description: FileDescription, sink: DirectorySink): number {
		for (;;) {
			const index = description.offset - FIRST_ENTRY;
			const link = this.links[index];
			if (link === undefined || !sink.entry(link.ino, description.offset + 1, DT_LNK, KINDS[index]!.name)) return 0;
			description.offset++;
		}
	}
}
