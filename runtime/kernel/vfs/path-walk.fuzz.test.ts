// The path walk, and the calls that make, remove and move names, against a simple model: a tree of nodes, walked as path_resolution(7) says. Two file systems, one
// mounted in the other, and a folder that is mounted once more elsewhere, so that names move under the feet of who stands in it.

import fc from 'fast-check';
import t from 'tap';
import { ELOOP, ENOENT, ENOTDIR } from '../abi/errno.js';
import { bounds } from '../bounds.js';
import { TmpFileSystem } from '../fs/tmpfs/tmp-file-system.js';
import { GuestMemory, TestProcess } from '../ipc/testing.js';
import { sysChdir, sysMkdir, sysMknod, sysRenameat2, sysRmdir, sysSymlink, sysUnlink } from '../syscalls/directory.js';
import { FileSystemContext } from '../task/file-system-context.js';
import type { Task } from '../task/task.js';
import type { Handler } from '../trap/dispatcher.js';
import type { Inode } from './inode.js';
import { MountNamespace } from './mount.js';
import { Path } from './path.js';
import { pathWalk, WALK_FOLLOW, WALK_PARENT } from './path-walk.js';

const RUNS = 3000;
/** What is there at the beginning. */
const FOLDERS = ['/a', '/a/b', '/a/b/c', '/b', '/d/a', '/d/a/b', '/d/c', '/m/a', '/m/a/b', '/m/b'];
const MAX_LINKS = 40;
const AT_FDCWD = -100;
const FLAGS = { plain: 0, noReplace: 1, exchange: 2 };

// --- The model -------------------------------------------------------------------------------------------------------

interface Node {
	kind: 'directory' | 'file' | 'link';
	target: string;
	entries: Map<string, Node>;
	parent: Node | null;
	isRemoved: boolean;
	isMountPoint: boolean;
}

interface ModelMount {
	readonly root: Node;
	readonly parent: ModelMount | null;
	readonly point: Node | null;
	readonly children: Map<Node, ModelMount>;
}

interface Place {
	mount: ModelMount;
	node: Node;
}

function makeNode(kind: Node['kind'], parent: Node | null, target = ''): Node {
	return { kind, target, entries: new Map(), parent, isRemoved: false, isMountPoint: false };
}

function mountAt(parent: ModelMount, point: Node, root: Node): ModelMount {
	const mount = { root, parent, point, children: new Map<Node, ModelMount>() };
	parent.children.set(point, mount);
	point.isMountPoint = true;
	return mount;
}

function isAncestor(ancestor: Node, node: Node): boolean {
	for (let at: Node | null = node; at !== null; at = at.parent) if (at === ancestor) return true;
	return false;
}

/** Where a path leads, or a negative errno; with `isParent` the place of its last name, and that name. */
class Walk {
	links = 0;
	last = '';
	hasSlash = false;

	constructor(
		readonly root: Place,
		public at: Place,
	) {}

	go(path: string, isFollowing: boolean, isParent: boolean): number {
		if (path === '') return -ENOENT;
		if (path.startsWith('/')) this.at = this.onto(this.root);
		const parts = path.split('/').filter((part) => part !== '');
		const hasSlash = path.endsWith('/') && parts.length > 0;
		if (parts.length === 0) {
			this.last = '/';
			this.hasSlash = false;
			return 0;
		}
		for (const [index, part] of parts.entries()) {
			const isLast = index === parts.length - 1;
			if (this.at.node.kind !== 'directory') return -ENOTDIR;
			if (isLast && isParent) {
				this.last = part;
				this.hasSlash = hasSlash;
				return 0;
			}
			const error = this.step(part, !isLast || hasSlash || isFollowing);
			if (error < 0) return error;
		}
		return hasSlash && this.at.node.kind !== 'directory' ? -ENOTDIR : 0;
	}

