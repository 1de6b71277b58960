import type { Credentials } from '../task/credentials.js';

/** Who sent a message, or made a connection (struct ucred, unix(7)). Ids are those of the container's users. */
export interface SocketCredentials {
	/** As the sandbox process sees it; 0 for nobody. */
	readonly pid: number;
	readonly uid: number;
	readonly gid: number;
}

/** Who asked for a connection or answers one: SO_PEERCRED and SO_PEERGROUPS. */
export interface PeerCredentials extends SocketCredentials {
	readonly groups: readonly number[];
}

/** What a receiver sees of a message that came without credentials. */
export const NO_CREDENTIALS: SocketCredentials = { pid: 0, uid: 65534, gid: 65534 };

export function peerCredentialsOf(pid: number, { euid, egid, groups }: Credentials): PeerCredentials {
	return { pid, uid: euid, gid: egid, groups };
}

/** Are two messages of one stream from the same sender? */
export function isSameSender(one: SocketCredentials | null, other: SocketCredentials | null): boolean {
	return one === other || (one !== null && other !== null && one.pid === other.pid && one.uid === other.uid && one.gid === other.gid);
}
