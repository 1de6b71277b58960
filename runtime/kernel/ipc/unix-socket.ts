import { EAGAIN, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, EMSGSIZE, ENOTCONN, ENOTTY, EOPNOTSUPP, EPIPE } from '../abi/errno.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../abi/poll-constants.js';
import { SIGPIPE } from '../abi/signal-numbers.js';
import {
	AF_UNIX,
	AF_UNSPEC,
	MSG_NOSIGNAL,
	MSG_OOB,
	MSG_PEEK,
	MSG_TRUNC,
	MSG_WAITALL,
	SHUT_RD,
	SHUT_WR,
	SO_PEERCRED,
	SOCK_DGRAM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
	SOCKADDR_UN_BYTES,
	SOL_SOCKET,
	SUN_PATH,
} from '../abi/socket-constants.js';
import type { Task } from '../task/task.js';
import { copyOutInt, type IoVector } from '../trap/guest-memory.js';
import { pathWalk, WALK_FOLLOW } from '../vfs/path-walk.js';
import { checkPermission, MAY_WRITE } from '../vfs/permission.js';
import { Socket } from './socket.js';
import type { SocketMessage } from './socket-message.js';
import { SocketQueue } from './socket-queue.js';

const SIOCINQ = 0x541b;
const SIOCOUTQ = 0x5411;
/** A datagram has to leave this much of the send buffer (net/unix/af_unix.c, unix_dgram_sendmsg). */
const DATAGRAM_RESERVE = 32;
const RECEIVE_SHUTDOWN = 1;
const SEND_SHUTDOWN = 2;
const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;
/** The address of a socket without a name: its family alone. */
const UNNAMED = new Uint8Array([AF_UNIX, 0]);

/** Who made a socket pair: SO_PEERCRED. */
interface PeerCredentials {
	/** As the sandbox process sees it. */
	readonly pid: number;
	readonly euid: number;
	readonly egid: number;
}

/**
 * A socket of the guest's own, unix(7): stream, seqpacket or datagram. Sockets get peers by socketpair(2) alone so far; one that has none answers
 * as Linux's does while nothing is bound anywhere.
 */
export class UnixSocket extends Socket {
	private readonly queue = new SocketQueue(0);
	/** What it sends to. A stream keeps a peer that is closed, a datagram socket until it finds out. */
	private peer: UnixSocket | null = null;
	/** SEND_SHUTDOWN, RECEIVE_SHUTDOWN. */
	private shut = 0;
	private isClosed = false;
	private peerCredentials: PeerCredentials | null = null;

	constructor(task: Task, type: number, statusFlags: number) {
		super(task, AF_UNIX, type, 0, statusFlags);
	}

	/** Makes two fresh sockets each other's peers, on behalf of `task`. */
	static join(task: Task, first: UnixSocket, second: UnixSocket): void {
		first.peer = second;
		second.peer = first;
		first.queue.capacity = second.sendBufferBytes;
		second.queue.capacity = first.sendBufferBytes;
		const { euid, egid } = task.credentials;
		first.peerCredentials = second.peerCredentials = { pid: task.group.pid, euid, egid };
	}

	private get isStream(): boolean {
		return this.socketType === SOCK_STREAM;
	}
	private get isDatagram(): boolean {
		return this.socketType === SOCK_DGRAM;
	}

	protected override close(): void {
		const { peer, isDatagram } = this;
		const hasUnread = !this.queue.isEmpty;
		this.isClosed = true;
		if (peer !== null && !peer.isClosed && peer.peer === this) {
			if (!isDatagram) {
				peer.shut = RECEIVE_SHUTDOWN | SEND_SHUTDOWN;
				if (hasUnread) peer.error = ECONNRESET;
			}
			peer.waiters.wakeAll();
		}
		this.peer = null;
		this.queue.clear();
	}

	// --- Bytes ---------------------------------------------------------------------------------------------------

	override send(task: Task, vector: IoVector, message: SocketMessage): number {
		if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
		return this.isStream ? this.sendStream(task, vector, message) : this.sendMessage(task, vector, message);
	}

