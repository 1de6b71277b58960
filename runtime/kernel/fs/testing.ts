import { CapabilitySet, initialCredentials } from '../task/credentials.js';
import { Limits } from '../task/limits.js';
import type { Task } from '../task/task.js';
import { ioVector } from '../trap/guest-memory.js';
import { Dentry } from '../vfs/dentry.js';
import { AT_OFFSET, type DirectorySink, type FileDescription } from '../vfs/file-description.js';
import type { FileSystem, Inode } from '../vfs/inode.js';
import { Mount, rootDentry } from '../vfs/mount.js';
import { Path } from '../vfs/path.js';

/** A task as far as files look at one: root's, or a user's without capabilities. Signals sent to it are kept. */
export function fakeTask(uid = 0): { task: Task; signals: number[]; limits: Limits } {
	const signals: number[] = [];
	const limits = new Limits();
	const set = uid === 0 ? CapabilitySet.full : CapabilitySet.empty;
	const capabilities = { permitted: set, effective: set, inheritable: set, bounding: set, ambient: CapabilitySet.empty };
	const task = {
		tid: 0,
		credentials: initialCredentials(uid, uid, [], capabilities, false),
		group: { limits },
		kernel: { terminals: { of: () => null }, signals: { sendToThread: (_: unknown, signal: number) => signals.push(signal) } },
	};
	return { task: task as unknown as Task, signals, limits };
}

/** A path to `inode` through a mount of its own. */
export function pathOf(fs: FileSystem, inode: Inode, flags = 0): Path {
	return new Path(new Mount(fs, rootDentry(fs), flags, 'test', '', null, null), new Dentry('test', null, inode));
}

/** `value`, which is no error. */
export function made<T>(value: T | number): T {
	if (typeof value === 'number') throw new Error(`Expected an object, got ${value}`);
	return value;
}

/** Opens `inode`. */
export function opened(fs: FileSystem, inode: Inode | number, flags: number, task: Task): FileDescription {
	const file = made(inode);
	return made(file.open(pathOf(fs, file), flags, task));
}

/** Writes a byte string: bytes, or -errno. */
export function write(file: FileDescription, text: string, task: Task, position = AT_OFFSET): number {
	const bytes = Buffer.from(text, 'latin1');
	ioVector.kernel(bytes, 0, bytes.length);
	return file.write(task, ioVector, position);
}

/** Reads a byte string, or -errno. */
export function read(file: FileDescription, length: number, task: Task, position = AT_OFFSET): string | number {
	const bytes = Buffer.alloc(length);
	ioVector.kernel(bytes, 0, length);
	const count = file.read(task, ioVector, position);
	return count < 0 ? count : bytes.latin1Slice(0, count);
}

/** At most `limit` entries from the description's offset on. */
export function entries(
	directory: FileDescription,
	task: Task,
	limit = Number.POSITIVE_INFINITY,
): { name: string; next: number; type: number }[] {
	const found: { name: string; next: number; type: number }[] = [];
	const sink: DirectorySink = {
		entry(_ino, next, type, name) {
			if (found.length >= limit) return false;
			found.push({ name, next, type });
			return true;
		},
	};
	const error = directory.readDirectory(task, sink);
	if (error < 0) throw new Error(`Read the directory: ${error}`);
	return found;
}

/** Names of all entries from the offset on, sorted. */
export function names(directory: FileDescription, task: Task): string[] {
	return entries(directory, task)
		.map((entry) => entry.name)
		.sort();
}
