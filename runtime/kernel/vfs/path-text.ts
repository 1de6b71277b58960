import { AnonymousMount } from './anonymous-path.js';
import type { Dentry } from './dentry.js';
import type { Mount } from './mount.js';
import type { Path } from './path.js';

const DELETED = ' (deleted)';

/** What the last walk found beside the text: did it come to the root that it was to stop at? */
let reachedRoot = false;

/**
 * The text of a path as getcwd(2) tells it: from `root` down, with "(unreachable)" before it when it lies outside of `root` and "
 * (deleted)" behind it when its name is gone. Never fails.
 */
export function pathText(path: Path, root: Path): string {
	const text = linkText(path, root);
	return reachedRoot ? text : `(unreachable)${text}`;
}

/**
 * The text of a path as links in /proc show it (Linux: d_path): as `pathText`, but what lies outside of `root` is shown from the top of
 * its mounts.
 */
export function linkText(path: Path, root: Path): string {
	if (path.mount instanceof AnonymousMount) {
		reachedRoot = true;
		return path.dentry.name;
	}
	const text = walkUp(path.mount, path.dentry, root);
	return path.dentry.isDeleted ? text + DELETED : text;
}

/** The text of the place where `mount` stands, or null when that is outside of `root`: /proc/PID/mounts leaves it out. */
export function mountpointText(mount: Mount, root: Path): string | null {
	const text = walkUp(mount, mount.root, root);
	return reachedRoot ? text : null;
}

/** The text of a dentry within its own file system, as the fourth field of /proc/PID/mountinfo shows a mount's root. */
export function dentryText(dentry: Dentry): string {
	let text = '';
	for (let at = dentry; at.parent !== null && at.parent !== at; at = at.parent) text = `/${at.name}${text}`;
	return text === '' ? '/' : text;
}

function walkUp(fromMount: Mount, fromDentry: Dentry, root: Path): string {
	let mount = fromMount;
	let dentry = fromDentry;
	let text = '';
	for (;;) {
		if (dentry === root.dentry && mount === root.mount) {
			reachedRoot = true;
			break;
		}
		if (dentry === mount.root) {
			if (mount.parent === null || mount.mountpoint === null) {
				reachedRoot = false;
				break;
			}
			dentry = mount.mountpoint;
			mount = mount.parent;
			continue;
		}
		text = `/${dentry.name}${text}`;
		if (dentry.parent === null || dentry.parent === dentry) {
			// A name without a place: a memfd, or a part of a tree that a rename took out of its bind mount.
			reachedRoot = false;
			break;
		}
		dentry = dentry.parent;
	}
	return text === '' ? '/' : text;
}
