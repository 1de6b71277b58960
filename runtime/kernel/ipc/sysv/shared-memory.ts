import { PAGE_SIZE } from '../../abi/limits.js';
import { SHM_DEST } from '../../abi/sysv.js';
import { realSeconds } from '../../event/clocks.js';
import type { MemoryFile } from '../../fs/tmpfs/memory-file.js';
import type { Credentials } from '../../task/credentials.js';
import { scratchView } from '../../trap/guest-memory.js';
import { IPC_PERM_BYTES, IpcObject, put64 } from './ipc-object.js';

/** shmmax and shmall: bytes of one segment, pages of all. Pages that nobody has touched cost nothing; the others are the pod's memory. */
export const SHMMAX = 2 ** 46;
export const SHMALL = 2 ** 34;
const SHMID_BYTES = 112;

/** A shared memory segment, shmget(2): a memory file that processes map. */
export class SharedMemory extends IpcObject {
	attachCount = 0;
	atimeSec = 0;
	dtimeSec = 0;
	/** Who attached or detached last. */
	lastPid = 0;
	private isReleased = false;

	constructor(
		key: number,
		flags: number,
		credentials: Credentials,
		readonly sizeBytes: number,
		/** Owned. */
		readonly file: MemoryFile,
		readonly creatorPid: number,
	) {
		super(key, flags, credentials);
	}

	get pages(): number {
		return Math.ceil(this.sizeBytes / PAGE_SIZE);
	}
	/** IPC_RMID was called: it goes with its last mapping. */
	get isDoomed(): boolean {
		return (this.mode & SHM_DEST) !== 0;
	}

	attached(pid: number): void {
		this.attachCount++;
		this.atimeSec = realSeconds();
		this.lastPid = pid;
	}

	detached(pid: number): void {
		this.attachCount--;
		this.dtimeSec = realSeconds();
		this.lastPid = pid;
	}

	release(): void {
		if (!this.isReleased) this.file.release();
		this.isReleased = true;
	}

	override encode(): number {
		this.encodePermissions(SHMID_BYTES);
		put64(IPC_PERM_BYTES, this.sizeBytes);
		put64(IPC_PERM_BYTES + 8, this.atimeSec);
		put64(IPC_PERM_BYTES + 16, this.dtimeSec);
		put64(IPC_PERM_BYTES + 24, this.ctimeSec);
		scratchView.setInt32(IPC_PERM_BYTES + 32, this.creatorPid, true);
		scratchView.setInt32(IPC_PERM_BYTES + 36, this.lastPid, true);
		put64(IPC_PERM_BYTES + 40, this.attachCount);
		return SHMID_BYTES;
	}
}
