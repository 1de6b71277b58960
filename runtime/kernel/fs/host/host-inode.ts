import { native } from '../../../native.js';
import { EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENODATA, ENODEV, ENOENT, EOPNOTSUPP, EPERM, EROFS, EXDEV } from '../../abi/errno.js';
import {
	O_ACCMODE,
	O_CREAT,
	O_DIRECTORY,
	O_DSYNC,
	O_EXCL,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_PATH,
	O_RDONLY,
	O_RDWR,
	O_SYNC,
	O_TMPFILE,
	O_WRONLY,
	RENAME_EXCHANGE,
} from '../../abi/fcntl.js';
import { PATH_MAX } from '../../abi/limits.js';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../abi/stat-constants.js';
import type { Task } from '../../task/task.js';
import type { FileDescription } from '../../vfs/file-description.js';
import type { FileState } from '../../vfs/file-state.js';
import { Inode, type Times } from '../../vfs/inode.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import { mappingKeyOf } from '../mapping-key.js';
import { openSpecial } from '../open-special.js';
import { directoryDescriptors } from './directory-descriptors.js';
import { HostDirectory } from './host-directory.js';
import { HostFile } from './host-file.js';
import { HostFileState, sharedStates } from './host-file-state.js';
import type { HostFileSystem } from './host-file-system.js';
import { fillStat, hostStat, StatField } from './host-stat.js';

/** Deepest chain of directories that is opened again from the top: a host that moves directories about could make a stale chain a circle. */
const MAX_DEPTH = 1 << 16;
/** XATTR_SIZE_MAX and XATTR_LIST_MAX, xattr(7). */
const XATTR_BYTES = 65536;

const linkText = Buffer.alloc(PATH_MAX);
const xattrBytes = Buffer.alloc(XATTR_BYTES);

/** One name of a file. */
interface Name {
	readonly parent: HostInode;
	readonly name: string;
}

/**
 * A file of a host tree. A directory is reached by an O_PATH descriptor that is opened when it is needed and may be given up at any time; everything else by a
 * name in its directory, or while it is open by a description's descriptor, which also reaches it when it has no name any more.
 *
 * It holds its parent, so that the way down from the root is always known; nobody but dentries, descriptions and children holds it.
 */
export class HostInode extends Inode {
	declare readonly fs: HostFileSystem;
	mode = 0;
	uid = 0;
	gid = 0;
	/** Names that lead to it, as of the last look and of what the sandbox did since. 0: it has none, and is gone once nobody has it open. */
	private nlink = 0;
	private rdev = 0;
	/** Host device: part of its identity, not shown to guests. */
	readonly hostDev: number;
	private readonly btimeSec: number;
	private readonly btimeNsec: number;
	/** Other names of a file with several, as far as they were looked up: one takes over when the current one is removed. */
	private otherNames: Map<string, Name> | null = null;
	/** A symlink's text, once read, where it can't change: on an exclusive tree. */
	private target: string | null = null;
	/**
	 * The directory's O_PATH descriptor, or -1. Owned; `directoryDescriptors` may close it at any time. The root's is the file system's and stays, and a root
	 * that is no directory (a file that was bind-mounted) has it too.
	 */
	directoryFd = -1;
	/** Used since `directoryDescriptors` looked at it last. */
	isRecentlyUsed = false;
	/** Its open files. Not owned. */
	private readonly openFiles: HostFile[] = [];
	/** A descriptor that `attributeFd` has opened and `endAttribute` closes; -1 between the two. */
	private temporaryFd = -1;

	/** Takes its attributes from `hostStat`. */
	constructor(
		fs: HostFileSystem,
		/** The directory that has its current name; null for the root and for a file that has no known name. */
		private parent: HostInode | null,
		private name: string,
	) {
		super(fs, hostStat[StatField.Ino]!);
		this.hostDev = hostStat[StatField.Dev]!;
		this.btimeSec = hostStat[StatField.BtimeSec]!;
		this.btimeNsec = hostStat[StatField.BtimeNsec]!;
		this.load();
	}

	// --- Identity ------------------------------------------------------------------------------------------------

