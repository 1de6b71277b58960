import { E2BIG, EEXIST, ENODATA, ENOSPC, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import { O_NOATIME, XATTR_CREATE, XATTR_REPLACE } from '../../abi/fcntl.js';
import { S_IFMT, S_ISGID, S_ISUID, S_IXGRP, UTIME_NOW, UTIME_OMIT } from '../../abi/stat-constants.js';
import { Inode, type Times } from '../../vfs/inode.js';
import { MS_NOATIME } from '../../vfs/mount.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import { clock, readClock } from './clock.js';
import type { TmpFileSystem } from './tmp-file-system.js';

const SECONDS_PER_DAY = 86400;
/** What an attribute costs beside its name and value: its share of maps and objects. */
const XATTR_OVERHEAD_BYTES = 128;
/** XATTR_SIZE_MAX, xattr(7). */
const XATTR_MAX_BYTES = 65536;

/** A file of a tmpfs: attributes, all in memory. Owned by its names and open descriptions; holds one of the file system's inode slots until both are gone. */
export abstract class TmpInode extends Inode {
	declare readonly fs: TmpFileSystem;
	nlink = 1;
	atimeSec: number;
	atimeNsec: number;
	mtimeSec: number;
	mtimeNsec: number;
	ctimeSec: number;
	ctimeNsec: number;
	private readonly btimeSec: number;
	private readonly btimeNsec: number;
	/** user.* attributes; null without any. Their bytes are charged to the file system. */
	private xattrs: Map<string, Uint8Array> | null = null;
	/** Its slot and what else it held were given back: no names, not open. */
	protected isFreed = false;

	/** The inode slot was taken by the caller. */
	constructor(
		fs: TmpFileSystem,
		public mode: number,
		public uid: number,
		public gid: number,
	) {
		super(fs, fs.nextIno());
		readClock();
		this.atimeSec = this.mtimeSec = this.ctimeSec = this.btimeSec = clock[0]!;
		this.atimeNsec = this.mtimeNsec = this.ctimeNsec = this.btimeNsec = clock[1]!;
	}

	/** st_size. */
	abstract get sizeBytes(): number;
	/** Pages of memory its contents take. */
	get pages(): number {
		return 0;
	}
	get rdev(): number {
		return 0;
	}

	override stat(out: Stat): number {
		out.dev = this.fs.dev;
		out.ino = this.ino;
		out.mode = this.mode;
		out.nlink = this.nlink;
		out.uid = this.uid;
		out.gid = this.gid;
		out.rdev = this.rdev;
		out.sizeBytes = this.sizeBytes;
		out.blockSizeBytes = 4096;
		out.blocks = this.pages * 8;
		out.atimeSec = this.atimeSec;
		out.atimeNsec = this.atimeNsec;
		out.mtimeSec = this.mtimeSec;
		out.mtimeNsec = this.mtimeNsec;
		out.ctimeSec = this.ctimeSec;
		out.ctimeNsec = this.ctimeNsec;
		out.btimeSec = this.btimeSec;
		out.btimeNsec = this.btimeNsec;
		return 0;
	}

	// --- Life ----------------------------------------------------------------------------------------------------

	/** One name is gone. */
	unlinked(): void {
		this.nlink--;
		this.touchChange();
		// Each further name has a slot of its own, as in Linux.
		if (this.nlink > 0) this.fs.releaseInode();
		else this.freeIfUnused();
	}

	/** Is somebody still using it without a name? */
	override get isOpen(): boolean {
		return false;
	}

	/** The file system goes: all names are gone at once. */
	abandon(): void {
		this.nlink = 0;
		this.freeIfUnused();
	}

	protected freeIfUnused(): void {
		if (this.nlink > 0 || this.isOpen || this.isFreed) return;
		this.isFreed = true;
		if (this.xattrs !== null) for (const [name, value] of this.xattrs) this.fs.chargeXattr(-xattrCost(name, value));
		this.xattrs = null;
		this.free();
		this.fs.releaseInode();
	}

	/** Gives back what the contents hold. */
	protected free(): void {}

	// --- Times ---------------------------------------------------------------------------------------------------

	/** ctime: an attribute changed. */
	touchChange(): void {
		readClock();
		this.ctimeSec = clock[0]!;
		this.ctimeNsec = clock[1]!;
	}

	/** mtime and ctime: the contents changed. */
	touchModify(): void {
		readClock();
		this.mtimeSec = this.ctimeSec = clock[0]!;
		this.mtimeNsec = this.ctimeNsec = clock[1]!;
	}

	/** atime, as relatime has it: when it isn't newer than the others, or a day old (mount(2), MS_RELATIME). */
	touchAccess(path: Path | null, flags: number): void {
		if ((flags & O_NOATIME) !== 0 || (path !== null && (path.mount.flags & MS_NOATIME) !== 0)) return;
		readClock();
		const isAfter = (sec: number, nsec: number) => this.atimeSec > sec || (this.atimeSec === sec && this.atimeNsec > nsec);
		if (isAfter(this.mtimeSec, this.mtimeNsec) && isAfter(this.ctimeSec, this.ctimeNsec) && clock[0]! - this.atimeSec < SECONDS_PER_DAY)
			return;
		this.atimeSec = clock[0]!;
		this.atimeNsec = clock[1]!;
	}

	override setTimes(times: Times): number {
		this.touchChange();
		if (times.atimeNsec === UTIME_NOW) {
			this.atimeSec = clock[0]!;
			this.atimeNsec = clock[1]!;
		} else if (times.atimeNsec !== UTIME_OMIT) {
			this.atimeSec = times.atimeSec;
			this.atimeNsec = times.atimeNsec;
		}
		if (times.mtimeNsec === UTIME_NOW) {
			this.mtimeSec = clock[0]!;
			this.mtimeNsec = clock[1]!;
		} else if (times.mtimeNsec !== UTIME_OMIT) {
			this.mtimeSec = times.mtimeSec;
			this.mtimeNsec = times.mtimeNsec;
		}
		return 0;
	}

	// --- Attributes ----------------------------------------------------------------------------------------------

	override chmod(mode: number): number {
		if (this.isSymlink) return -EOPNOTSUPP;
		this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
		this.touchChange();
		return 0;
	}

	override chown(uid: number, gid: number): number {
		if (uid !== -1) this.uid = uid;
		if (gid !== -1) this.gid = gid;
		if (!this.isDirectory && !this.isSymlink) {
			// Whoever changes the owner, chown(2).
			this.dropCapabilities();
			this.mode &= ~S_ISUID;
			if ((this.mode & S_IXGRP) !== 0) this.mode &= ~S_ISGID;
		}
		this.touchChange();
		return 0;
	}

	/** user.* belongs to files and directories; file capabilities and trusted.* are for whoever the caller has let through, xattr(7). */
	private checkXattr(name: string, isWrite: boolean): number {
		if (name.startsWith('user.')) return this.isRegular || this.isDirectory ? 0 : isWrite ? -EPERM : -ENODATA;
		if (name === 'security.capability' || name.startsWith('trusted.')) return 0;
		if (name.startsWith('security.')) return isWrite ? -EOPNOTSUPP : -ENODATA;
		return -EOPNOTSUPP;
	}

	override getxattr(name: string): Uint8Array | number {
		const denied = this.checkXattr(name, false);
		return denied < 0 ? denied : (this.xattrs?.get(name) ?? -ENODATA);
	}

	override setxattr(name: string, value: Uint8Array, flags: number): number {
		const denied = this.checkXattr(name, true);
		if (denied < 0) return denied;
		if (value.length > XATTR_MAX_BYTES) return -E2BIG;
		const old = this.xattrs?.get(name);
		if (old !== undefined && (flags & XATTR_CREATE) !== 0) return -EEXIST;
		if (old === undefined && (flags & XATTR_REPLACE) !== 0) return -ENODATA;
		const cost = xattrCost(name, value) - (old === undefined ? 0 : xattrCost(name, old));
		if (!this.fs.chargeXattr(cost)) return -ENOSPC;
		this.xattrs ??= new Map();
		// The caller's buffer is used again.
		this.xattrs.set(name, Uint8Array.from(value));
		this.touchChange();
		return 0;
	}

	/** File capabilities go when the contents or the owner change, whoever changes them (capabilities(7)). */
	protected dropCapabilities(): void {
		if (this.xattrs?.has('security.capability')) this.removexattr('security.capability');
	}

	override listxattr(): readonly string[] | number {
		return this.xattrs === null ? [] : [...this.xattrs.keys()];
	}

	override removexattr(name: string): number {
		const denied = this.checkXattr(name, true);
		if (denied < 0) return denied;
		const old = this.xattrs?.get(name);
		if (old === undefined) return -ENODATA;
		this.xattrs!.delete(name);
		this.fs.chargeXattr(-xattrCost(name, old));
		this.touchChange();
		return 0;
	}
}

function xattrCost(name: string, value: Uint8Array): number {
	return name.length + value.length + XATTR_OVERHEAD_BYTES;
}
