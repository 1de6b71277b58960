import {
	EADDRINUSE,
	EAGAIN,
	ECONNREFUSED,
	ECONNRESET,
	EINVAL,
	EISCONN,
	EMSGSIZE,
	ENOBUFS,
	ENODATA,
	ENOTCONN,
	EOPNOTSUPP,
	EPERM,
	EPIPE,
	EPROTOTYPE,
	ERANGE,
} from '../abi/errno.js';
import { SIOCINQ, SIOCOUTQ } from '../abi/internet-constants.js';
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
	SO_PEERGROUPS,
	SOCK_DGRAM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
	SOL_SOCKET,
} from '../abi/socket-constants.js';
import { WaitQueue } from '../event/wait-queue.js';
import type { NetworkNamespace } from '../net/network-namespace.js';
import type { Task } from '../task/task.js';
import { copyOutInt, type IoVector } from '../trap/guest-memory.js';
import type { Inode } from '../vfs/inode.js';
import { Socket } from './socket.js';
import { type PeerCredentials, peerCredentialsOf } from './socket-credentials.js';
import type { SocketMessage } from './socket-message.js';
import { hasQueueMemory, type Sender, SocketQueue } from './socket-queue.js';
import {
	abstractAddress,
	abstractNameOf,
	bindInode,
	familyOf,
	findSocket,
	pathAddress,
	pathOf,
	UNNAMED,
	unbindInode,
} from './unix-address.js';

/** A datagram has to leave this much of the send buffer (net/unix/af_unix.c, unix_dgram_sendmsg). */
const DATAGRAM_RESERVE = 32;
const RECEIVE_SHUTDOWN = 1;
const SEND_SHUTDOWN = 2;
const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;
/** More datagrams than this at a socket make senders wait that it isn't connected to (net.unix.max_dgram_qlen). */
const MAX_DATAGRAMS = 512;
/** net.core.somaxconn. */
const MAX_BACKLOG = 4096;
/** What comes from a socket without a name to one that doesn't ask for credentials. */
const ANONYMOUS: Sender = { address: null, credentials: null };

/**
 * A socket of the guest's own, unix(7): stream, seqpacket or datagram. Connected ones are each other's peers; any number of datagram sockets may have
 * one peer. A listening one holds a reference to each connection that nobody has accepted yet.
 */
export class UnixSocket extends Socket {
	private readonly queue = new SocketQueue(this.sendBufferBytes);
	/** What it sends to. A stream keeps a peer that is closed, a datagram socket until it finds out. */
	private peer: UnixSocket | null = null;
	/** SEND_SHUTDOWN, RECEIVE_SHUTDOWN. */
	private shut = 0;
	private isClosed = false;
	private peerCredentials: PeerCredentials | null = null;
	/** Its name in the guest's layout, and the inode of a path name; null while it has none. */
	private address: Uint8Array | null = null;
	private boundInode: Inode | null = null;
	/** The name is the listener's that made this connection. */
	private isNameShared = false;
	private sender: Sender = ANONYMOUS;
	/** Connections to accept, oldest first; null if it doesn't listen. `backlog` + 1 of them may wait. */
	private pending: UnixSocket[] | null = null;
	private backlog = 0;
	/** A connection that nobody has accepted yet. */
	private isEmbryo = false;
	/** Who waits for room here without being its peer: senders of datagrams, clients of a full backlog. */
	private readonly arrivals = new WaitQueue();
	/** Datagram sockets that have this one as their peer. */
	private connected: Set<UnixSocket> | null = null;
	private readonly network: NetworkNamespace;

	/** The caller has asked `network.checkUnix`. */
	constructor(task: Task, type: number, statusFlags: number) {
		super(task, AF_UNIX, type, 0, statusFlags);
		this.network = task.kernel.network;
		this.network.unixSockets.add(this);
	}

	/** Makes two fresh sockets each other's peers, on behalf of `task`. */
	static join(task: Task, first: UnixSocket, second: UnixSocket): void {
		first.tie(second);
		first.peerCredentials = second.peerCredentials = peerCredentialsOf(task.group.pid, task.credentials);
	}

	private tie(other: UnixSocket): void {
		if (this.isDatagram) {
			this.setPeer(other);
			other.setPeer(this);
		} else {
			this.peer = other;
			other.peer = this;
		}
		this.queue.capacity = other.sendBufferBytes;
		other.queue.capacity = this.sendBufferBytes;
	}

	private get isStream(): boolean {
		return this.socketType === SOCK_STREAM;
	}
	private get isDatagram(): boolean {
		return this.socketType === SOCK_DGRAM;
	}

