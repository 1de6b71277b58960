import { EINVAL, ENODATA, ENOTDIR, ENOTTY, EOPNOTSUPP, EPERM, EROFS } from '../abi/errno.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat-constants.js';
import type { Task } from '../task/task.js';
import type { FileDescription } from './file-description.js';
import type { FileLocks } from './file-locks.js';
import { FileState } from './file-state.js';
import type { Path } from './path.js';
import type { Stat } from './stat.js';
import type { Watch } from './watches.js';

/** A mounted file system's own state (Linux: super_block). One instance may be mounted in several places. */
export abstract class FileSystem {
	/** st_dev of its files: an anonymous device number, unique in the sandbox. */
	readonly dev: number = nextAnonymousDev++;
	/** MS_* bits that hold for all of its mounts: mount(2) and MS_REMOUNT without MS_BIND. */
	superFlags = 0;
	/** Mounts of it that stand somewhere. */
	mountCount = 0;
	/** Names that path walks have cached since the cache was last looked through, and were left then. */
	cachedNames = 0;

	constructor(
		/** As /proc/mounts names it: "ext4", "tmpfs", "proc". */
		readonly type: string,
		/** f_type of statfs(2). */
		readonly magic: number,
	) {}

	/** The root directory's inode. */
	abstract readonly root: Inode;

	/**
	 * True when nobody but this sandbox changes the tree, so that a directory entry once looked up stays true until the sandbox changes it.
	 * False makes the path walk ask `lookup` again each time (proc; bind mounts that the host writes to).
	 */
	abstract readonly isExclusive: boolean;

	/** statfs(2) numbers, in the order of native `fstatfs`: type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize, flags. */
	statfs(out: Float64Array): number {
		out.fill(0);
		out[0] = this.magic;
		out[1] = out[8] = 4096;
		out[7] = 255;
		return 0;
	}

	/** sync(2), syncfs(2). */
	sync(): number {
		return 0;
	}

	/** Nobody has it mounted any more: gives back what it holds of the host. Open files keep what they need until they are closed. */
	dispose(): void {}
}

let nextAnonymousDev = 0x20;

/** What utimensat(2) sets. nsec may be UTIME_NOW or UTIME_OMIT. */
export interface Times {
	atimeSec: number;
	atimeNsec: number;
	mtimeSec: number;
	mtimeNsec: number;
}

/**
 * A file of any type (Linux: inode). Names are byte strings (latin1). Methods return 0 (or a value) or a negative errno.
 * Permission of the caller and read-only mounts were checked before a method runs; the inode checks what is its own nature (type, emptiness).
 */
export abstract class Inode {
	constructor(
		readonly fs: FileSystem,
		/** st_ino, unique within `fs`. */
		readonly ino: number,
	) {}

	/** File type and permission bits, owner: what permission checks read. Must be current when `stat` or a check runs: `refresh` sees to it. */
	abstract mode: number;
	abstract uid: number;
	abstract gid: number;

	/** Made when there is something to keep in it. `findState` knows of another inode's of the same file. */
	protected state: FileState | null = null;

	/** The file's state; null when it has none yet. */
	findState(): FileState | null {
		return this.state;
	}

	/** The file's state, made now if it has none. */
	takeState(): FileState {
		this.state ??= new FileState();
		return this.state;
	}

	get watches(): readonly Watch[] | null {
		return this.findState()?.watches ?? null;
	}
	set watches(watches: readonly Watch[] | null) {
		this.takeState().watches = watches;
	}

	get locks(): FileLocks | null {
		return this.findState()?.locks ?? null;
	}
	set locks(locks: FileLocks | null) {
		this.takeState().locks = locks;
	}

	/** Has any description of it been opened and not closed? For files that can lose their last name. */
	get isOpen(): boolean {
		return false;
	}

	/** Made by O_TMPFILE with O_EXCL: never gets a name. */
	isNameless = false;

	get type(): number {
		return this.mode & S_IFMT;
	}
	get isDirectory(): boolean {
		return (this.mode & S_IFMT) === S_IFDIR;
	}
	get isSymlink(): boolean {
		return (this.mode & S_IFMT) === S_IFLNK;
	}
	get isRegular(): boolean {
		return (this.mode & S_IFMT) === S_IFREG;
	}

