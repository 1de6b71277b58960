import { totalmem } from 'node:os';
import { EINVAL, ENODEV } from '../abi/errno.js';
import { PAGE_SIZE } from '../abi/limits.js';
import type { Container } from '../container.js';
import type { Dentry } from '../vfs/dentry.js';
import type { FileSystem } from '../vfs/inode.js';
import { type Mount, rootDentry } from '../vfs/mount.js';
import { DevptsFileSystem } from './devpts/devpts-file-system.js';
import { netFiles } from './proc/net-files.js';
import { ProcFileSystem } from './proc/proc-file-system.js';
import { CgroupFileSystem } from './sys/fs/cgroup/cgroup-file-system.js';
import { SysFileSystem } from './sys/sys-file-system.js';
import { TmpFileSystem } from './tmpfs/tmp-file-system.js';
import { parseTmpfsOptions, TMPFS_MODE, tmpfsOptionText } from './tmpfs/tmp-options.js';

/** A file system that a container's process asked for. */
export interface Mountable {
	readonly fs: FileSystem;
	/** Where its mount begins. */
	readonly root: Dentry;
	/** As /proc/mounts shows them. */
	readonly options: string;
	/** Made for this mount: it ends with it. The others are the container's only one of their type. */
	readonly isOwn: boolean;
}

/** Slaves that one instance of devpts may have when its options don't say (NR_UNIX98_PTY_MAX). */
const MAX_SLAVES = 1 << 20;
const CGROUP_OPTIONS = new Set(['nsdelegate', 'favordynmods', 'memory_localevents', 'memory_recursiveprot']);

/** The file system `type` with the options `data`, mount(2). Errors: ENODEV (no such type), EINVAL (options that it doesn't know). */
export function mountable(container: Container, type: string, data: string): Mountable | number {
	switch (type) {
		case 'tmpfs':
			return tmpfs(container, data);
		case 'devpts':
			return devpts(container, data);
		case 'proc':
			if (!words(data).every((word) => word === 'hidepid=0' || word === 'gid=0')) return -EINVAL;
			return only(container, type, () => new ProcFileSystem(container, { netFiles: netFiles(container.kernel.network) }));
		case 'sysfs':
			return words(data).length > 0 ? -EINVAL : only(container, type, () => new SysFileSystem());
		case 'mqueue':
			return words(data).length > 0 ? -EINVAL : only(container, type, () => container.ipc.posixQueues);
		case 'cgroup2':
			if (!words(data).every((word) => CGROUP_OPTIONS.has(word))) return -EINVAL;
			return only(container, type, () => new CgroupFileSystem(container), 'nsdelegate,memory_recursiveprot');
		default:
			return -ENODEV;
	}
}

function words(data: string): string[] {
	return data.split(',').filter((word) => word !== '');
}

/** The container's only file system of a type, whoever mounted it first. */
function only(container: Container, type: string, make: () => FileSystem, options = ''): Mountable {
	let known = container.systems.get(type);
	if (known === undefined) {
		const mounted = [...container.mounts.all()].find(({ fs, root }) => fs.type === type && root.parent === null);
		known = mounted === undefined ? { root: rootDentry(make()), options } : { root: mounted.root, options: mounted.options };
		container.systems.set(type, known);
	}
	return { fs: known.root.inode!.fs, ...known, isOwn: false };
}

// --- tmpfs -----------------------------------------------------------------------------------------------------------

/** What percentages are of, and what a tmpfs without a size is half of. */
function memoryBytes(container: Container): number {
	return Math.min(totalmem(), container.memoryLimitBytes);
}

function tmpfs(container: Container, data: string): Mountable | number {
	const total = memoryBytes(container);
	const options = parseTmpfsOptions(data, total);
	if (typeof options === 'number') return options;
	const half = Math.floor(total / PAGE_SIZE / 2);
	const fs = new TmpFileSystem({
		sizeBytes: options.sizeBytes ?? half * PAGE_SIZE,
		inodes: options.inodes ?? half,
		mode: options.mode ?? TMPFS_MODE,
		uid: options.uid ?? 0,
		gid: options.gid ?? 0,
		pool: container.tmpfsPool,
	});
	return { fs, root: rootDentry(fs), options: tmpfsOptionText(options), isOwn: true };
}

/** New options of what is mounted, MS_REMOUNT: what is not said stays. Errors: EINVAL. */
export function remountFileSystem(container: Container, mount: Mount, data: string): number {
	const { fs } = mount;
	if (!(fs instanceof TmpFileSystem)) return words(data).length > 0 && fs.type !== 'proc' && fs.type !== 'cgroup2' ? -EINVAL : 0;
	const options = parseTmpfsOptions(data, memoryBytes(container));
	if (typeof options === 'number') return options;
	const error = fs.remount(options.sizeBytes, options.inodes);
	if (error < 0) return error;
	// The root's mode and owner are for the first mount only, and stay as they were shown.
	const before = parseTmpfsOptions(mount.options, 0);
	if (typeof before === 'number') return 0;
	const text = tmpfsOptionText({ ...before, sizeBytes: options.sizeBytes ?? before.sizeBytes, inodes: options.inodes ?? before.inodes });
	for (const other of mount.namespace!.all()) if (other.fs === fs) other.options = text;
	return 0;
}

// --- devpts ----------------------------------------------------------------------------------------------------------

function devpts(container: Container, data: string): Mountable | number {
	const options = { uid: null as number | null, gid: null as number | null, mode: 0o600, ptmxMode: 0, max: MAX_SLAVES };
	for (const word of words(data)) {
		if (word === 'newinstance') continue;
		const match = /^(uid|gid|max)=(\d{1,9})$/.exec(word) ?? /^(mode|ptmxmode)=([0-7]{1,6})$/.exec(word);
		if (match === null) return -EINVAL;
		const [, name, digits] = match as unknown as [string, string, string];
		if (name === 'mode') options.mode = Number.parseInt(digits, 8) & 0o777;
		else if (name === 'ptmxmode') options.ptmxMode = Number.parseInt(digits, 8) & 0o777;
		else if (name === 'max') options.max = Math.min(Number(digits), MAX_SLAVES);
		else if (name === 'uid') options.uid = Number(digits);
		else options.gid = Number(digits);
	}
	const fs = new DevptsFileSystem(container.kernel, options);
	const octal = (mode: number): string => mode.toString(8).padStart(3, '0');
	const parts = [
		...(options.uid === null ? [] : [`uid=${options.uid}`]),
		...(options.gid === null ? [] : [`gid=${options.gid}`]),
		`mode=${octal(options.mode)}`,
		`ptmxmode=${octal(options.ptmxMode)}`,
		...(options.max === MAX_SLAVES ? [] : [`max=${options.max}`]),
	];
	return { fs, root: rootDentry(fs), options: parts.join(','), isOwn: true };
}