	private step(name: string, isFollowing: boolean): number {
		const { mount, node } = this.at;
		if (name === '.') return 0;
		if (name === '..') return this.up();
		const child = node.entries.get(name);
		if (child === undefined) return -ENOENT;
		if (child.kind === 'link' && isFollowing) return ++this.links > MAX_LINKS ? -ELOOP : this.go(child.target, true, false);
		this.at = this.onto({ mount, node: child });
		return 0;
	}

	private up(): number {
		let { mount, node } = this.at;
		while (node === mount.root && !(mount === this.root.mount && node === this.root.node) && mount.parent !== null) {
			node = mount.point!;
			mount = mount.parent;
		}
		if (mount === this.root.mount && node === this.root.node) {
			this.at = { mount, node };
			return 0;
		}
		const parent = node.parent ?? node;
		// Moved out of the part of the tree that is mounted here.
		if (!isAncestor(mount.root, parent)) return -ENOENT;
		this.at = this.onto({ mount, node: parent });
		return 0;
	}

	private onto(place: Place): Place {
		const mounted = place.mount.children.get(place.node);
		return mounted === undefined ? place : this.onto({ mount: mounted, node: mounted.root });
	}
}

class Model {
	readonly top: ModelMount = { root: makeNode('directory', null), parent: null, point: null, children: new Map() };
	readonly root: Place = { mount: this.top, node: this.top.root };
	cwd: Place = this.root;

	private walk(path: string, isFollowing: boolean, isParent: boolean): Walk | number {
		const walk = new Walk(this.root, this.cwd);
		const error = walk.go(path, isFollowing, isParent);
		return error < 0 ? error : walk;
	}

	find(path: string, isFollowing: boolean): Node | number {
		const walk = this.walk(path, isFollowing, false);
		return typeof walk === 'number' ? walk : walk.at.node;
	}

	/** Whether a call succeeds; it has been done then. */
	make(path: string, kind: Node['kind'], target: string): boolean {
		const walk = this.walk(path, false, true);
		if (typeof walk === 'number' || isDots(walk.last)) return false;
		const { node } = walk.at;
		if (node.entries.has(walk.last) || node.isRemoved || (walk.hasSlash && kind !== 'directory') || (kind === 'link' && target === ''))
			return false;
		node.entries.set(walk.last, makeNode(kind, node, target));
		return true;
	}

	remove(path: string, isDirectory: boolean): boolean {
		const walk = this.walk(path, false, true);
		if (typeof walk === 'number' || isDots(walk.last)) return false;
		const child = walk.at.node.entries.get(walk.last);
		if (child === undefined || child.isMountPoint || (child.kind === 'directory') !== isDirectory || child.entries.size > 0) return false;
		if (walk.hasSlash && !isDirectory) return false;
		walk.at.node.entries.delete(walk.last);
		child.isRemoved = true;
		return true;
	}

	rename(from: string, to: string, flags: number): boolean {
		const source = this.walk(from, false, true);
		const destination = this.walk(to, false, true);
		if (typeof source === 'number' || typeof destination === 'number') return false;
		if (source.at.mount !== destination.at.mount || isDots(source.last) || isDots(destination.last)) return false;
		const [folder, newFolder] = [source.at.node, destination.at.node];
		const moved = folder.entries.get(source.last);
		const replaced = newFolder.entries.get(destination.last);
		if (
			moved === undefined ||
			(replaced !== undefined && flags === FLAGS.noReplace) ||
			(replaced === undefined && flags === FLAGS.exchange)
		)
			return false;
		const isExchange = flags === FLAGS.exchange;
		if (moved.kind !== 'directory' && (source.hasSlash || (destination.hasSlash && !isExchange))) return false;
		if (isExchange && replaced!.kind !== 'directory' && destination.hasSlash) return false;
		if (replaced === moved) return true;
		if (newFolder.isRemoved || moved.isMountPoint || replaced?.isMountPoint) return false;
		if (isAncestor(moved, newFolder) || (replaced !== undefined && isAncestor(replaced, folder))) return false;
		if (!isExchange && replaced !== undefined) {
			if ((replaced.kind === 'directory') !== (moved.kind === 'directory') || replaced.entries.size > 0) return false;
			replaced.isRemoved = true;
		}
		folder.entries.delete(source.last);
		if (isExchange) {
			folder.entries.set(source.last, replaced!);
			replaced!.parent = folder;
		}
		newFolder.entries.set(destination.last, moved);
		moved.parent = newFolder;
		return true;
	}

