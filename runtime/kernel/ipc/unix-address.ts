import { ECONNREFUSED, EINVAL } from '../abi/errno.js';
import { AF_UNIX, SOCKADDR_UN_BYTES, SUN_PATH } from '../abi/socket-constants.js';
import { S_IFSOCK } from '../abi/stat-constants.js';
import type { Task } from '../task/task.js';
import type { FileState } from '../vfs/file-state.js';
import type { Inode } from '../vfs/inode.js';
import { pathWalk, WALK_FOLLOW } from '../vfs/path-walk.js';
import { checkPermission, MAY_WRITE } from '../vfs/permission.js';
import type { UnixSocket } from './unix-socket.js';

/** The address of a socket without a name: its family alone. */
export const UNNAMED = new Uint8Array([AF_UNIX, 0]);

/** Sockets by the file that they are bound to; a socket keeps its inode alive, and that its state. */
const boundSockets = new WeakMap<FileState, UnixSocket>();

/** The family of a socket address; AF_UNSPEC for one that is too short to have any. */
export function familyOf(address: Uint8Array): number {
	return address.length < SUN_PATH ? 0 : address[0]! | (address[1]! << 8);
}

/** Is it a socket address of unix(7), with a name or without? */
export function isUnixAddress(address: Uint8Array): boolean {
	return address.length >= SUN_PATH && address.length <= SOCKADDR_UN_BYTES && familyOf(address) === AF_UNIX;
}

/** The abstract name (a byte string) in a checked address, or null if it holds a path. */
export function abstractNameOf(address: Uint8Array): string | null {
	return address[SUN_PATH] === 0 ? text(address, SUN_PATH + 1, address.length) : null;
}

/** The path (a byte string) in a checked address, which may be longer than the bytes that count. */
export function pathOf(address: Uint8Array): string {
	const end = address.indexOf(0, SUN_PATH);
	return text(address, SUN_PATH, end < 0 ? address.length : end);
}

function text(address: Uint8Array, from: number, to: number): string {
	return Buffer.from(address.buffer, address.byteOffset, address.length).latin1Slice(from, to);
}

/** The address that a path name is shown with: the path and a NUL, even where that makes it longer than struct sockaddr_un. */
export function pathAddress(path: string): Uint8Array {
	const address = new Uint8Array(SUN_PATH + path.length + 1);
	address[0] = AF_UNIX;
	Buffer.from(address.buffer).latin1Write(path, SUN_PATH);
	return address;
}

export function abstractAddress(name: string): Uint8Array {
	const address = new Uint8Array(SUN_PATH + 1 + name.length);
	address[0] = AF_UNIX;
	Buffer.from(address.buffer).latin1Write(name, SUN_PATH + 1);
	return address;
}

/** Ties a socket to the inode that was made for its name. */
export function bindInode(inode: Inode, socket: UnixSocket): void {
	boundSockets.set(inode.takeState(), socket);
}

export function unbindInode(inode: Inode): void {
	boundSockets.delete(inode.takeState());
}

/**
 * The socket that an address names. Errors: EINVAL (no such address), ECONNREFUSED (nobody has that name, or no more), EACCES (no permission to write
 * to the inode), and the path walk's.
 */
export function findSocket(task: Task, address: Uint8Array, type: number): UnixSocket | number {
	if (!isUnixAddress(address) || address.length === SUN_PATH) return -EINVAL;
	const name = abstractNameOf(address);
	if (name !== null) return task.kernel.network.findAbstract(type, name) ?? -ECONNREFUSED;
	const error = pathWalk.walk(task, task.fs.cwd, pathOf(address), WALK_FOLLOW);
	if (error < 0) return error;
	const inode = pathWalk.path.dentry.inode!;
	const denied = checkPermission(inode, MAY_WRITE, task.credentials);
	if (denied < 0) return denied;
	const state = inode.type === S_IFSOCK ? inode.findState() : null;
	return (state === null ? undefined : boundSockets.get(state)) ?? -ECONNREFUSED;
}
