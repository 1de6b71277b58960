import type { Task } from '../../kernel/task/task.js';
import type { Dentry } from '../../kernel/vfs/dentry.js';
import type { Mount, MountNamespace } from '../../kernel/vfs/mount.js';
import { Path } from '../../kernel/vfs/path.js';

const MAX_LINKS = 40;

/** Walks a container's tree before it has any task: for mount points, and with the rights of the operator. Symlinks stay inside the tree. */
export class SetupWalk {
	constructor(private readonly namespace: MountNamespace) {}

	/** Where a path leads, or null. */
	find(path: string): Path | null {
		return this.walk(path, null);
	}

	/** Where a path leads; folders that are missing are made, and an empty file in the end if `isFile`. Throws when something is in the way. */
	make(path: string, isFile: boolean): Path {
		const found = this.walk(path, isFile ? 'file' : 'directory');
		if (found === null) throw new Error(`Make the mount point ${path}: something that is no directory is in the way`);
		return found;
	}

	/** Makes a folder and those above it as far as the container could: what is on a read-only mount, or has something in the way, stays missing. */
	makeFolder(path: string): void {
		this.walk(path, 'writable directory');
	}

	private walk(path: string, create: 'file' | 'directory' | 'writable directory' | null): Path | null {
		const { root } = this.namespace;
		let mount: Mount = root;
		let dentry: Dentry = root.root;
		let links = 0;
		const parts = path
			.split('/')
			.filter((part) => part !== '' && part !== '.')
			.reverse();
		const trail: Path[] = [];
		while (parts.length > 0) {
			const name = parts.pop()!;
			if (name === '..') {
				const up = trail.pop();
				mount = up?.mount ?? root;
				dentry = up?.dentry ?? root.root;
				continue;
			}
			const parent = dentry.inode!;
			if (!parent.isDirectory) return null;
			let child = dentry.children?.get(name) ?? null;
			if (child === null || child.inode === null) {
				const inode = parent.lookup(name, NO_TASK);
				if (typeof inode !== 'number') {
					child = dentry.addChild(name, inode);
				} else {
					if (create === null || (create === 'writable directory' && mount.isReadOnly)) return null;
					const made = create === 'file' && parts.length === 0 ? parent.create(name, 0o644, 0, 0) : parent.mkdir(name, 0o755, 0, 0);
					if (typeof made === 'number' && create === 'writable directory') return null;
					if (typeof made === 'number') throw new Error(`Make the mount point ${path}: errno ${-made} at ${name}`);
					child = dentry.addChild(name, made);
				}
			}
			if (child.inode!.isSymlink) {
				const target = child.inode!.readlink(NO_TASK);
				if (typeof target === 'number' || ++links > MAX_LINKS) return null;
				if (target.startsWith('/')) {
					mount = root;
					dentry = root.root;
					trail.length = 0;
				}
				parts.push(
					...target
						.split('/')
						.filter((part) => part !== '' && part !== '.')
						.reverse(),
				);
				continue;
			}
			trail.push(new Path(mount, dentry));
			dentry = child;
			for (let mounted = mount.children.get(dentry); mounted !== undefined; mounted = mount.children.get(dentry)) {
				mount = mounted;
				dentry = mounted.root;
			}
		}
		return new Path(mount, dentry);
	}
}

/** Nobody's task: trees whose look-ups ask who is asking (/proc/self) have no mount points there. */
const NO_TASK = null as unknown as Task;
