import { EACCES, ELOOP, ENXIO } from '../abi/errno.js';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK } from '../abi/stat-constants.js';
import { openFifo } from '../ipc/fifo.js';
import type { Task } from '../task/task.js';
import type { FileDescription } from '../vfs/file-description.js';
import type { Inode } from '../vfs/inode.js';
import { MS_NODEV } from '../vfs/mount.js';
import type { Path } from '../vfs/path.js';
import { openDevice } from './dev/devices.js';

/**
 * Opens what is neither a regular file nor a directory, whichever file system its node lies in: the object behind it is always the guest kernel's.
 * Errors: ENXIO (a socket, a device that guests don't have), EACCES (a device on a nodev mount), ELOOP (a symlink), and the object's own.
 */
export function openSpecial(inode: Inode, rdev: number, path: Path, flags: number, task: Task): FileDescription | number {
	switch (inode.type) {
		case S_IFIFO:
			return openFifo(inode.takeState(), path, inode, flags, task);
		case S_IFCHR:
			return (path.mount.flags & MS_NODEV) !== 0 ? -EACCES : openDevice(rdev, path, inode, flags, task);
		case S_IFBLK:
			return (path.mount.flags & MS_NODEV) !== 0 ? -EACCES : -ENXIO;
		case S_IFLNK:
			return -ELOOP;
		default:
			return -ENXIO;
	}
}