	private sendStream(task: Task, vector: IoVector, message: SocketMessage): number {
		const { peer } = this;
		const { trap } = task;
		if (message.address !== null) return peer === null ? -EOPNOTSUPP : -EISCONN;
		if (peer === null) return -ENOTCONN;
		vector.skip(trap.progress);
		for (;;) {
			if ((this.shut & SEND_SHUTDOWN) !== 0 || peer.isClosed || (peer.shut & RECEIVE_SHUTDOWN) !== 0) {
				if (trap.progress > 0) return trap.progress;
				if ((message.flags & MSG_NOSIGNAL) === 0) task.kernel.signals.sendToThread(task, SIGPIPE);
				return -EPIPE;
			}
			if (vector.remaining === 0) return vector.length;
			const wanted = Math.min(vector.remaining, peer.queue.space);
			if (wanted === 0) {
				if (this.mayWait(task, message.flags, this.sendTimeoutNs)) return task.blockOn(this.waiters, WRITABLE | POLLHUP | POLLERR);
				return trap.progress > 0 ? trap.progress : -EAGAIN;
			}
			const bytes = peer.queue.putStream(vector, wanted, message);
			if (bytes < 0) return trap.progress > 0 ? trap.progress : bytes;
			trap.progress += bytes;
			peer.waiters.wake(READABLE);
			if (bytes < wanted) return trap.progress;
		}
	}

	private sendMessage(task: Task, vector: IoVector, message: SocketMessage): number {
		if (message.address !== null && this.isDatagram) return findPeer(task, message.address);
		const { peer } = this;
		if (peer === null) return -ENOTCONN;
		const { length } = vector;
		if (length > this.sendBufferBytes - DATAGRAM_RESERVE) return -EMSGSIZE;
		if ((this.shut & SEND_SHUTDOWN) !== 0) return -EPIPE;
		if (peer.isClosed) {
			if (!this.isDatagram) return -EPIPE;
			this.peer = null;
			return -ECONNREFUSED;
		}
		if ((peer.shut & RECEIVE_SHUTDOWN) !== 0) return -EPIPE;
		if (!peer.queue.hasRoom(length)) {
			if (!this.mayWait(task, message.flags, this.sendTimeoutNs)) return -EAGAIN;
			return task.blockOn(this.waiters, WRITABLE | POLLHUP | POLLERR);
		}
		const bytes = peer.queue.putMessage(vector, length, message);
		if (bytes >= 0) peer.waiters.wake(READABLE);
		return bytes;
	}

	override receive(task: Task, vector: IoVector, message: SocketMessage): number {
		if ((message.flags & MSG_OOB) !== 0) return this.isStream ? -EINVAL : -EOPNOTSUPP;
		return this.isStream ? this.receiveStream(task, vector, message) : this.receiveMessage(task, vector, message);
	}

	private receiveStream(task: Task, vector: IoVector, message: SocketMessage): number {
		if (this.peer === null) return -EINVAL;
		const { trap } = task;
		const isPeek = (message.flags & MSG_PEEK) !== 0;
		const isWhole = (message.flags & MSG_WAITALL) !== 0 && !isPeek;
		const target = isWhole ? vector.length : Math.min(this.receiveLowWater, vector.length);
		vector.skip(trap.progress);
		for (;;) {
			if (this.queue.isEmpty) {
				const ended = this.endOf(task, message);
				if (ended !== null) return trap.progress > 0 ? trap.progress : ended;
				return task.blockOn(this.waiters, READABLE | POLLRDHUP | POLLHUP | POLLERR);
			}
			const bytes = this.queue.takeStream(vector, message, isPeek);
			if (!isPeek && this.queue.isWritable) this.peer.waiters.wake(WRITABLE);
			if (bytes < 0) return trap.progress > 0 ? trap.progress : bytes;
			if (isPeek) return bytes;
			trap.progress += bytes;
			if (vector.remaining === 0 || message.rights !== null || trap.progress >= target) return trap.progress;
		}
	}

	private receiveMessage(task: Task, vector: IoVector, message: SocketMessage): number {
		if (this.peer === null && this.socketType === SOCK_SEQPACKET) return -ENOTCONN;
		if (this.error !== 0) return this.takeError();
		if (this.queue.isEmpty) {
			const ended = this.endOf(task, message);
			if (ended === null) return task.blockOn(this.waiters, READABLE | POLLRDHUP | POLLHUP | POLLERR);
			return ended;
		}
		const length = this.queue.firstLength;
		const isPeek = (message.flags & MSG_PEEK) !== 0;
		const bytes = this.queue.takeMessage(vector, message, isPeek);
		if (!isPeek && this.queue.isWritable) this.peer?.waiters.wake(WRITABLE);
		if (length > vector.length) message.outFlags |= MSG_TRUNC;
		return bytes >= 0 && (message.flags & MSG_TRUNC) !== 0 ? length : bytes;
	}

	/** With nothing to read: the result of the call, or null if it is to wait. */
	private endOf(task: Task, message: SocketMessage): number | null {
		if (this.error !== 0) return this.takeError();
		const isShut = (this.shut & RECEIVE_SHUTDOWN) !== 0;
		// A datagram socket tells its end to those who would wait alone.
		if (isShut && !this.isDatagram) return 0;
		if (!this.mayWait(task, message.flags, this.receiveTimeoutNs)) return -EAGAIN;
		return isShut ? 0 : null;
	}

