import { DEV_FULL, DEV_NULL, DEV_RANDOM, DEV_TTY, DEV_URANDOM, DEV_ZERO } from '../../abi/device-number.js';
import { S_IFCHR } from '../../abi/stat-constants.js';
import { TmpFileSystem } from '../tmpfs/tmp-file-system.js';

const DEVICES: readonly (readonly [name: string, rdev: number])[] = [
	['null', DEV_NULL],
	['zero', DEV_ZERO],
	['full', DEV_FULL],
	['random', DEV_RANDOM],
	['urandom', DEV_URANDOM],
	['tty', DEV_TTY],
];

const SYMLINKS: readonly (readonly [name: string, target: string])[] = [
	['fd', '/proc/self/fd'],
	['stdin', '/proc/self/fd/0'],
	['stdout', '/proc/self/fd/1'],
	['stderr', '/proc/self/fd/2'],
	['ptmx', 'pts/ptmx'],
];

/** Mount points: devpts, two tmpfs. */
const DIRECTORIES = ['pts', 'shm', 'mqueue'];

export interface DevFileSystemOptions {
	/** Bytes of files that a guest may keep in it: 64 MiB in the containers of other runtimes. */
	sizeBytes?: number;
	inodes?: number;
	/** Owner of the nodes. */
	uid?: number;
	gid?: number;
}

/**
 * A container's /dev: a tmpfs with the default devices and symlinks of the OCI runtime specification ("Default Devices", "Dev symbolic links"),
 * modes as runc gives them. /dev/console is mounted when a container has a terminal.
 */
export function createDevFileSystem({ sizeBytes = 64 << 20, inodes = 65536, uid = 0, gid = 0 }: DevFileSystemOptions = {}): TmpFileSystem {
	const fs = new TmpFileSystem({ sizeBytes, inodes, mode: 0o755, uid, gid });
	for (const [name, rdev] of DEVICES) fs.root.mknod(name, S_IFCHR | 0o666, rdev, uid, gid);
	for (const [name, target] of SYMLINKS) fs.root.symlink(name, target, uid, gid);
	for (const name of DIRECTORIES) fs.root.mkdir(name, 0o755, uid, gid);
	return fs;
}
