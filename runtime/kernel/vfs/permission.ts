import { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER } from '../abi/capability-numbers.js';
import { EACCES, EPERM } from '../abi/errno.js';
import { S_ISVTX } from '../abi/stat-constants.js';
import { type Credentials, hasCapability, isInGroup } from '../task/credentials.js';
import type { Inode } from './inode.js';

/** What a caller wants to do with a file: the bits of access(2). */
export const MAY_EXEC = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;

/** Checks mode bits and capabilities as Linux's generic_permission does; path_resolution(7), capabilities(7). 0 or -EACCES. */
export function checkPermission(inode: Inode, want: number, credentials: Credentials): number {
	const mode = inode.mode;
	let granted = mode & 7;
	if (credentials.fsuid === inode.uid) granted = (mode >> 6) & 7;
	else if (isInGroup(credentials, inode.gid)) granted = (mode >> 3) & 7;
	if ((want & ~granted) === 0) return 0;
	if (inode.isDirectory) {
		if (hasCapability(credentials, CAP_DAC_OVERRIDE)) return 0;
		return (want & MAY_WRITE) === 0 && hasCapability(credentials, CAP_DAC_READ_SEARCH) ? 0 : -EACCES;
	}
	if (want === MAY_READ && hasCapability(credentials, CAP_DAC_READ_SEARCH)) return 0;
	// Nobody executes a file that has no execute bit at all.
	if (((want & MAY_EXEC) === 0 || (mode & 0o111) !== 0) && hasCapability(credentials, CAP_DAC_OVERRIDE)) return 0;
	return -EACCES;
}

/** The owner of a file, or who has CAP_FOWNER, may change its mode and times. */
export function isOwnerOrCapable(inode: Inode, credentials: Credentials): boolean {
	return credentials.fsuid === inode.uid || hasCapability(credentials, CAP_FOWNER);
}

/** May `credentials` remove or rename an entry that leads to `victim`? Write and search permission of the directory, and its sticky bit. 0 or -errno. */
export function checkRemove(directory: Inode, victim: Inode, credentials: Credentials): number {
	const error = checkPermission(directory, MAY_WRITE | MAY_EXEC, credentials);
	if (error < 0) return error;
	if ((directory.mode & S_ISVTX) === 0) return 0;
	if (credentials.fsuid === victim.uid || credentials.fsuid === directory.uid) return 0;
	return hasCapability(credentials, CAP_FOWNER) ? 0 : -EPERM;
}
