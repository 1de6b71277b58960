import { FileState } from '../../vfs/file-state.js';
import { WeakInodes } from './weak-inodes.js';

/** A host file's state; the time of its birth tells it from a later file with its number. */
export class HostFileState extends FileState {
	constructor(
		private readonly btimeSec: number,
		private readonly btimeNsec: number,
	) {
		super();
	}

	/** Is it that of the file that was born then? */
	isOf(btimeSec: number, btimeNsec: number): boolean {
		return this.btimeSec === btimeSec && this.btimeNsec === btimeNsec;
	}
}

/** States of files on trees that may be mounted more than once, for all containers of the pod. The inodes of a file hold its state. */
export const sharedStates = new WeakInodes<FileState>();
