import type { Container } from '../container.js';
import type { DescriptorTable } from '../vfs/descriptor-table.js';
import type { FileSystem } from '../vfs/inode.js';
import type { Mount, MountNamespace } from '../vfs/mount.js';
import { dissolveNamespace } from '../vfs/mount-tree.js';
import type { FileSystemContext } from './file-system-context.js';

/** Does a process of the container stand on a mount that `isIt` means, run a program from it, or have a file of it open? */
function isUsed(container: Container, isIt: (mount: Mount) => boolean): boolean {
	const tables = new Set<DescriptorTable>();
	for (const { fs, executable, files } of container.groups.values()) {
		if (isIt(fs.root.mount) || isIt(fs.cwd.mount) || (executable !== null && isIt(executable.mount))) return true;
		if (tables.has(files)) continue;
		tables.add(files);
		for (let fd = 0; fd < files.size; fd++) {
			const path = files.get(fd)?.path;
			if (path != null && isIt(path.mount)) return true;
		}
	}
	return false;
}

/** What umount(2) calls busy. Files in flight between sockets don't count. */
export function isMountBusy(container: Container, mount: Mount): boolean {
	return isUsed(container, (used) => used === mount);
}

/**
 * What a container's processes have mounted by themselves: file systems that end with their last mount, and namespaces that end with their
 * last process.
 */
export class OwnMounts {
	private readonly fileSystems = new Set<FileSystem>();
	private readonly namespaces = new Set<MountNamespace>();

	constructor(private readonly container: Container) {}

	/** File systems that nobody can mount any more but that somebody still uses count as mounts: so much is left of the bound. */
	get lingering(): number {
		let count = 0;
		for (const fs of this.fileSystems) if (fs.mountCount === 0) count++;
		return count;
	}

	addFileSystem(fs: FileSystem): void {
		this.fileSystems.add(fs);
	}

	addNamespace(namespace: MountNamespace): void {
		this.namespaces.add(namespace);
	}

	/** Something was unmounted, or could not be mounted: what nobody uses any more is given back. */
	settle(): void {
		for (const fs of this.fileSystems) {
			if (fs.mountCount > 0 || isUsed(this.container, (mount) => mount.fs === fs)) continue;
			this.fileSystems.delete(fs);
			fs.dispose();
		}
	}

	/** A process has left `context`. */
	left(context: FileSystemContext): void {
		const { mounts } = context;
		if (!this.namespaces.has(mounts)) return;
		for (const group of this.container.groups.values()) if (group.fs.mounts === mounts) return;
		this.namespaces.delete(mounts);
		dissolveNamespace(mounts);
		this.settle();
	}

	/** The container is over. */
	dispose(): void {
		for (const fs of this.fileSystems) fs.dispose();
		this.fileSystems.clear();
		this.namespaces.clear();
	}
}
