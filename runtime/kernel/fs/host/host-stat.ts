import type { Stat } from '../../vfs/stat.js';

/**
 * Places in the array that native `fstat` and `fstatat` fill: the values of `StatField` in native/native.d.ts, whose ambient const enum leaves
 * nothing to import at run time.
 */
export const StatField = {
	Dev: 0,
	Ino: 1,
	Mode: 2,
	Nlink: 3,
	Uid: 4,
	Gid: 5,
	Rdev: 6,
	Size: 7,
	Blksize: 8,
	Blocks: 9,
	AtimeSec: 10,
	AtimeNsec: 11,
	MtimeSec: 12,
	MtimeNsec: 13,
	CtimeSec: 14,
	CtimeNsec: 15,
	BtimeSec: 16,
	BtimeNsec: 17,
} as const;

/** What the last stat of a host file gave, by `StatField`: one array for all, read before the next host call. */
export const hostStat = new Float64Array(18);

/** Copies `hostStat` out as the guest sees it: all but the device, which is the guest's own for the file system. */
export function fillStat(out: Stat, dev: number): void {
	out.dev = dev;
	out.ino = hostStat[StatField.Ino]!;
	out.mode = hostStat[StatField.Mode]!;
	out.nlink = hostStat[StatField.Nlink]!;
	out.uid = hostStat[StatField.Uid]!;
	out.gid = hostStat[StatField.Gid]!;
	out.rdev = hostStat[StatField.Rdev]!;
	out.sizeBytes = hostStat[StatField.Size]!;
	out.blockSizeBytes = hostStat[StatField.Blksize]!;
	out.blocks = hostStat[StatField.Blocks]!;
	out.atimeSec = hostStat[StatField.AtimeSec]!;
	out.atimeNsec = hostStat[StatField.AtimeNsec]!;
	out.mtimeSec = hostStat[StatField.MtimeSec]!;
	out.mtimeNsec = hostStat[StatField.MtimeNsec]!;
	out.ctimeSec = hostStat[StatField.CtimeSec]!;
	out.ctimeNsec = hostStat[StatField.CtimeNsec]!;
	out.btimeSec = hostStat[StatField.BtimeSec]!;
	out.btimeNsec = hostStat[StatField.BtimeNsec]!;
}