	/** Fills every field but mountId. */
	abstract stat(out: Stat): number;

	// --- Directories -------------------------------------------------------------------------------------------

	/** The inode `name` leads to; -ENOENT. Never "." or "..". */
	lookup(_name: string, _task: Task): Inode | number {
		return -ENOTDIR;
	}

	/** Creates a regular file that doesn't exist yet, owned by `uid`/`gid`; mode is final (umask applied). */
	create(_name: string, _mode: number, _uid: number, _gid: number): Inode | number {
		return -EROFS;
	}

	/** Creates a file without a name in this directory's file system (O_TMPFILE). */
	createUnnamed(_mode: number, _uid: number, _gid: number): Inode | number {
		return -EOPNOTSUPP;
	}

	mkdir(_name: string, _mode: number, _uid: number, _gid: number): Inode | number {
		return -EROFS;
	}

	/** Fifo, socket, or device node. */
	mknod(_name: string, _mode: number, _rdev: number, _uid: number, _gid: number): Inode | number {
		return -EROFS;
	}

	symlink(_name: string, _target: string, _uid: number, _gid: number): Inode | number {
		return -EROFS;
	}

	/** Makes `name` another name of `inode`, which is of the same file system and no directory. */
	link(_name: string, _inode: Inode): number {
		return -EPERM;
	}

	/** Removes a name that leads to `inode` (no directory). */
	unlink(_name: string, _inode: Inode): number {
		return -EROFS;
	}

	/** Removes an empty directory; -ENOTEMPTY. */
	rmdir(_name: string, _inode: Inode): number {
		return -EROFS;
	}

	/** rename within one file system; flags RENAME_NOREPLACE/EXCHANGE. `replaced` is what `newName` led to, or null. */
	rename(_name: string, _inode: Inode, _newDirectory: Inode, _newName: string, _replaced: Inode | null, _flags: number): number {
		return -EROFS;
	}

	// --- Symlinks ------------------------------------------------------------------------------------------------

	/** The link's text. */
	readlink(_task: Task): string | number {
		return -EINVAL;
	}

	/** Where a magic link (/proc/PID/fd/N, exe, cwd, root) leads, whatever its text says; null for an ordinary one. -errno: it can't be followed. */
	jump(_task: Task): Path | null | number {
		return null;
	}

	// --- Attributes --------------------------------------------------------------------------------------------

	chmod(_mode: number): number {
		return -EPERM;
	}
	/** -1 leaves an id. */
	chown(_uid: number, _gid: number): number {
		return -EPERM;
	}
	truncate(_lengthBytes: number): number {
		return -EINVAL;
	}
	setTimes(_times: Times): number {
		return -EPERM;
	}
	/** The value, or -ENODATA, -EOPNOTSUPP. */
	getxattr(_name: string): Uint8Array | number {
		return -EOPNOTSUPP;
	}
	setxattr(_name: string, _value: Uint8Array, _flags: number): number {
		return -EOPNOTSUPP;
	}
	listxattr(): readonly string[] | number {
		return [];
	}
	removexattr(_name: string): number {
		return -ENODATA;
	}

	// --- Opening -----------------------------------------------------------------------------------------------

	/**
	 * Opens it: a new file description with one reference, or -errno; `BLOCKED` where Linux blocks in open (fifos).
	 * `flags` are open(2)'s without O_CREAT, O_EXCL, O_CLOEXEC; O_TRUNC was done.
	 */
	abstract open(path: Path, flags: number, task: Task): FileDescription | number;

	/**
	 * A host descriptor that can be lent for mapping this inode, opened with the rights `flags` has (O_RDONLY or O_RDWR); owned by the caller,
	 * who closes it. -ENODEV: not mappable. `isNoExec`: from a noexec mount.
	 */
	openForMapping(_flags: number, _isNoExec: boolean): number {
		return -ENOTTY;
	}

	/** Host device and inode number of what `openForMapping` gives, as /proc/PID/maps writes them ("fe:00 1234"), for naming mappings; null if it isn't mappable. */
	mappingKey(): string | null {
		return null;
	}
}
