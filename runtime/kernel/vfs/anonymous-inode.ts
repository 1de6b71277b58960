import { native } from '../../native.js';
import { ENXIO, EOPNOTSUPP } from '../abi/errno.js';
import { S_IFDIR } from '../abi/stat-constants.js';
import type { FileDescription } from './file-description.js';
import { FileSystem, type Inode } from './inode.js';
import { OwnedInode } from './owned-inode.js';
import type { Stat } from './stat.js';

const CLOCK_REALTIME = 0;
const now = new Float64Array(2);

/** A file system that is mounted nowhere: pipefs, sockfs, anon_inodefs. Its inodes live as long as a description holds them. */
export class AnonymousFileSystem extends FileSystem {
	readonly isExclusive = true;
	private lastIno = 1;
	private rootInode: Inode | null = null;

	/** Nothing leads here; statfs and mount tables may ask for it all the same. */
	get root(): Inode {
		this.rootInode ??= new AnonymousInode(this, S_IFDIR | 0o555, 0, 0);
		return this.rootInode;
	}

	nextIno(): number {
		return ++this.lastIno;
	}
}

/** An inode without a name, made for one object: a pipe, a socket pair's end. Owner and mode may be changed, as on Linux. */
export class AnonymousInode extends OwnedInode {
	private readonly madeSec: number;
	private readonly madeNsec: number;

	constructor(fs: AnonymousFileSystem, mode: number, uid: number, gid: number) {
		super(fs, fs.nextIno(), mode, uid, gid);
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
		out.rdev = out.sizeBytes = out.blocks = 0;
		out.blockSizeBytes = 4096;
		out.atimeSec = out.mtimeSec = out.ctimeSec = this.madeSec;
		out.atimeNsec = out.mtimeNsec = out.ctimeNsec = this.madeNsec;
		out.btimeSec = out.btimeNsec = 0;
		return 0;
	}

	/** Through /proc/PID/fd/N. Pipes can be opened again that way, nothing else. */
	override open(..._: Parameters<Inode['open']>): FileDescription | number {
		return -ENXIO;
	}
}

/** The one inode that eventfd, epoll and their like share (Linux: anon_inode_inode). It has no file type and can't be changed. */
class SharedInode extends AnonymousInode {
	override chmod(): number {
		return -EOPNOTSUPP;
	}
	override chown(): number {
		return -EOPNOTSUPP;
	}
}

const ANON_INODE_FS_MAGIC = 0x09041934;

/** What eventfd(2), epoll_create(2) and other calls that make "anon_inode:[…]" objects use as their inode. */
export const sharedAnonymousInode: AnonymousInode = new SharedInode(
	new AnonymousFileSystem('anon_inodefs', ANON_INODE_FS_MAGIC),
	0o600,
	0,
	0,
);