	/** Does `hostStat`, of the same device and inode number, tell of this very file? The host may have given its number to a new one. */
	isSameFile(): boolean {
		return (
			this.ino === hostStat[StatField.Ino] &&
			this.hostDev === hostStat[StatField.Dev] &&
			(this.mode & S_IFMT) === (hostStat[StatField.Mode]! & S_IFMT) &&
			this.btimeSec === hostStat[StatField.BtimeSec] &&
			this.btimeNsec === hostStat[StatField.BtimeNsec]
		);
	}

	/** Takes over what `hostStat` says. */
	load(): void {
		this.mode = hostStat[StatField.Mode]!;
		this.uid = hostStat[StatField.Uid]!;
		this.gid = hostStat[StatField.Gid]!;
		this.nlink = hostStat[StatField.Nlink]!;
		this.rdev = hostStat[StatField.Rdev]!;
	}

	/** `name` of `parent` leads here, as a look-up has just found. */
	addName(parent: HostInode, name: string): void {
		if (this.parent === parent && this.name === name) return;
		if (this.parent !== null && this.nlink > 1 && !this.isDirectory) {
			this.otherNames ??= new Map();
			this.otherNames.set(nameKey(parent, name), { parent, name });
			return;
		}
		this.parent = parent;
		this.name = name;
	}

	/** `name` of `parent` doesn't lead here any more. */
	private dropName(parent: HostInode, name: string): void {
		const others = this.otherNames;
		others?.delete(nameKey(parent, name));
		if (this.parent === parent && this.name === name) {
			this.parent = null;
			this.name = '';
			for (const [key, next] of others ?? []) {
				others?.delete(key);
				this.parent = next.parent;
				this.name = next.name;
				break;
			}
		}
		if (others?.size === 0) this.otherNames = null;
	}

	/** A name was removed from the host's tree. */
	private unlinked(parent: HostInode, name: string): void {
		this.nlink = this.isDirectory ? 0 : Math.max(this.nlink - 1, 0);
		this.dropName(parent, name);
		// Its number may come back as another file's.
		if (this.nlink > 0) return;
		this.fs.inodes.delete(this.hostDev, this.ino, this);
		if (this.state !== null) sharedStates.delete(this.hostDev, this.ino, this.state);
	}

	// --- State -------------------------------------------------------------------------------------------------------

	/** On a shared tree it may be another mount's inode that had something to keep first. */
	override findState(): FileState | null {
		if (this.state !== null || this.fs.isExclusive || sharedStates.isEmpty) return this.state;
		const shared = sharedStates.get(this.hostDev, this.ino);
		if (shared instanceof HostFileState && shared.isOf(this.btimeSec, this.btimeNsec)) this.state = shared;
		return this.state;
	}

	override takeState(): FileState {
		const known = this.findState();
		if (known !== null) return known;
		const state = new HostFileState(this.btimeSec, this.btimeNsec);
		if (!this.fs.isExclusive) sharedStates.set(this.hostDev, this.ino, state);
		this.state = state;
		return state;
	}

	override get isOpen(): boolean {
		return this.openFiles.length > 0;
	}

	/** A file is open (or no longer): see `openFiles`. */
	opened(file: HostFile): void {
		this.openFiles.push(file);
	}
	closed(file: HostFile): void {
		const at = this.openFiles.indexOf(file);
		if (at >= 0) this.openFiles.splice(at, 1);
	}

	// --- Host descriptors ------------------------------------------------------------------------------------------

	/** The directory's descriptor, for the next host call only; -ENOENT when it was removed or the host has moved it. */
	private descriptor(): number {
		this.isRecentlyUsed = true;
		return this.directoryFd >= 0 ? this.directoryFd : this.openDirectory();
	}

	/** Opens the directory, and those above it that have no descriptor, from the top down. */
	private openDirectory(): number {
		const chain: HostInode[] = [];
		let above: HostInode = this;
		while (above.directoryFd < 0) {
			if (above.parent === null || chain.length === MAX_DEPTH) return -ENOENT;
			chain.push(above);
			above = above.parent;
		}
		let fd = above.directoryFd;
		for (let at = chain.length - 1; at >= 0; at--) {
			const inode = chain[at]!;
			const opened = native.openat2(fd, inode.name, O_PATH | O_NOFOLLOW | O_DIRECTORY, 0, this.fs.resolve);
			if (opened < 0) return opened;
			if (!this.fs.isExclusive && (native.fstat(opened, hostStat) < 0 || !inode.isSameFile())) {
				native.close(opened);
				return -ENOENT;
			}
			inode.directoryFd = fd = opened;
			inode.isRecentlyUsed = true;
			directoryDescriptors.add(inode);
		}
		return fd;
	}

