import type { PassedDescriptors } from './passed-descriptors.js';
import type { SocketCredentials } from './socket-credentials.js';

/** What send and receive calls carry beside the bytes. A handler sets it up, a socket uses it up, nobody keeps it. */
export class SocketMessage {
	/** MSG_* that the caller gave. */
	flags = 0;
	/** MSG_* that the message comes out with: MSG_TRUNC, MSG_CTRUNC. */
	outFlags = 0;
	/** To be sent, or received. Who finds it set when the call is over disposes of it. */
	rights: PassedDescriptors | null = null;
	/** Where to send to, or who sent: a socket address in the guest's layout; null for the connected peer. */
	address: Uint8Array | null = null;
	/** SCM_CREDENTIALS: what the sender says of itself, or what the receiver is told. */
	credentials: SocketCredentials | null = null;
	/** Control messages of a host socket, as they lie in memory: to be sent, or received (a view, valid until the next call). */
	control: Uint8Array | null = null;
	/** Bytes of control messages that the receiver has room for. */
	controlRoom = 0;

	begin(flags: number): this {
		this.flags = flags;
		this.outFlags = this.controlRoom = 0;
		this.rights = this.address = this.credentials = this.control = null;
		return this;
	}

	/** Descriptors that are left over are closed. */
	end(): void {
		this.rights?.dispose();
		this.rights = null;
	}
}

/** The one message: the kernel has one thread. */
export const socketMessage = new SocketMessage();
