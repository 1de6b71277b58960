import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from '../../abi/capability-numbers.js';
import { realSeconds } from '../../event/clocks.js';
import { type Credentials, hasCapability } from '../../task/credentials.js';
import { scratch, scratchView } from '../../trap/guest-memory.js';

/** Bytes of a struct ipc64_perm. */
export const IPC_PERM_BYTES = 48;

const PERMISSIONS = 0o777;
const OWNER_SHIFT = 6;
const GROUP_SHIFT = 3;

/** What segments, sets and queues have in common (Linux: struct kern_ipc_perm). */
export abstract class IpcObject {
	/** Given by its table. */
	id = -1;
	uid: number;
	gid: number;
	readonly cuid: number;
	readonly cgid: number;
	mode: number;
	/** Creation or last change, seconds since 1970. */
	ctimeSec = realSeconds();
	/** IPC_RMID was called: who waits gets EIDRM. */
	isRemoved = false;

	constructor(
		/** IPC_PRIVATE: found by its id alone. */
		public key: number,
		flags: number,
		credentials: Credentials,
	) {
		this.mode = flags & PERMISSIONS;
		this.uid = this.cuid = credentials.euid;
		this.gid = this.cgid = credentials.egid;
	}

	/** May it be used so? `flags` holds the bits asked for, for owner, group and others alike (ipc/util.c, ipcperms). */
	allows(credentials: Credentials, flags: number): boolean {
		const wanted = (flags >> OWNER_SHIFT) | (flags >> GROUP_SHIFT) | flags;
		let granted = this.mode;
		if (credentials.euid === this.cuid || credentials.euid === this.uid) granted >>= OWNER_SHIFT;
		else if (isInEither(credentials, this.cgid, this.gid)) granted >>= GROUP_SHIFT;
		return (wanted & ~granted & 7) === 0 || hasCapability(credentials, CAP_IPC_OWNER);
	}

	/** May its owner be changed, or it be removed? */
	isOwnedBy(credentials: Credentials): boolean {
		return credentials.euid === this.cuid || credentials.euid === this.uid || hasCapability(credentials, CAP_SYS_ADMIN);
	}

	/** IPC_SET: owner and permission bits from the struct ipc64_perm in the scratch buffer. */
	set(): void {
		this.uid = scratchView.getUint32(4, true);
		this.gid = scratchView.getUint32(8, true);
		this.mode = (this.mode & ~PERMISSIONS) | (scratchView.getUint32(20, true) & PERMISSIONS);
		this.ctimeSec = realSeconds();
	}

	/** Encodes the struct ipc64_perm at the head of a structure of `bytes` in the scratch buffer; the rest is zeros. */
	protected encodePermissions(bytes: number): void {
		scratch.fill(0, 0, bytes);
		scratchView.setInt32(0, this.key, true);
		scratchView.setUint32(4, this.uid, true);
		scratchView.setUint32(8, this.gid, true);
		scratchView.setUint32(12, this.cuid, true);
		scratchView.setUint32(16, this.cgid, true);
		scratchView.setUint32(20, this.mode, true);
		scratchView.setUint16(24, this.id >>> 15, true);
	}

	/** Encodes what IPC_STAT tells into the scratch buffer: bytes. */
	abstract encode(): number;
}

function isInEither(credentials: Credentials, first: number, second: number): boolean {
	const { egid, groups } = credentials;
	return egid === first || egid === second || groups.includes(first) || groups.includes(second);
}

/** Stores a number of 64 bits in the scratch buffer. */
export function put64(at: number, value: number): void {
	scratchView.setUint32(at, value % 0x1_0000_0000, true);
	scratchView.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}