	/** An O_PATH descriptor of what is no directory, by its name; the caller's. -ENOENT: it has none, or the name leads elsewhere. */
	private openPath(): number {
		if (this.parent === null) return -ENOENT;
		const parentFd = this.parent.descriptor();
		if (parentFd < 0) return parentFd;
		const fd = native.openat2(parentFd, this.name, O_PATH | O_NOFOLLOW, 0, this.fs.resolve);
		if (fd < 0 || this.fs.isExclusive) return fd;
		if (native.fstat(fd, hostStat) >= 0 && this.isSameFile()) return fd;
		native.close(fd);
		return -ENOENT;
	}

	/** Opens a regular file with other flags; the caller's. */
	private openHost(flags: number): number {
		if (this.directoryFd >= 0) return native.reopen(this.directoryFd, flags | O_NONBLOCK);
		const open = this.openFiles[0];
		if (open !== undefined && this.nlink === 0) return native.reopen(open.hostFd, flags);
		if (this.fs.isExclusive) {
			if (this.parent === null) return open === undefined ? -ENOENT : native.reopen(open.hostFd, flags);
			const parentFd = this.parent.descriptor();
			return parentFd < 0 ? parentFd : native.openat2(parentFd, this.name, flags | O_NOFOLLOW | O_NONBLOCK, 0, this.fs.resolve);
		}
		// The host may put a fifo or a device into the name's place: look first, then open what was looked at.
		const path = this.openPath();
		if (path < 0) return path;
		const fd = native.reopen(path, flags | O_NONBLOCK);
		native.close(path);
		return fd;
	}

	/** A descriptor to ask or change attributes through. `endAttribute` must follow. */
	private attributeFd(): number {
		if (this.isDirectory || this.directoryFd >= 0) return this.descriptor();
		const open = this.openFiles[0];
		if (open !== undefined) return open.hostFd;
		this.temporaryFd = this.openPath();
		return this.temporaryFd;
	}

	/** Closes what `attributeFd` has opened. */
	private endAttribute(): void {
		if (this.temporaryFd >= 0) native.close(this.temporaryFd);
		this.temporaryFd = -1;
	}

	/** Ends a change of attributes that gave `result`, and reads back what has become of them. */
	private changed(fd: number, result: number): number {
		if (result >= 0 && native.fstat(fd, hostStat) >= 0) this.load();
		this.endAttribute();
		return result;
	}

	// --- Attributes --------------------------------------------------------------------------------------------------

	/** Fills `hostStat` with this file's attributes. */
	private ask(): number {
		if (this.isDirectory || this.directoryFd >= 0) {
			const fd = this.descriptor();
			return fd < 0 ? fd : native.fstat(fd, hostStat);
		}
		const open = this.openFiles[0];
		if (open !== undefined) return native.fstat(open.hostFd, hostStat);
		if (this.parent === null) return -ENOENT;
		const parentFd = this.parent.descriptor();
		if (parentFd < 0) return parentFd;
		const error = native.fstatat(parentFd, this.name, hostStat);
		return error < 0 || this.isSameFile() ? error : -ENOENT;
	}

	override stat(out: Stat): number {
		const error = this.ask();
		if (error === -ENOENT) return this.statGone(out);
		if (error < 0) return error;
		this.load();
		fillStat(out, this.fs.dev);
		return 0;
	}

	/** As `stat`, with a descriptor of the file at hand. */
	statOpen(fd: number, out: Stat): number {
		const error = native.fstat(fd, hostStat);
		if (error < 0) return error;
		this.load();
		fillStat(out, this.fs.dev);
		return 0;
	}

