import { Dentry } from './dentry.js';
import type { FileSystem, Inode } from './inode.js';
import { Mount, rootDentry } from './mount.js';
import { Path } from './path.js';

/**
 * A mount that stands nowhere (Linux: kern_mount of pipefs, sockfs, anon_inodefs): what is on it has a text of its own in place of a path.
 */
export class AnonymousMount extends Mount {
	constructor(fs: FileSystem, inode: Inode) {
		super(fs, rootDentry(fs, inode), 0, fs.type, '', null, null);
	}
}

const mounts = new WeakMap<FileSystem, AnonymousMount>();

/** The internal mount of a file system whose files have no names; made once. */
export function anonymousMount(inode: Inode): AnonymousMount {
	let mount = mounts.get(inode.fs);
	if (mount === undefined) {
		mount = new AnonymousMount(inode.fs, inode);
		mounts.set(inode.fs, mount);
	}
	return mount;
}

/** A place for an inode that has no name anywhere, so that /proc/PID/fd/N can lead to it. `text` is what links to it show: "pipe:[12]". */
export function anonymousPath(inode: Inode, text: string): Path {
	return new Path(anonymousMount(inode), new Dentry(text, null, inode));
}
