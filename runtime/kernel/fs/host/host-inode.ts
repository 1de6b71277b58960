import { native } from '../../../native.js';
import { EIO, ENODEV, ENOENT, ENXIO, EOPNOTSUPP } from '../../abi/errno.js';
import { O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_WRONLY, RENAME_EXCHANGE, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../../abi/fcntl.js';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat-constants.js';
import { openFifo } from '../../ipc/fifo.js';
import type { Task } from '../../task/task.js';
import type { FileDescription } from '../../vfs/file-description.js';
import { Inode, type Times } from '../../vfs/inode.js';
import type { Path } from '../../vfs/path.js';
import type { Stat } from '../../vfs/stat.js';
import { openDevice } from '../dev/devices.js';
import { HostDirectory } from './host-directory.js';
import { HostFile } from './host-file.js';
import { directoryFds, type HostFileSystem } from './host-file-system.js';

/** One component, nothing followed: what every look at the host's tree is resolved with. */
const RESOLVE_ONE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

const hostStat = new Float64Array(18);
const linkBuffer = Buffer.alloc(4096);
const xattrBuffer = Buffer.alloc(65536);

/**
 * A file of a host tree. It is known by one of its names (parent and component), through which the host is asked; while it is open its
 * descriptions' descriptors reach it even when it has no name any more.
 */
export class HostInode extends Inode {
	mode: number;
	uid: number;
	gid: number;
	private parent: HostInode | null;
	private name: string;
	/** Open descriptions, any of which has a descriptor of it. */
	private readonly descriptors = new Set<number>();
	private nlink: number;
	private target: string | null = null;

	constructor(
		readonly hostFs: HostFileSystem,
		stat: Float64Array,
		parent: HostInode | null,
		name: string,
	) {
		super(hostFs, stat[1]!);
		this.parent = parent;
		this.name = name;
		this.hostKey = HostInode.key(stat);
		this.hostDev = stat[0]!;
		this.mode = stat[2]!;
		this.nlink = stat[3]!;
		this.uid = stat[4]!;
		this.gid = stat[5]!;
		this.rdev = stat[6]!;
	}

	readonly hostKey: string;
	private readonly hostDev: number;
	private readonly rdev: number;

	static key(stat: Float64Array): string {
		return `${stat[0]}:${stat[1]}`;
	}

	static root(fs: HostFileSystem, treeFd: number): HostInode {
		native.fstat(treeFd, hostStat);
		const inode = new HostInode(fs, hostStat, null, '');
		inode.descriptors.add(treeFd);
		return inode;
	}

	update(stat: Float64Array): void {
		this.mode = stat[2]!;
		this.nlink = stat[3]!;
		this.uid = stat[4]!;
		this.gid = stat[5]!;
	}

	renamed(parent: HostInode, name: string): void {
		this.parent = parent;
		this.name = name;
	}

	// --- Reaching the host's file --------------------------------------------------------------------------------

	/** A descriptor of the directory: kept for a while, not the caller's to close. */
	directoryFd(): number {
		for (const fd of this.descriptors) return fd;
		const kept = directoryFds.get(this);
		if (kept >= 0) return kept;
		const fd = this.openHost(O_PATH | O_DIRECTORY);
		if (fd >= 0) directoryFds.add(this, fd);
		return fd;
	}

	/** Opens it by its name, or again from an open descriptor; the caller's to close. */
	openHost(flags: number): number {
		for (const fd of this.descriptors) {
			// A tree's root and files without a name are reached through what is open.
			if (this.parent === null || this.nlink === 0) return native.reopen(fd, flags | O_CLOEXEC);
		}
		if (this.parent === null) return -ENOENT;
		const parentFd = this.parent.directoryFd();
		if (parentFd < 0) return parentFd;
		return native.openat2(parentFd, this.name, flags | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_ONE);
	}

	/** Runs `use` with a descriptor that names the file (O_PATH will do). */
	private withFd(use: (fd: number) => number): number {
		for (const fd of this.descriptors) return use(fd);
		if (this.isDirectory) {
			const fd = this.directoryFd();
			return fd < 0 ? fd : use(fd);
		}
		const fd = this.openHost(O_PATH);
		if (fd < 0) return fd;
		const result = use(fd);
		native.close(fd);
		return result;
	}

	/** A description's descriptor is open (or closed): see `descriptors`. */
	attach(fd: number): void {
		this.descriptors.add(fd);
	}
	detach(fd: number): void {
		this.descriptors.delete(fd);
	}

	private refresh(): number {
		for (const fd of this.descriptors) return native.fstat(fd, hostStat);
		if (this.parent === null) return -ENOENT;
		if (this.isDirectory) {
			const fd = this.directoryFd();
			return fd < 0 ? fd : native.fstat(fd, hostStat);
		}
		const parentFd = this.parent.directoryFd();
		return parentFd < 0 ? parentFd : native.fstatat(parentFd, this.name, hostStat);
	}

	override stat(out: Stat): number {
		const error = this.refresh();
		if (error < 0) return error;
		this.update(hostStat);
		out.dev = this.fs.dev;
		out.ino = hostStat[1]!;
		out.mode = hostStat[2]!;
		out.nlink = hostStat[3]!;
		out.uid = hostStat[4]!;
		out.gid = hostStat[5]!;
		out.rdev = hostStat[6]!;
		out.sizeBytes = hostStat[7]!;
		out.blockSizeBytes = hostStat[8]!;
		out.blocks = hostStat[9]!;
		out.atimeSec = hostStat[10]!;
		out.atimeNsec = hostStat[11]!;
		out.mtimeSec = hostStat[12]!;
		out.mtimeNsec = hostStat[13]!;
		out.ctimeSec = hostStat[14]!;
		out.ctimeNsec = hostStat[15]!;
		out.btimeSec = hostStat[16]!;
		out.btimeNsec = hostStat[17]!;
		return 0;
	}

	// --- Directories -----------------------------------------------------------------------------------------------

	override lookup(name: string): Inode | number {
		const fd = this.directoryFd();
		if (fd < 0) return fd;
		const error = native.fstatat(fd, name, hostStat);
		return error < 0 ? error : this.hostFs.inode(hostStat, this, name);
	}

	/** The inode of an entry that was just made, given to its owner. */
	private made(directoryFd: number, name: string, mode: number | null, uid: number, gid: number): Inode | number {
		const error = native.fstatat(directoryFd, name, hostStat);
		if (error < 0) return error;
		const inode = this.hostFs.inode(hostStat, this, name);
		inode.target = null;
		if (inode.uid !== uid || inode.gid !== gid) inode.chown(uid, gid);
		if (mode !== null && (inode.mode & 0o7777) !== mode) inode.chmod(mode);
		return inode;
	}

	override create(name: string, mode: number, uid: number, gid: number): Inode | number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const fd = native.openat2(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode, RESOLVE_ONE);
		if (fd < 0) return fd;
		native.close(fd);
		return this.made(directory, name, mode, uid, gid);
	}

	override createUnnamed(mode: number, uid: number, gid: number): Inode | number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const fd = native.openat2(directory, '.', O_TMPFILE | O_RDWR | O_CLOEXEC, mode, RESOLVE_BENEATH);
		if (fd < 0) return fd;
		native.fstat(fd, hostStat);
		const inode = new HostInode(this.hostFs, hostStat, this, '');
		inode.nlink = 0;
		inode.attach(fd);
		inode.unnamedFd = fd;
		if (uid !== inode.uid || gid !== inode.gid) inode.chown(uid, gid);
		return inode;
	}

	/** The descriptor that keeps an O_TMPFILE alive until its first description takes over. */
	private unnamedFd = -1;

	override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const error = native.mkdirat(directory, name, mode & 0o777);
		return error < 0 ? error : this.made(directory, name, mode, uid, gid);
	}

	override mknod(name: string, mode: number, rdev: number, uid: number, gid: number): Inode | number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const error = native.mknodat(directory, name, mode, rdev);
		return error < 0 ? error : this.made(directory, name, mode & 0o7777, uid, gid);
	}

	override symlink(name: string, target: string, uid: number, gid: number): Inode | number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const error = native.symlinkat(target, directory, name);
		return error < 0 ? error : this.made(directory, name, null, uid, gid);
	}

	override link(name: string, inode: Inode): number {
		if (!(inode instanceof HostInode)) return -EOPNOTSUPP;
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const error = inode.withFd((fd) => native.linkFd(fd, directory, name));
		if (error < 0) return error;
		inode.nlink++;
		if (inode.name === '') inode.renamed(this, name);
		return 0;
	}

	override unlink(name: string, inode: Inode): number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		// A file that has no other name and isn't open can't be reached after this; one that is open keeps its descriptors.
		const error = native.unlinkat(directory, name, false);
		if (error >= 0 && inode instanceof HostInode) inode.lostName();
		return error;
	}

	override rmdir(name: string, inode: Inode): number {
		const directory = this.directoryFd();
		if (directory < 0) return directory;
		const error = native.unlinkat(directory, name, true);
		if (error >= 0 && inode instanceof HostInode) {
			inode.nlink = 0;
			this.hostFs.forget(inode);
		}
		return error;
	}

	private lostName(): void {
		this.nlink--;
		if (this.nlink <= 0) {
			this.nlink = 0;
			this.hostFs.forget(this);
		}
	}

	override rename(name: string, inode: Inode, newDirectory: Inode, newName: string, replaced: Inode | null, flags: number): number {
		if (!(newDirectory instanceof HostInode) || !(inode instanceof HostInode)) return -EIO;
		const from = this.directoryFd();
		const to = newDirectory.directoryFd();
		if (from < 0) return from;
		if (to < 0) return to;
		const error = native.renameat2(from, name, to, newName, flags);
		if (error < 0) return error;
		inode.renamed(newDirectory, newName);
		if (replaced instanceof HostInode) {
			if ((flags & RENAME_EXCHANGE) !== 0) replaced.renamed(this, name);
			else if (replaced.isDirectory) replaced.lostDirectory();
			else replaced.lostName();
		}
		return 0;
	}

	private lostDirectory(): void {
		this.nlink = 0;
		this.hostFs.forget(this);
	}

	// --- Symlinks ----------------------------------------------------------------------------------------------------

	override readlink(): string | number {
		if (this.target !== null && this.fs.isExclusive) return this.target;
		const parentFd = this.parent?.directoryFd() ?? -ENOENT;
		if (parentFd < 0) return parentFd;
		const length = native.readlinkat(parentFd, this.name, linkBuffer);
		if (length < 0) return length;
		this.target = linkBuffer.latin1Slice(0, length);
		return this.target;
	}

	// --- Attributes ----------------------------------------------------------------------------------------------------

	override chmod(mode: number): number {
		const error = this.withFd((fd) => native.chmodFd(fd, mode & 0o7777));
		if (error >= 0) this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
		return error;
	}

	override chown(uid: number, gid: number): number {
		const error = this.withFd((fd) => native.chownFd(fd, uid, gid));
		if (error < 0) return error;
		if (uid !== -1) this.uid = uid;
		if (gid !== -1) this.gid = gid;
		// The host clears set-id bits by its own rules; the guest kernel's are applied above, on what it reads here.
		if ((this.mode & S_IFMT) === S_IFREG) this.mode &= ~0o6000;
		return 0;
	}

	override truncate(lengthBytes: number): number {
		const fd = this.openHost(O_WRONLY | O_NONBLOCK);
		if (fd < 0) return fd;
		const error = native.ftruncate(fd, lengthBytes);
		native.close(fd);
		return error;
	}

	override setTimes(times: Times): number {
		return this.withFd((fd) => native.utimensFd(fd, times.atimeSec, times.atimeNsec, times.mtimeSec, times.mtimeNsec));
	}

	override getxattr(name: string): Uint8Array | number {
		const length = this.withFd((fd) => native.getxattrFd(fd, name, xattrBuffer));
		return length < 0 ? length : xattrBuffer.subarray(0, length);
	}
	override setxattr(name: string, value: Uint8Array, flags: number): number {
		return this.withFd((fd) => native.setxattrFd(fd, name, value, flags));
	}
	override listxattr(): readonly string[] | number {
		const length = this.withFd((fd) => native.listxattrFd(fd, xattrBuffer));
		if (length < 0) return length;
		const names = xattrBuffer.latin1Slice(0, length).split('\0');
		return names.filter((name) => name.startsWith('user.'));
	}
	override removexattr(name: string): number {
		return this.withFd((fd) => native.removexattrFd(fd, name));
	}

	// --- Opening -----------------------------------------------------------------------------------------------------------

	/** Host fifos, sockets and devices are never opened: the guest kernel has its own. */
	override open(path: Path, flags: number, task: Task): FileDescription | number {
		switch (this.mode & S_IFMT) {
			case S_IFREG: {
				const fd = this.openHost((flags & O_ACCMODE) | O_NONBLOCK);
				if (fd < 0) return fd;
				if (this.unnamedFd >= 0) {
					this.detach(this.unnamedFd);
					native.close(this.unnamedFd);
					this.unnamedFd = -1;
				}
				return new HostFile(path, this, flags, fd);
			}
			case S_IFDIR: {
				const fd = this.openHost(O_RDONLY | O_DIRECTORY);
				return fd < 0 ? fd : new HostDirectory(path, this, flags, fd);
			}
			case S_IFIFO:
				return openFifo(this, path, this, flags, task);
			case S_IFCHR:
			case S_IFBLK:
				return openDevice(this.rdev, path, this, flags, task);
			case S_IFLNK:
				return -EIO;
			default:
				return -ENXIO;
		}
	}

	override openForMapping(flags: number): number {
		return this.isRegular ? this.openHost((flags & O_ACCMODE) | O_NONBLOCK) : -ENODEV;
	}

	override mappingKey(): string | null {
		if (!this.isRegular) return null;
		const major = (this.hostDev >>> 8) & 0xfff;
		const minor = (this.hostDev & 0xff) | ((this.hostDev >>> 12) & 0xfff00);
		return `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')} ${this.ino}`;
	}
}