	change(path: string): boolean {
		const walk = this.walk(path, true, false);
		if (typeof walk === 'number' || walk.at.node.kind !== 'directory') return false;
		this.cwd = walk.at;
		return true;
	}
}

function isDots(name: string): boolean {
	return name === '.' || name === '..' || name === '/';
}

// --- The guest kernel's side -----------------------------------------------------------------------------------------

const memory = new GuestMemory();
t.teardown(() => memory.end());
const process = new TestProcess(0, memory.tid);
const SECOND_PATH = 1024;

class Side {
	readonly task: Task = process.task();
	readonly namespace: MountNamespace;

	constructor() {
		const options = { sizeBytes: 1 << 20, inodes: 1000, mode: 0o755, uid: 0, gid: 0 };
		this.namespace = MountNamespace.of(new TmpFileSystem(options), 0, 'test');
		const { root } = this.namespace;
		const top = new Path(root, root.root);
		(this.task.group as { fs: FileSystemContext }).fs = new FileSystemContext(top, top, 0o022, this.namespace);
		for (const folder of ['/m', '/n', '/d']) this.call(sysMkdir, folder, 0o755);
		const m = this.place('/m');
		this.namespace.attach(m.mount, m.dentry, new TmpFileSystem(options), 0, 'test');
		const n = this.place('/n');
		const d = this.place('/d');
		this.namespace.attach(n.mount, n.dentry, d.dentry.inode!.fs, 0, 'test', '', d.dentry);
	}

	/** A call whose first argument is a path. */
	call(handler: Handler, path: string, ...args: number[]): boolean {
		this.put(0, path);
		return process.call(this.task, handler, memory.address, ...args) >= 0;
	}

	symlink(target: string, path: string): boolean {
		this.put(0, target);
		this.put(SECOND_PATH, path);
		return process.call(this.task, sysSymlink, memory.address, memory.address + SECOND_PATH) >= 0;
	}

	rename(from: string, to: string, flags: number): boolean {
		this.put(0, from);
		this.put(SECOND_PATH, to);
		const [one, other] = [memory.address, memory.address + SECOND_PATH];
		return process.call(this.task, sysRenameat2, AT_FDCWD, one, AT_FDCWD, other, flags) >= 0;
	}

	find(path: string, isFollowing: boolean): Inode | number {
		const error = pathWalk.walk(this.task, this.task.fs.cwd, path, isFollowing ? WALK_FOLLOW : 0);
		return error < 0 ? error : pathWalk.dentry.inode!;
	}

	/** Walking to a parent and looking up changes nothing, whatever it finds. */
	peek(path: string): void {
		pathWalk.walk(this.task, this.task.fs.cwd, path, WALK_PARENT);
	}

	private place(path: string): Path {
		pathWalk.walk(this.task, this.task.fs.cwd, path, 0);
		return pathWalk.path;
	}

	private put(offset: number, path: string): void {
		memory.put(offset, Buffer.from(`${path}\0`, 'latin1'));
	}
}

/** What was found on one side is the same thing as on the other, from the first time that both are seen on. */
class Pairs {
	private readonly nodes = new Map<Inode, Node>();
	private readonly inodes = new Map<Node, Inode>();

	agree(inode: Inode | number, node: Node | number): boolean {
		if (typeof inode === 'number' || typeof node === 'number') return inode === node;
		const known = this.nodes.get(inode);
		if (known !== undefined || this.inodes.has(node)) return known === node;
		this.nodes.set(inode, node);
		this.inodes.set(node, inode);
		return inode.isDirectory === (node.kind === 'directory') && inode.isSymlink === (node.kind === 'link');
	}
}

// --- The steps -------------------------------------------------------------------------------------------------------

