import { totalmem } from 'node:os';
import { native } from '../../../native.js';
import { ENFILE, EPERM } from '../../abi/errno.js';
import { F_SEAL_EXEC, MFD_NOEXEC_SEAL, O_LARGEFILE, O_RDWR } from '../../abi/fcntl.js';
import { PAGE_SIZE } from '../../abi/limits.js';
import { S_IFREG } from '../../abi/stat-constants.js';
import { bounds } from '../../bounds.js';
import { anonymousPath } from '../../vfs/anonymous-path.js';
import { sharedStat } from '../../vfs/stat.js';
import { TmpFile } from './tmp-file.js';
import { TmpFileSystem } from './tmp-file-system.js';
import { TmpRegular } from './tmp-regular.js';

const X_BITS = 0o111;

/** Where they live (Linux: shm_mnt): mounted nowhere. What is written through calls is bounded; what is written through mappings is the pod's memory. */
let memoryFileSystem: TmpFileSystem | null = null;

function theFileSystem(): TmpFileSystem {
	memoryFileSystem ??= new TmpFileSystem({ sizeBytes: totalmem() / 2, inodes: bounds.memoryFiles + 1, mode: 0o755, uid: 0, gid: 0 });
	return memoryFileSystem;
}

/**
 * A file of memfd_create(2), or a System V segment: a file of a tmpfs that never had a name, in a memory file of the host's from its start on. Seals are the
 * host's, so that they hold for guests' mappings, too.
 */
export class MemoryFile extends TmpRegular {
	private constructor(
		mode: number,
		uid: number,
		gid: number,
		private readonly name: string,
		private readonly memfdFlags: number,
	) {
		super(theFileSystem(), mode, uid, gid);
		this.nlink = 0;
	}

	/** A new one, empty and not open; `release` it if it stays so. -errno: ENFILE (too many), and the host's. `memfdFlags` are MFD_*. */
	static create(name: string, memfdFlags: number, mode: number, uid: number, gid: number): MemoryFile | number {
		if (!theFileSystem().reserveInode()) return -ENFILE;
		const file = new MemoryFile(S_IFREG | mode, uid, gid, name, memfdFlags);
		const fd = file.memoryFd();
		if (fd >= 0) return file;
		file.release();
		return fd;
	}

	/** Nobody has it open, nor will. */
	release(): void {
		this.freeIfUnused();
	}

	protected override createMemory(): number {
		return native.memfdCreate(this.name, this.memfdFlags);
	}

	/** A description with all rights. */
	openNew(text: string): TmpFile {
		return new TmpFile(anonymousPath(this, text), this, O_RDWR | O_LARGEFILE, false);
	}

	/** Bytes that it takes in memory, those written through mappings included. */
	get residentBytes(): number {
		this.stat(sharedStat);
		return this.pages * PAGE_SIZE;
	}

	override get seals(): number {
		return native.getSeals(this.memoryFd());
	}
	override addSeals(seals: number): number {
		return native.addSeals(this.memoryFd(), seals);
	}

	/** The host's file has the same mode: F_SEAL_EXEC looks at it. Errors: EPERM (sealed). */
	override chmod(mode: number): number {
		if (((this.mode ^ mode) & X_BITS) !== 0 && (this.seals & F_SEAL_EXEC) !== 0) return -EPERM;
		const error = native.chmodFd(this.memoryFd(), mode & 0o777);
		return error < 0 ? error : super.chmod(mode);
	}
}

/** Permission bits of a new memfd. */
export function memfdMode(memfdFlags: number): number {
	return (memfdFlags & MFD_NOEXEC_SEAL) !== 0 ? 0o666 : 0o777;
}
