import { IN_DELETE_SELF, IN_ISDIR, IN_MOVE_SELF } from '../abi/inotify.js';
import type { FileDescription } from './file-description.js';
import type { Inode } from './inode.js';
import type { Path } from './path.js';
import { sharedStat } from './stat.js';

/** Someone who wants to hear what is done to a file, or to what is in a directory (Linux: fsnotify_mark). */
export interface Watch {
	/**
	 * `mask` is one of IN_*, with IN_ISDIR where it is about a directory; `name` of the entry that it is about, null for the watched file itself;
	 * `isUnlinked`: the entry has lost its name.
	 */
	tell(mask: number, cookie: number, name: string | null, isUnlinked: boolean): void;
	/** The file is gone. */
	ended(): void;
}

let watchCount = 0;
let lastCookie = 0;

/** Is any file watched? All there is to do where none is. */
export function hasWatches(): boolean {
	return watchCount > 0;
}

export function addWatch(inode: Inode, watch: Watch): void {
	inode.watches = [...(inode.watches ?? []), watch];
	watchCount++;
}

export function removeWatch(inode: Inode, watch: Watch): void {
	const { watches } = inode;
	const at = watches?.indexOf(watch) ?? -1;
	if (at < 0) return;
	watchCount--;
	if (watches!.length === 1) inode.watches = null;
	else inode.watches = watches!.filter((other) => other !== watch);
}

/** A number that ties the two halves of a rename together. */
export function newCookie(): number {
	lastCookie = (lastCookie + 1) >>> 0 || 1;
	return lastCookie;
}

function tellAll(inode: Inode, mask: number, cookie: number, name: string | null, isUnlinked = false): void {
	// Who is told may leave: lists are replaced, not changed.
	const { watches } = inode;
	if (watches !== null) for (const watch of watches) watch.tell(mask, cookie, name, isUnlinked);
}

/** An entry of `directory` came, went or moved. */
export function notifyEntry(directory: Inode, mask: number, name: string, inode: Inode | null, cookie = 0): void {
	tellAll(directory, inode?.isDirectory ? mask | IN_ISDIR : mask, cookie, name);
}

/** Something happened to a file itself. */
export function notifyInode(inode: Inode, mask: number): void {
	if (inode.watches !== null) tellAll(inode, inode.isDirectory ? mask | IN_ISDIR : mask, 0, null);
}

/** A file was renamed. Without IN_ISDIR, as on Linux. */
export function notifyMoved(inode: Inode): void {
	tellAll(inode, IN_MOVE_SELF, 0, null);
}

/** Something was done to the file at `path`: its directory hears of it, then the file. */
export function notifyPath(path: Path, mask: number): void {
	const { dentry } = path;
	const { inode, parent } = dentry;
	if (inode === null) return;
	const directory = parent === dentry ? null : (parent?.inode ?? null);
	if (directory !== null && directory.watches !== null) {
		tellAll(directory, inode.isDirectory ? mask | IN_ISDIR : mask, 0, dentry.name, dentry.isDeleted);
	}
	notifyInode(inode, mask);
}

/** The same for an open file, whatever its name leads to now. */
export function notifyDescription(description: FileDescription, mask: number): void {
	const { path, inode } = description;
	if (path === null) return;
	if (path.dentry.inode === inode) notifyPath(path, mask);
	else notifyInode(inode, mask);
}

/** A name or a description of a watched file is gone: is the file? */
export function notifyIfGone(inode: Inode): void {
	const { watches } = inode;
	if (watches === null || (!inode.isDirectory && inode.isOpen)) return;
	if (inode.stat(sharedStat) >= 0 && sharedStat.nlink > 0) return;
	notifyGone(inode);
}

/** A watched file or directory is gone. */
export function notifyGone(inode: Inode): void {
	const { watches } = inode;
	if (watches === null) return;
	// Without IN_ISDIR, as on Linux.
	tellAll(inode, IN_DELETE_SELF, 0, null);
	for (const watch of inode.watches ?? []) watch.ended();
}
