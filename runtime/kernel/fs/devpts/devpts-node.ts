import { native } from '../../../native.js';
import { S_IFCHR } from '../../abi/stat-constants.js';
import type { FileSystem } from '../../vfs/inode.js';
import { OwnedInode } from '../../vfs/owned-inode.js';
import type { Stat } from '../../vfs/stat.js';

const CLOCK_REALTIME = 0;
const now = new Float64Array(2);

/** st_blksize. */
export const BLOCK_BYTES = 1024;

/** A device node of devpts: its owner and mode may be changed. */
export abstract class DevptsNode extends OwnedInode {
	private readonly madeSec: number;
	private readonly madeNsec: number;

	constructor(
		fs: FileSystem,
		ino: number,
		permissions: number,
		uid: number,
		gid: number,
		readonly rdev: number,
	) {
		super(fs, ino, S_IFCHR | permissions, uid, gid);
		native.clockGetTime(CLOCK_REALTIME, now);
		this.madeSec = now[0]!;
		this.madeNsec = now[1]!;
	}

	override stat(out: Stat): number {
		out.dev = this.fs.dev;
		out.ino = this.ino;
		out.mode = this.mode;
		out.nlink = 1;
		out.uid = this.uid;
		out.gid = this.gid;
		out.rdev = this.rdev;
		out.sizeBytes = out.blocks = 0;
		out.blockSizeBytes = BLOCK_BYTES;
		out.atimeSec = out.mtimeSec = out.ctimeSec = this.madeSec;
		out.atimeNsec = out.mtimeNsec = out.ctimeNsec = this.madeNsec;
		out.btimeSec = out.btimeNsec = 0;
		return 0;
	}

	/** touch(1) of a terminal is no error; its times are nobody's business. */
	override setTimes(): number {
		return 0;
	}
	override truncate(): number {
		return 0;
	}
}