	protected override close(): void {
		const { peer, isDatagram, pending } = this;
		const hasUnread = !this.queue.isEmpty;
		this.isClosed = true;
		this.network.unixSockets.delete(this);
		this.dropName();
		if (peer !== null && !peer.isClosed && peer.peer === this) {
			if (!isDatagram) {
				peer.shut = RECEIVE_SHUTDOWN | SEND_SHUTDOWN;
				if (hasUnread || this.isEmbryo) peer.error = ECONNRESET;
			}
			peer.waiters.wakeAll();
		}
		if (isDatagram) this.setPeer(null);
		this.peer = null;
		this.pending = null;
		if (pending !== null) for (const connection of pending) connection.release();
		this.queue.clear();
		this.arrivals.wakeAll();
		if (this.connected !== null) for (const sender of this.connected) sender.waiters.wakeAll();
	}

	private dropName(): void {
		if (this.address === null || this.isNameShared) return;
		if (this.boundInode !== null) unbindInode(this.boundInode);
		else this.network.unbindAbstract(this.socketType, abstractNameOf(this.address)!);
		this.boundInode = null;
	}

	/** Whom a datagram socket sends to from now on. */
	private setPeer(peer: UnixSocket | null): void {
		this.peer?.connected?.delete(this);
		this.peer = peer;
		if (peer === null) return;
		peer.connected ??= new Set();
		peer.connected.add(this);
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
			const bytes = peer.queue.putStream(vector, wanted, message, this.senderTo(task, peer, message));
			if (bytes < 0) return trap.progress > 0 ? trap.progress : bytes;
			trap.progress += bytes;
			peer.waiters.wake(READABLE);
			if (bytes < wanted) return trap.progress;
		}
	}

	private sendMessage(task: Task, vector: IoVector, message: SocketMessage): number {
		let { peer } = this;
		if (message.address !== null && this.isDatagram) {
			const found = findSocket(task, message.address, SOCK_DGRAM);
			if (typeof found === 'number') return found;
			if (found.socketType !== SOCK_DGRAM) return -EPROTOTYPE;
			peer = found;
		} else if (message.address !== null && peer === null) return -ENOTCONN;
		if (peer === null) return -ENOTCONN;
		if (this.passesCredentials && this.address === null) this.autobind();
		const { length } = vector;
		if (length > this.sendBufferBytes - DATAGRAM_RESERVE) return -EMSGSIZE;
		if ((this.shut & SEND_SHUTDOWN) !== 0) return this.brokenPipe(task, message);
		if (peer.isClosed) {
			if (!this.isDatagram) return this.brokenPipe(task, message);
			this.setPeer(null);
			return -ECONNREFUSED;
		}
		if (this.isDatagram && !peer.takesFrom(this)) return -EPERM;
		if ((peer.shut & RECEIVE_SHUTDOWN) !== 0) return this.brokenPipe(task, message);
		// Nobody would wake who waits for memory: an empty queue has no reader to come.
		if (peer.queue.isEmpty && !hasQueueMemory(length)) return -ENOBUFS;
		if (!this.hasRoomAt(peer, length)) {
			if (!this.mayWait(task, message.flags, this.sendTimeoutNs)) return -EAGAIN;
			if (peer.peer !== this) task.waitOn(peer.arrivals);
			return task.blockOn(this.waiters, WRITABLE | POLLHUP | POLLERR);
		}
		const bytes = peer.queue.putMessage(vector, length, message, this.senderTo(task, peer, message));
		if (bytes >= 0) peer.waiters.wake(READABLE);
		return bytes;
	}

	/** The end of a seqpacket connection signals, as a stream's does; a datagram socket's doesn't. */
	private brokenPipe(task: Task, message: SocketMessage): number {
		if (!this.isDatagram && (message.flags & MSG_NOSIGNAL) === 0) task.kernel.signals.sendToThread(task, SIGPIPE);
		return -EPIPE;
	}

	/** A connected datagram socket takes messages from its peer alone. */
	private takesFrom(sender: UnixSocket): boolean {
		return this.peer === null || this.peer === sender;
	}

	private hasRoomAt(peer: UnixSocket, length: number): boolean {
		return peer.peer === this ? peer.queue.hasRoom(length) : peer.queue.count <= MAX_DATAGRAMS && peer.queue.hasRoom(length);
	}

	/** What is noted of the sender: credentials if it gave them, or if one of both ends wants them. */
	private senderTo(task: Task, peer: UnixSocket, message: SocketMessage): Sender {
		let { credentials } = message;
		if (credentials === null) {
			if (!this.passesCredentials && !peer.passesCredentials) return this.sender;
			const { uid, gid } = task.credentials;
			credentials = { pid: task.group.pid, uid, gid };
		}
		return { address: this.address, credentials };
	}

	/** There is room again in this socket's queue. */
	private wakeSenders(): void {
		if (this.peer !== null) this.peer.waiters.wake(WRITABLE);
		this.arrivals.wakeAll();
		if (this.connected !== null) for (const sender of this.connected) if (sender !== this.peer) sender.waiters.wake(WRITABLE);
	}

	override receive(task: Task, vector: IoVector, message: SocketMessage): number {
		if ((message.flags & MSG_OOB) !== 0) return this.isStream ? -EINVAL : -EOPNOTSUPP;
		return this.isStream ? this.receiveStream(task, vector, message) : this.receiveMessage(task, vector, message);
	}

	private receiveStream(task: Task, vector: IoVector, message: SocketMessage): number {
		const { peer } = this;
		if (peer === null) return -EINVAL;
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
			if (!isPeek && this.queue.isWritable) peer.waiters.wake(WRITABLE);
			message.address = peer.address;
			if (bytes < 0) return trap.progress > 0 ? trap.progress : bytes;
			if (isPeek) return bytes;
			trap.progress += bytes;
			const isStop = message.rights !== null || message.credentials !== null;
			if (vector.remaining === 0 || isStop || trap.progress >= target) return trap.progress;
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
		if (!isPeek && (this.queue.isWritable || this.isDatagram)) this.wakeSenders();
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
		if (!this.queue.isEmpty || (this.pending !== null && this.pending.length > 0)) events |= READABLE;
		if (this.pending !== null) return events;
		if (!this.isDatagram && peer === null) events |= POLLHUP;
		if (peer === null || peer.isClosed || this.canSendTo(peer)) events |= WRITABLE;
		return events;
	}

	private canSendTo(peer: UnixSocket): boolean {
		return peer.peer === this || !this.isDatagram ? peer.queue.isWritable : peer.queue.count <= MAX_DATAGRAMS;
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
		const credentials = this.peerCredentials;
		if (level === SOL_SOCKET && option === SO_PEERGROUPS) {
			if (credentials === null) return -ENODATA;
			const { groups } = credentials;
			if (groups.length * 4 > out.byteLength) return -ERANGE;
			for (let i = 0; i < groups.length; i++) out.setUint32(i * 4, groups[i]!, true);
			return groups.length * 4;
		}
		if (level !== SOL_SOCKET || option !== SO_PEERCRED) return super.getOption(task, level, option, out);
		out.setInt32(0, credentials === null ? 0 : task.group.container.insideId(credentials.pid), true);
		out.setInt32(4, credentials?.uid ?? -1, true);
		out.setInt32(8, credentials?.gid ?? -1, true);
		return 12;
	}

	override ioctl(task: Task, request: number, argument: number): number {
		switch (request) {
			case SIOCINQ:
				if (this.pending !== null) return -EINVAL;
				return copyOutInt(task.tid, argument, this.isStream ? this.queue.size : this.queue.firstLength);
			case SIOCOUTQ:
				return copyOutInt(task.tid, argument, this.peer?.queue.size ?? 0);
			default:
				return this.network.ioctl(task, request, argument);
		}
	}

	// --- Names and connections ------------------------------------------------------------------------------------

	override name(): Uint8Array | number {
		return this.address ?? UNNAMED;
	}

	override peerName(): Uint8Array | number {
		if (this.peer === null) return -ENOTCONN;
		return this.peer.address ?? UNNAMED;
	}

	get isBound(): boolean {
		return this.address !== null;
	}

	private setAddress(address: Uint8Array): void {
		this.address = address;
		this.sender = { address, credentials: null };
	}

	/** Gives it the path name that `inode` was made for; it has none yet. */
	bindPath(path: string, inode: Inode): void {
		this.boundInode = inode;
		bindInode(inode, this);
		this.setAddress(pathAddress(path));
	}

	/** Abstract names, and any free one for an address without a name; path names come by `bindPath`. Errors: EINVAL, EADDRINUSE. */
	override bind(_task: Task, address: Uint8Array): number {
		if (this.isBound) return -EINVAL;
		const name = address.length === UNNAMED.length ? null : abstractNameOf(address);
		if (name === null) return this.autobind();
		if (!this.network.bindAbstract(this.socketType, name, this)) return -EADDRINUSE;
		this.setAddress(abstractAddress(name));
		return 0;
	}

	private autobind(): number {
		const name = this.network.autobind(this.socketType, this);
		if (name === '') return -EADDRINUSE;
		this.setAddress(abstractAddress(name));
		return 0;
	}

	override get isListening(): boolean {
		return this.pending !== null;
	}

	/** Errors: EOPNOTSUPP (datagrams), EINVAL (no name, or connected). */
	override listen(task: Task, backlog: number): number {
		if (this.isDatagram) return -EOPNOTSUPP;
		if (!this.isBound || this.peer !== null) return -EINVAL;
		this.pending ??= [];
		// A negative one is as good as the limit.
		this.backlog = Math.min(backlog >>> 0, MAX_BACKLOG);
		this.peerCredentials = peerCredentialsOf(task.group.pid, task.credentials);
		this.arrivals.wakeAll();
		return 0;
	}

	/** Errors: EOPNOTSUPP (datagrams), EINVAL (it doesn't listen, or its reading side is shut), EAGAIN. */
	override accept(task: Task, statusFlags: number): Socket | number {
		if (this.isDatagram) return -EOPNOTSUPP;
		const { pending } = this;
		if (pending === null) return -EINVAL;
		const connection = pending.shift();
		if (connection === undefined) {
			if ((this.shut & RECEIVE_SHUTDOWN) !== 0) return -EINVAL;
			if (!this.mayWait(task, 0, this.receiveTimeoutNs)) return -EAGAIN;
			return task.blockOn(this.waiters, READABLE | POLLHUP | POLLERR, true);
		}
		this.arrivals.wake();
		connection.isEmbryo = false;
		connection.flags |= statusFlags;
		const { fsuid, fsgid } = task.credentials;
		connection.inode.uid = fsuid;
		connection.inode.gid = fsgid;
		return connection;
	}

	/**
	 * Errors: EINVAL, EISCONN, ECONNREFUSED (nobody listens there), EPROTOTYPE (a socket of another type), EAGAIN (its backlog is full), EPERM (a datagram
	 * socket that is connected to another), and `findSocket`'s. A datagram socket is parted from its peer by AF_UNSPEC.
	 */
	override connect(task: Task, address: Uint8Array): number {
		if (this.isDatagram && familyOf(address) === AF_UNSPEC) return this.disconnect(null);
		const other = findSocket(task, address, this.socketType);
		if (typeof other === 'number') return other;
		if (other.socketType !== this.socketType) return -EPROTOTYPE;
		if (this.passesCredentials && !this.isBound) this.autobind();
		return this.isDatagram ? this.connectDatagram(other) : this.connectStream(task, other);
	}

	private connectDatagram(other: UnixSocket): number {
		return other.takesFrom(this) ? this.disconnect(other) : -EPERM;
	}

	/** Puts `next` in the place of the peer; what the old one has sent is lost. */
	private disconnect(next: UnixSocket | null): number {
		const old = this.peer;
		this.setPeer(next);
		if (old === null || old === next) return 0;
		if (!this.queue.isEmpty) {
			this.queue.clear();
			if (!old.isClosed && old.peer === this) old.error = ECONNRESET;
		}
		old.waiters.wakeAll();
		this.waiters.wakeAll();
		return 0;
	}

	private connectStream(task: Task, listener: UnixSocket): number {
		const { pending } = listener;
		if (pending === null || (listener.shut & RECEIVE_SHUTDOWN) !== 0) return -ECONNREFUSED;
		if (pending.length > listener.backlog) {
			if (!this.mayWait(task, 0, this.sendTimeoutNs)) return -EAGAIN;
			return task.blockOn(listener.arrivals);
		}
		if (this.pending !== null) return -EINVAL;
		if (this.peer !== null) return -EISCONN;
		const full = this.network.checkUnix();
		if (full < 0) return full;
		const connection = new UnixSocket(task, this.socketType, 0);
		connection.isEmbryo = true;
		connection.passesCredentials = listener.passesCredentials;
		this.tie(connection);
		connection.peerCredentials = peerCredentialsOf(task.group.pid, task.credentials);
		this.peerCredentials = listener.peerCredentials;
		if (listener.address !== null) connection.shareName(listener.address);
		pending.push(connection);
		listener.waiters.wake(READABLE);
		this.waiters.wake(WRITABLE);
		return 0;
	}

	/** A connection shows its listener's name, but isn't found by it. */
	private shareName(address: Uint8Array): void {
		this.isNameShared = true;
		this.setAddress(address);
	}

	// --- /proc/net/unix ----------------------------------------------------------------------------------------------

	/** Its line without the newline, proc_pid_net(5). */
	procLine(): string {
		const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
		const state = this.pending === null && this.peer !== null ? 3 : 1;
		const flags = this.pending === null ? 0 : 0x10000;
		const line = `0000000000000000: ${hex(this.referenceCount + 1, 8)} 00000000 ${hex(flags, 8)} ${hex(this.socketType, 4)} ${hex(state, 2)} ${String(this.inode.ino).padStart(5)}`;
		if (this.address === null) return line;
		const name = abstractNameOf(this.address);
		return `${line} ${name === null ? pathOf(this.address) : `@${name.replaceAll('\0', '@')}`}`;
	}
}
