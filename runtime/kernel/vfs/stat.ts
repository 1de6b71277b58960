/**
 * File attributes as the guest sees them: struct stat and struct statx are encoded from one of these.
 * One instance is filled again and again; nobody keeps it.
 */
export class Stat {
	dev = 0;
	ino = 0;
	/** File type and permission bits. */
	mode = 0;
	nlink = 1;
	uid = 0;
	gid = 0;
	/** Encoded device number of a device file. */
	rdev = 0;
	sizeBytes = 0;
	blockSizeBytes = 4096;
	/** In units of 512 bytes. */
	blocks = 0;
	atimeSec = 0;
	atimeNsec = 0;
	mtimeSec = 0;
	mtimeNsec = 0;
	ctimeSec = 0;
	ctimeNsec = 0;
	btimeSec = 0;
	btimeNsec = 0;
	/** Mount id, statx(2). Set by the path-level caller, not by the inode. */
	mountId = 0;
}

/** The one instance that stat calls fill. */
export const sharedStat = new Stat();
