import { EBADF, EFAULT, EINVAL, ENOTSOCK } from '../abi/errno.js';
import { O_PATH } from '../abi/fcntl.js';
import { SOCKADDR_STORAGE_BYTES } from '../abi/socket-constants.js';
import { Socket } from '../ipc/socket.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyOutBytes, copyOutInt, scratchView } from '../trap/guest-memory.js';

/** The socket of a descriptor. Errors: EBADF, ENOTSOCK. */
export function socketOf(task: Task, fd: number): Socket | number {
	const description = task.file(fd);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return description instanceof Socket ? description : -ENOTSOCK;
}

/** Copies a socket address in. Errors: EINVAL (its length), EFAULT. */
export function readAddress(task: Task, address: number, length: number): Uint8Array | number {
	if (length < 0 || length > SOCKADDR_STORAGE_BYTES) return -EINVAL;
	const bytes = new Uint8Array(length);
	return length === 0 ? bytes : copyInBytes(task.tid, address, bytes, 0, length) || bytes;
}

/** Stores a socket address, cut to the room that the guest has, and its whole length. Errors: EFAULT, EINVAL (a negative length). */
export function writeAddress(task: Task, name: Uint8Array | null, address: number, lengthAddress: number): number {
	if (copyIn(task.tid, lengthAddress, 4) < 0) return -EFAULT;
	const room = scratchView.getInt32(0, true);
	if (room < 0) return -EINVAL;
	const length = name?.length ?? 0;
	if (name !== null && Math.min(room, length) > 0 && copyOutBytes(task.tid, address, name, Math.min(room, length)) < 0) return -EFAULT;
	return copyOutInt(task.tid, lengthAddress, length);
}