const name = fc.constantFrom('a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'd', 'm', 'n', '.', '..');
const path = fc
	.tuple(fc.boolean(), fc.array(name, { minLength: 1, maxLength: 4 }), fc.constantFrom(...Array<string>(9).fill(''), '/', '//'))
	.map(([isAbsolute, parts, end]) => `${isAbsolute ? '/' : ''}${parts.join('/')}${end}`);
const kinds = ['find', 'mkdir', 'mknod', 'symlink', 'unlink', 'rmdir', 'rename', 'chdir'] as const;
const step = fc.record({ kind: fc.constantFrom(...kinds), one: path, other: path, flags: fc.constantFrom(...Object.values(FLAGS)) });
/** Few, so that names are forgotten all the time, or more than there are. */
const cachedNames = fc.constantFrom(5, bounds.cachedNames);

/** Who stands in a folder that leaves the part of the tree that is mounted there finds no way up. */
const MOVED_OUT = [
	{ kind: 'chdir' as const, one: '/n/a/b', other: '..', flags: 0 },
	{ kind: 'rename' as const, one: '/d/a', other: '/b/a', flags: FLAGS.plain },
	{ kind: 'find' as const, one: '..', other: '../..', flags: 0 },
	{ kind: 'find' as const, one: '../../..', other: '../../../..', flags: 0 },
];

function prepare(): { side: Side; model: Model } {
	const model = new Model();
	for (const folder of ['m', 'n', 'd']) model.make(folder, 'directory', '');
	const { root } = model.top;
	mountAt(model.top, root.entries.get('m')!, makeNode('directory', null));
	mountAt(model.top, root.entries.get('n')!, root.entries.get('d')!);
	const side = new Side();
	for (const folder of FOLDERS) {
		side.call(sysMkdir, folder, 0o755);
		model.make(folder, 'directory', '');
	}
	return { side, model };
}

t.test('paths lead where a simple model says, whatever is made, removed, moved and mounted', async (t) => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 80, size: 'max' }), cachedNames, (steps, most) => {
			bounds.cachedNames = most;
			const { side, model } = prepare();
			const pairs = new Pairs();
			const both = (did: boolean, should: boolean, what: string): void => {
				if (did !== should) throw new Error(`${what}: ${did ? 'done' : 'refused'}, the model ${should ? 'does' : 'refuses'} it`);
			};
			for (const { kind, one, other, flags } of steps) {
				const what = `${kind} ${one} ${other} ${flags}`;
				if (kind === 'mkdir') both(side.call(sysMkdir, one, 0o755), model.make(one, 'directory', ''), what);
				else if (kind === 'mknod') both(side.call(sysMknod, one, 0o100644, 0), model.make(one, 'file', ''), what);
				else if (kind === 'symlink') both(side.symlink(other, one), model.make(one, 'link', other), what);
				else if (kind === 'unlink') both(side.call(sysUnlink, one), model.remove(one, false), what);
				else if (kind === 'rmdir') both(side.call(sysRmdir, one), model.remove(one, true), what);
				else if (kind === 'rename') both(side.rename(one, other, flags), model.rename(one, other, flags), what);
				else if (kind === 'chdir') both(side.call(sysChdir, one), model.change(one), what);
				else side.peek(other);
				for (const each of ['.', '..', one, other]) {
					const isFollowing = flags === 1 || kind !== 'find';
					const [inode, node] = [side.find(each, isFollowing), model.find(each, isFollowing)];
					if (!pairs.agree(inode, node)) {
						throw new Error(`after ${what}: ${each} leads to ${describe(inode)}, the model's to ${describe(node)}`);
					}
				}
			}
		}),
		{ numRuns: RUNS, examples: [[MOVED_OUT, bounds.cachedNames]] },
	);
	t.pass('every run agreed');
});

function describe(found: Inode | Node | number): string {
	if (typeof found === 'number') return `errno ${-found}`;
	return 'ino' in found ? `inode ${found.ino}` : found.kind;
}
