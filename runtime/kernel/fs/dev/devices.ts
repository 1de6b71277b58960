import { ENXIO } from '../../abi/errno.js';
import type { Task } from '../../task/task.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import type { Path } from '../../vfs/path.js';
import { FullDevice, type MemoryDeviceClass, NullDevice, RandomDevice, ZeroDevice } from './memory-device.js';

/** Opens a character device: a description with one reference, or -errno. */
export type DeviceOpener = (path: Path, inode: Inode, flags: number, task: Task) => FileDescription | number;

/** A device number as stat and mknod carry it, makedev(3). */
export function makeDevice(major: number, minor: number): number {
	return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export const DEV_NULL = makeDevice(1, 3);
export const DEV_ZERO = makeDevice(1, 5);
export const DEV_FULL = makeDevice(1, 7);
export const DEV_RANDOM = makeDevice(1, 8);
export const DEV_URANDOM = makeDevice(1, 9);
export const DEV_TTY = makeDevice(5, 0);
export const DEV_PTMX = makeDevice(5, 2);

function memoryDevice(type: MemoryDeviceClass): DeviceOpener {
	return (path, inode, flags) => new type(path, inode, flags);
}

/** The character devices that guests have, by number: a node with another one is a name without a device (ENXIO), in whatever file system it lies. */
const devices = new Map<number, DeviceOpener>([
	[DEV_NULL, memoryDevice(NullDevice)],
	[DEV_ZERO, memoryDevice(ZeroDevice)],
	[DEV_FULL, memoryDevice(FullDevice)],
	[DEV_RANDOM, memoryDevice(RandomDevice)],
	[DEV_URANDOM, memoryDevice(RandomDevice)],
	// tty(4): nobody has a controlling terminal until the terminals say otherwise.
	[DEV_TTY, () => -ENXIO],
]);

/** Puts a device behind a number: the terminals' /dev/tty and ptmx. Called while the sandbox is set up. */
export function setDevice(rdev: number, open: DeviceOpener): void {
	devices.set(rdev, open);
}

/** Opens the device behind a node. Errors: ENXIO, and the device's own. */
export function openDevice(rdev: number, path: Path, inode: Inode, flags: number, task: Task): FileDescription | number {
	const open = devices.get(rdev);
	return open === undefined ? -ENXIO : open(path, inode, flags, task);
}