	/** A file that was removed while somebody stood on it (a working directory, an O_PATH descriptor): what is known of it. */
	private statGone(out: Stat): number {
		hostStat.fill(0);
		hostStat[StatField.Ino] = this.ino;
		hostStat[StatField.Mode] = this.mode;
		hostStat[StatField.Uid] = this.uid;
		hostStat[StatField.Gid] = this.gid;
		hostStat[StatField.Rdev] = this.rdev;
		hostStat[StatField.Blksize] = 4096;
		hostStat[StatField.BtimeSec] = this.btimeSec;
		hostStat[StatField.BtimeNsec] = this.btimeNsec;
		fillStat(out, this.fs.dev);
		return 0;
	}

	override chmod(mode: number): number {
		if (this.fs.isReadOnly) return -EROFS;
		const fd = this.attributeFd();
		return fd < 0 ? fd : this.changed(fd, native.chmodFd(fd, mode & 0o7777));
	}

	override chown(uid: number, gid: number): number {
		if (this.fs.isReadOnly) return -EROFS;
		const fd = this.attributeFd();
		return fd < 0 ? fd : this.changed(fd, native.chownFd(fd, uid, gid));
	}

	override setTimes(times: Times): number {
		if (this.fs.isReadOnly) return -EROFS;
		const fd = this.attributeFd();
		return fd < 0 ? fd : this.changed(fd, native.utimensFd(fd, times.atimeSec, times.atimeNsec, times.mtimeSec, times.mtimeNsec));
	}

	override truncate(lengthBytes: number): number {
		if (this.isDirectory) return -EISDIR;
		if (!this.isRegular) return -EINVAL;
		const fd = this.openHost(O_WRONLY);
		if (fd < 0) return fd;
		const error = native.ftruncate(fd, lengthBytes);
		if (error >= 0 && native.fstat(fd, hostStat) >= 0) this.load();
		native.close(fd);
		return error;
	}

	/**
	 * What of extended attributes passes: user.* of files and directories; file capabilities can be read, so that set-capability programs of an image
	 * work, but not set, as they would count outside the sandbox too. trusted.* isn't there without CAP_SYS_ADMIN on the host, xattr(7).
	 */
	private checkXattr(name: string, isWrite: boolean): number {
		if (name.startsWith('user.')) {
			if ((this.mode & S_IFMT) === S_IFREG || (this.mode & S_IFMT) === S_IFDIR) return isWrite && this.fs.isReadOnly ? -EROFS : 0;
			return isWrite ? -EPERM : -ENODATA;
		}
		if (name === 'security.capability' && !isWrite) return 0;
		if (name.startsWith('security.') || name.startsWith('trusted.')) return isWrite ? -EPERM : -ENODATA;
		return -EOPNOTSUPP;
	}

	override getxattr(name: string): Uint8Array | number {
		const denied = this.checkXattr(name, false);
		if (denied < 0) return denied;
		const fd = this.attributeFd();
		if (fd < 0) return fd;
		const length = native.getxattrFd(fd, name, xattrBytes);
		this.endAttribute();
		return length < 0 ? length : Uint8Array.from(xattrBytes.subarray(0, length));
	}

	override setxattr(name: string, value: Uint8Array, flags: number): number {
		const denied = this.checkXattr(name, true);
		if (denied < 0) return denied;
		const fd = this.attributeFd();
		return fd < 0 ? fd : this.changed(fd, native.setxattrFd(fd, name, value, flags));
	}

	override listxattr(): readonly string[] | number {
		const fd = this.attributeFd();
		if (fd < 0) return fd;
		const length = native.listxattrFd(fd, xattrBytes);
		this.endAttribute();
		if (length < 0) return length === -EOPNOTSUPP ? [] : length;
		const names = xattrBytes.latin1Slice(0, length).split('\0');
		return names.filter((name) => name.startsWith('user.') || name === 'security.capability');
	}

	override removexattr(name: string): number {
		const denied = this.checkXattr(name, true);
		if (denied < 0) return denied;
		const fd = this.attributeFd();
		return fd < 0 ? fd : this.changed(fd, native.removexattrFd(fd, name));
	}

	// --- Directories ---------------------------------------------------------------------------------------------------

	override lookup(name: string, _task?: Task): HostInode | number {
		const fd = this.descriptor();
		if (fd < 0) return fd;
		const error = native.fstatat(fd, name, hostStat);
		return error < 0 ? error : this.fs.inodeOf(this, name);
	}

