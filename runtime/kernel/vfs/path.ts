import type { Dentry } from './dentry.js';
import type { Mount } from './mount.js';

/** A place in the tree: a directory entry seen through a mount. Immutable. */
export class Path {
	constructor(
		readonly mount: Mount,
		readonly dentry: Dentry,
	) {}

	equals(other: Path): boolean {
		return this.mount === other.mount && this.dentry === other.dentry;
	}
}