	// --- State ---------------------------------------------------------------------------------------------------

	override poll(): number {
		const { peer } = this;
		let events = 0;
		if (this.error !== 0) events |= POLLERR;
		if (this.shut === (RECEIVE_SHUTDOWN | SEND_SHUTDOWN)) events |= POLLHUP;
		if ((this.shut & RECEIVE_SHUTDOWN) !== 0) events |= POLLRDHUP | READABLE;
		if (!this.queue.isEmpty) events |= READABLE;
		if (!this.isDatagram && peer === null) events |= POLLHUP;
		if (peer === null || peer.isClosed || peer.queue.isWritable) events |= WRITABLE;
		return events;
	}

	override shutdown(how: number): number {
		const mine = how === SHUT_RD ? RECEIVE_SHUTDOWN : how === SHUT_WR ? SEND_SHUTDOWN : RECEIVE_SHUTDOWN | SEND_SHUTDOWN;
		this.shut |= mine;
		const { peer } = this;
		if (peer !== null && !peer.isClosed && !this.isDatagram) {
			if (how !== SHUT_WR) peer.shut |= SEND_SHUTDOWN;
			if (how !== SHUT_RD) peer.shut |= RECEIVE_SHUTDOWN;
		}
		this.waiters.wakeAll();
		// The other end of a datagram pair isn't shut, but who waits there to send must see it.
		if (peer !== null && !peer.isClosed) peer.waiters.wakeAll();
		return 0;
	}

	protected override buffersChanged(): void {
		if (this.peer !== null && !this.peer.isClosed) this.peer.queue.capacity = this.sendBufferBytes;
	}

	override getOption(task: Task, level: number, option: number, out: DataView): number {
		if (level !== SOL_SOCKET || option !== SO_PEERCRED) return super.getOption(task, level, option, out);
		const credentials = this.peerCredentials;
		out.setInt32(0, credentials === null ? 0 : task.group.container.insideId(credentials.pid), true);
		out.setInt32(4, credentials?.euid ?? -1, true);
		out.setInt32(8, credentials?.egid ?? -1, true);
		return 12;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		switch (request) {
			case SIOCINQ:
				return copyOutInt(task.tid, argument, this.isStream ? this.queue.size : this.queue.firstLength);
			case SIOCOUTQ:
				return copyOutInt(task.tid, argument, this.peer?.queue.size ?? 0);
			default:
				return -ENOTTY;
		}
	}

	// --- Names ---------------------------------------------------------------------------------------------------

	override name(): Uint8Array | number {
		return UNNAMED;
	}

	override peerName(): Uint8Array | number {
		return this.peer === null ? -ENOTCONN : UNNAMED;
	}

	override bind(): number {
		return -EOPNOTSUPP;
	}

	override listen(): number {
		// One without a name can't.
		return this.isDatagram ? -EOPNOTSUPP : -EINVAL;
	}

	override accept(): number {
		return this.isDatagram ? -EOPNOTSUPP : -EINVAL;
	}

	/** Nothing is bound, so that nothing can be reached; a datagram socket can be parted from its peer (AF_UNSPEC). */
	override connect(task: Task, address: Uint8Array): number {
		if (this.isDatagram && address.length >= SUN_PATH && familyOf(address) === AF_UNSPEC) {
			this.peer = null;
			return 0;
		}
		return findPeer(task, address);
	}
}

function familyOf(address: Uint8Array): number {
	return address[0]! | (address[1]! << 8);
}

/**
 * Why the socket that an address names can't be reached: there is none. Errors: EINVAL (no address of this family), the path walk's, EACCES,
 * ECONNREFUSED.
 */
function findPeer(task: Task, address: Uint8Array): number {
	if (address.length <= SUN_PATH || address.length > SOCKADDR_UN_BYTES || familyOf(address) !== AF_UNIX) return -EINVAL;
	if (address[SUN_PATH] === 0) return -ECONNREFUSED;
	const end = address.indexOf(0, SUN_PATH);
	const path = Buffer.from(address.buffer, address.byteOffset, address.length).latin1Slice(SUN_PATH, end < 0 ? address.length : end);
	const error = pathWalk.walk(task, task.fs.cwd, path, WALK_FOLLOW);
	if (error < 0) return error;
	const denied = checkPermission(pathWalk.path.dentry.inode!, MAY_WRITE, task.credentials);
	return denied < 0 ? denied : -ECONNREFUSED;
}