	override create(name: string, mode: number, uid: number, gid: number): Inode | number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const fd = native.openat2(directory, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, mode & 0o7777, this.fs.resolve);
		if (fd < 0) return fd;
		const error = finish(fd, mode, uid, gid);
		if (error < 0) {
			native.close(fd);
			native.unlinkat(directory, name, false);
			return error;
		}
		const inode = this.fs.inodeOf(this, name);
		this.fs.keepCreated(inode, fd);
		return inode;
	}

	override createUnnamed(mode: number, uid: number, gid: number): Inode | number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const fd = native.openat2(directory, '.', O_TMPFILE | O_RDWR, mode & 0o7777, this.fs.resolve);
		if (fd < 0) return fd;
		const error = finish(fd, mode, uid, gid);
		if (error < 0) {
			native.close(fd);
			return error;
		}
		const inode = new HostInode(this.fs, null, '');
		this.fs.inodes.set(inode.hostDev, inode.ino, inode);
		this.fs.keepCreated(inode, fd);
		return inode;
	}

	override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const error = native.mkdirat(directory, name, mode & 0o777);
		return error < 0 ? error : this.adopt(directory, name, mode, uid, gid, true);
	}

	override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): Inode | number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const error = native.mknodat(directory, name, mode, rdev);
		return error < 0 ? error : this.adopt(directory, name, mode, uid, gid, false);
	}

	override symlink(name: string, target: string, uid: number, gid: number): Inode | number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const error = native.symlinkat(target, directory, name);
		return error < 0 ? error : this.adopt(directory, name, -1, uid, gid, false);
	}

	/** The inode of an entry that was just made; mode -1 leaves it. An entry that can't be given its attributes is removed again. */
	private adopt(directory: number, name: string, mode: number, uid: number, gid: number, isDirectory: boolean): HostInode | number {
		const fd = native.openat2(directory, name, O_PATH | O_NOFOLLOW | (isDirectory ? O_DIRECTORY : 0), 0, this.fs.resolve);
		const error = fd < 0 ? fd : finish(fd, mode, uid, gid);
		if (error < 0) {
			if (fd >= 0) native.close(fd);
			native.unlinkat(directory, name, isDirectory);
			return error;
		}
		const inode = this.fs.inodeOf(this, name);
		if (isDirectory && inode.directoryFd < 0) {
			inode.directoryFd = fd;
			directoryDescriptors.add(inode);
		} else native.close(fd);
		return inode;
	}

	override link(name: string, inode: Inode): number {
		if (!(inode instanceof HostInode) || inode.fs !== this.fs) return -EXDEV;
		const source = inode.attributeFd();
		if (source < 0) return source;
		const directory = this.descriptor();
		if (directory < 0) {
			inode.endAttribute();
			return directory;
		}
		const error = inode.changed(source, native.linkFd(source, directory, name));
		if (error < 0) return error;
		inode.addName(this, name);
		return 0;
	}

	override unlink(name: string, inode: Inode): number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const error = native.unlinkat(directory, name, false);
		if (error >= 0 && inode instanceof HostInode) inode.unlinked(this, name);
		return error;
	}

	override rmdir(name: string, inode: Inode): number {
		const directory = this.descriptor();
		if (directory < 0) return directory;
		const error = native.unlinkat(directory, name, true);
		if (error < 0) return error;
		if (inode instanceof HostInode) inode.removed(this, name);
		return 0;
	}

	/** A directory was removed: its attributes are kept as they were last. */
	private removed(parent: HostInode, name: string): void {
		this.unlinked(parent, name);
		directoryDescriptors.close(this);
	}

	override rename(name: string, inode: Inode, newDirectory: Inode, newName: string, replaced: Inode | null, flags: number): number {
		if (!(newDirectory instanceof HostInode) || !(inode instanceof HostInode) || newDirectory.fs !== this.fs) return -EXDEV;
		const to = newDirectory.descriptor();
		if (to < 0) return to;
		const from = this.descriptor();
		if (from < 0) return from;
		// Opening the one may have closed the other, which then is the newest and stays.
		const error = native.renameat2(from, name, newDirectory.descriptor(), newName, flags);
		if (error < 0) return error;
		// Two names of one file: nothing happens, rename(2).
		if (inode === replaced) return 0;
		if (replaced instanceof HostInode) {
			if ((flags & RENAME_EXCHANGE) !== 0) replaced.moved(newDirectory, newName, this, name);
			else if (replaced.isDirectory) replaced.removed(newDirectory, newName);
			else replaced.unlinked(newDirectory, newName);
		}
		inode.moved(this, name, newDirectory, newName);
		return 0;
	}

	private moved(from: HostInode, name: string, to: HostInode, newName: string): void {
		this.dropName(from, name);
		this.addName(to, newName);
	}

	override readlink(_task?: Task): string | number {
		if (this.target !== null) return this.target;
		if (this.parent === null) return this.isSymlink ? -ENOENT : -EINVAL;
		const parentFd = this.parent.descriptor();
		if (parentFd < 0) return parentFd;
		const length = native.readlinkat(parentFd, this.name, linkText);
		if (length < 0) return length;
		if (length === PATH_MAX) return -ENAMETOOLONG;
		const target = linkText.latin1Slice(0, length);
		if (this.fs.isExclusive) this.target = target;
		return target;
	}

	// --- Opening -------------------------------------------------------------------------------------------------------

	/** Host fifos, sockets and devices are never opened: what stands behind such nodes is the guest kernel's. */
	override open(path: Path, flags: number, task: Task): FileDescription | number {
		if (this.isDirectory) return (flags & O_ACCMODE) === O_RDONLY ? new HostDirectory(path, this, flags) : -EISDIR;
		if (this.isSymlink) return -ELOOP;
		if (!this.isRegular) return openSpecial(this, this.rdev, path, flags, task);
		let fd = this.fs.takeCreated(this);
		// Access mode 3 asks for both rights and gives neither (open(2), NOTES).
		const access = (flags & O_ACCMODE) === O_ACCMODE ? O_RDWR : flags & O_ACCMODE;
		if (fd < 0 || (flags & (O_SYNC | O_DSYNC)) !== 0) {
			const created = fd;
			fd =
				created < 0 ? this.openHost(access | (flags & (O_SYNC | O_DSYNC))) : native.reopen(created, access | (flags & (O_SYNC | O_DSYNC)));
			if (created >= 0) native.close(created);
		}
		return fd < 0 ? fd : new HostFile(path, this, flags, fd);
	}

	/** A descriptor of the directory for reading entries; the caller's. */
	openEntries(): number {
		const fd = this.descriptor();
		return fd < 0 ? fd : native.openat2(fd, '.', O_RDONLY | O_DIRECTORY, 0, this.fs.resolve);
	}

	/** The tree of a noexec mount is a noexec mount of the host's itself: `isNoExec` needs nothing more. */
	override openForMapping(flags: number, _isNoExec: boolean): number {
		return this.isRegular ? this.openHost((flags & O_ACCMODE) === O_RDONLY ? O_RDONLY : O_RDWR) : -ENODEV;
	}

	override mappingKey(): string | null {
		return this.isRegular ? mappingKeyOf(this.hostDev, this.ino) : null;
	}
}

/** A parent is known by its number, as it may be renamed. */
function nameKey(parent: HostInode, name: string): string {
	return `${parent.ino}/${name}`;
}

/** Gives a new file its mode (-1 leaves it) and owner, whatever the host's umask and set-group-id rules made of them; fills `hostStat`. */
function finish(fd: number, mode: number, uid: number, gid: number): number {
	let error = native.fstat(fd, hostStat);
	if (error < 0) return error;
	const isForeign = hostStat[StatField.Uid] !== uid || hostStat[StatField.Gid] !== gid;
	if (isForeign) {
		error = native.chownFd(fd, uid, gid);
		if (error < 0) return error;
		// It may have cleared set-id bits.
		native.fstat(fd, hostStat);
	}
	if (mode === -1 || (hostStat[StatField.Mode]! & 0o7777) === (mode & 0o7777)) return 0;
	error = native.chmodFd(fd, mode & 0o7777);
	return error < 0 ? error : native.fstat(fd, hostStat);
}
