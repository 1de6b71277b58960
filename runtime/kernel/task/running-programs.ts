import type { Kernel } from '../kernel.js';
import type { Inode } from '../vfs/inode.js';

const ANY_EXECUTE = 0o111;

/** Does a process run the program that is in this file? Nobody writes to it meanwhile: ETXTBSY. */
export function isRunning(kernel: Kernel, inode: Inode): boolean {
	if (!inode.isRegular || (inode.mode & ANY_EXECUTE) === 0) return false;
	for (const { executable } of kernel.groups.values()) if (executable !== null && executable.dentry.inode === inode) return true;
	return false;
}
