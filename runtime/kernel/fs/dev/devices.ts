import { DEV_FULL, DEV_NULL, DEV_PTMX, DEV_RANDOM, DEV_TTY, DEV_URANDOM, DEV_ZERO } from '../../abi/device-number.js';
import { ENXIO } from '../../abi/errno.js';
import type { Task } from '../../task/task.js';
import { openControllingTerminal } from '../../tty/terminal-description.js';
import { Dentry } from '../../vfs/dentry.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { Inode } from '../../vfs/inode.js';
import { Path } from '../../vfs/path.js';
import { FullDevice, type MemoryDeviceClass, NullDevice, RandomDevice, ZeroDevice } from './memory-device.js';

/** Opens a character device: a description with one reference, or -errno. */
export type DeviceOpener = (path: Path, inode: Inode, flags: number, task: Task) => FileDescription | number;

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
	[DEV_TTY, openControllingTerminal],
	// A node beside devpts rather than the one in it: the container's own instance.
	[DEV_PTMX, openPtmx],
]);

/** A node beside devpts: the same as the one in the container's own instance. */
function openPtmx(_path: Path, _inode: Inode, flags: number, task: Task): FileDescription | number {
	const { devpts } = task.group.container;
	if (devpts === null) return -ENXIO;
	const ptmx = devpts.dentry.inode!.lookup('ptmx', task);
	return typeof ptmx === 'number' ? ptmx : ptmx.open(new Path(devpts.mount, new Dentry('ptmx', devpts.dentry, ptmx)), flags, task);
}

/** Opens the device behind a node. Errors: ENXIO, and the device's own. */
export function openDevice(rdev: number, path: Path, inode: Inode, flags: number, task: Task): FileDescription | number {
	const open = devices.get(rdev);
	return open === undefined ? -ENXIO : open(path, inode, flags, task);
}
