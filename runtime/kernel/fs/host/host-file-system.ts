import { native } from '../../../native.js';
import { RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from '../../abi/fcntl.js';
import { FileSystem } from '../../vfs/inode.js';
import { directoryDescriptors } from './directory-descriptors.js';
import { HostInode } from './host-inode.js';
import { hostStat, StatField } from './host-stat.js';
import { WeakInodes } from './weak-inodes.js';

const statfsNumbers = new Float64Array(10);

function magicOf(treeFd: number): number {
	return native.fstatfs(treeFd, statfsNumbers) < 0 ? 0 : statfsNumbers[0]!;
}

/**
 * A directory tree of the host's that this process was handed as a detached mount, idmapped so that its files' owners are the guest's ids. Every access
 * names one component relative to a directory's descriptor and follows no symlink: nothing in the tree leads out of it.
 *
 * What the process needs over the tree: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_CHOWN, CAP_FOWNER, CAP_FSETID; what of it a guest may use was checked above.
 */
export class HostFileSystem extends FileSystem {
	readonly root: HostInode;
	/** Who holds an inode of this tree finds it here. */
	readonly inodes = new WeakInodes<HostInode>();
	/** openat2(2) resolution of one component. */
	readonly resolve: number;
	/** A file that `create` or `createUnnamed` has just made and opened: the open that follows takes the descriptor over. Owned; -1 for none. */
	private createdFd = -1;
	private created: HostInode | null = null;

	constructor(
		/** O_PATH descriptor of the tree's root, a directory or a single file; owned by the file system from now on. */
		private treeFd: number,
		/** As /proc/mounts names it. */
		type: string,
		/** Nobody else changes the tree: look-ups are cached. False for bind mounts that the host writes to. */
		readonly isExclusive: boolean,
		/** The host's mount is read-only: attributes can't be changed, whatever the guest's mount says. */
		readonly isReadOnly = false,
		/** The tree has other host file systems mounted in it, which belong to it. */
		isRecursive = false,
	) {
		super(type, magicOf(treeFd));
		this.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | (isRecursive ? 0 : RESOLVE_NO_XDEV);
		// A descriptor of a directory that is open can be asked for its attributes; should it fail all the same, they are zeros and every access is refused.
		native.fstat(treeFd, hostStat);
		this.root = new HostInode(this, null, '');
		this.root.directoryFd = treeFd;
		this.inodes.set(this.root.hostDev, this.root.ino, this.root);
	}

	/** The inode of the entry `name` of `parent`, which `hostStat` tells of. Brings its attributes up to date. */
	inodeOf(parent: HostInode, name: string): HostInode {
		const dev = hostStat[StatField.Dev]!;
		const ino = hostStat[StatField.Ino]!;
		const known = this.inodes.get(dev, ino);
		if (known?.isSameFile()) {
			known.load();
			known.addName(parent, name);
			return known;
		}
		const inode = new HostInode(this, parent, name);
		this.inodes.set(dev, ino, inode);
		return inode;
	}

	/** Keeps the read-write descriptor of a new file for the open that comes next. */
	keepCreated(inode: HostInode, fd: number): void {
		if (this.createdFd >= 0) native.close(this.createdFd);
		this.createdFd = fd;
		this.created = inode;
	}

	/** Closes what `keepCreated` keeps: with it open, the host can't make the tree read-only. */
	forgetCreated(): void {
		if (this.createdFd >= 0) native.close(this.createdFd);
		this.createdFd = -1;
		this.created = null;
	}

	/** The descriptor that `keepCreated` kept for `inode`, now the caller's; -1 if there is none. */
	takeCreated(inode: HostInode): number {
		if (this.created !== inode) return -1;
		const fd = this.createdFd;
		this.createdFd = -1;
		this.created = null;
		return fd;
	}

	override statfs(out: Float64Array): number {
		return native.fstatfs(this.treeFd, out);
	}

	/** Every access by name is ENOENT from now on. */
	override dispose(): void {
		if (this.treeFd < 0) return;
		this.forgetCreated();
		this.root.directoryFd = -1;
		directoryDescriptors.closeAll(this);
		native.close(this.treeFd);
		this.treeFd = -1;
	}
}
