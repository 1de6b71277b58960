import { native } from '../../native.js';
import { EAGAIN, EALREADY, EFAULT, EINPROGRESS, EMSGSIZE, ENOPROTOOPT, EPERM, EPIPE } from '../abi/errno.js';
import {
	EPOLLET,
	EPOLLIN,
	EPOLLOUT,
	EPOLLRDHUP,
	POLLERR,
	POLLHUP,
	POLLIN,
	POLLOUT,
	POLLPRI,
	POLLRDHUP,
	POLLRDNORM,
	POLLWRNORM,
} from '../abi/poll-constants.js';
import { SIGPIPE } from '../abi/signal-numbers.js';
import {
	MSG_CONFIRM,
	MSG_DONTROUTE,
	MSG_EOR,
	MSG_ERRQUEUE,
	MSG_MORE,
	MSG_NOSIGNAL,
	MSG_OOB,
	MSG_PEEK,
	MSG_TRUNC,
	MSG_WAITALL,
	SO_DOMAIN,
	SO_LINGER,
	SO_MARK,
	SO_PROTOCOL,
	SO_RCVLOWAT,
	SO_RCVTIMEO,
	SO_SNDTIMEO,
	SO_TYPE,
	SOCK_STREAM,
	SOCKADDR_STORAGE_BYTES,
	SOL_SOCKET,
} from '../abi/socket-constants.js';
import { Socket } from '../ipc/socket.js';
import type { SocketMessage } from '../ipc/socket-message.js';
import type { Kernel } from '../kernel.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { EVENT_READY } from '../trap/records.js';
import { filterControl } from './control-messages.js';
import { interfaceIoctl } from './interface-ioctl.js';
import { optionRule } from './socket-options.js';

/** What is moved at once; no datagram is longer. */
const TRANSFER_BYTES = 256 * 1024;
/** Control messages taken from the host at most. */
const CONTROL_BYTES = 8192;
const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM;
/** MSG_* that are passed on to the host; the others are the guest kernel's, or mean nothing. */
const SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_EOR | MSG_CONFIRM | MSG_MORE;
const RECEIVE_FLAGS = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE;
/** Options of SOL_SOCKET that the guest kernel answers itself. */
const OWN_OPTIONS: ReadonlySet<number> = new Set([SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT]);

// One thread serves all sockets, and no buffer is in use between two calls.
const transfer = Buffer.alloc(TRANSFER_BYTES);
const addressBytes = new Uint8Array(SOCKADDR_STORAGE_BYTES);
const controlBytes = new Uint8Array(CONTROL_BYTES);
const received = new Int32Array(3);
/** struct linger, switched off. */
const NO_LINGER = new Uint8Array(8);

/**
 * A socket that the host's kernel has in the pod's network namespace. The descriptor is the sandbox process's and non-blocking; who waits stands on
 * the description's own queue, which the host's edge-triggered events wake.
 */
export class HostSocket extends Socket {
	private readonly key: number;
	private readonly kernel: Kernel;

	/** Takes `fd` over, and one count of `network.acquireHost`. */
	constructor(
		task: Task,
		domain: number,
		type: number,
		protocol: number,
		statusFlags: number,
		protected readonly fd: number,
	) {
		super(task, domain, type, protocol, statusFlags);
		this.kernel = task.kernel;
		this.key = this.kernel.endpoints.add({
			onEvent: (kind, events) => {
				if (kind === EVENT_READY) this.waiters.wake(withNormal(events));
			},
		});
		native.watch(fd, this.key, EPOLLIN | EPOLLOUT | EPOLLRDHUP | POLLPRI | EPOLLET);
	}

	/** A host socket's descriptor, counted for the pod. Errors: ENFILE and socket(2)'s of the host. */
	static open(task: Task, domain: number, type: number, protocol: number): number {
		const full = task.kernel.network.acquireHost();
		if (full < 0) return full;
		const fd = native.socketOpen(domain, type, protocol);
		if (fd < 0) task.kernel.network.releaseHost();
		return fd;
	}

	protected override close(): void {
		native.unwatch(this.fd);
		this.kernel.endpoints.remove(this.key);
		// close(2) of a lingering socket waits, non-blocking or not: the loop must not. A linger time of 0, which resets the connection, stays.
		const linger = native.socketGetOption(this.fd, SOL_SOCKET, SO_LINGER, addressBytes.subarray(0, 8));
		if (linger === 8 && addressBytes[0] !== 0 && addressBytes.subarray(4, 8).some((byte) => byte !== 0)) {
			native.socketSetOption(this.fd, SOL_SOCKET, SO_LINGER, NO_LINGER);
		}
		native.close(this.fd);
		this.kernel.network.releaseHost();
	}

	protected get isStream(): boolean {
		return this.socketType === SOCK_STREAM;
	}

	// --- Bytes -------------------------------------------------------------------------------------------------------

	override send(task: Task, vector: IoVector, message: SocketMessage): number {
		if (message.control !== null) {
			const kept = filterControl(message.control);
			if (kept < 0) return kept;
			message.control = message.control.subarray(0, kept);
		}
		return this.isStream ? this.sendStream(task, vector, message) : this.sendDatagram(task, vector, message);
	}

	private sendStream(task: Task, vector: IoVector, message: SocketMessage): number {
		const { trap } = task;
		vector.skip(trap.progress);
		for (;;) {
			const wanted = Math.min(vector.remaining, TRANSFER_BYTES);
			const length = wanted === 0 ? 0 : vector.copyIn(transfer, 0, wanted);
			if (length < 0) return trap.progress > 0 ? trap.progress : length;
			// What follows in the same call is more to come.
			const flags = (message.flags & SEND_FLAGS) | (vector.remaining > 0 && length === wanted ? MSG_MORE : 0);
			const sent = native.socketSend(this.fd, transfer, 0, length, flags, message.address, message.control);
			if (sent >= 0) {
				trap.progress += sent;
				if (sent === length && length === wanted && vector.remaining > 0) continue;
				// A stretch of memory that isn't there ends the call.
				if (sent === length) return trap.progress;
			} else if (sent !== -EAGAIN) return this.endOfStream(task, sent, message);
			if (this.mayWait(task, message.flags, this.sendTimeoutNs)) return task.blockOn(this.waiters, WRITABLE | POLLHUP | POLLERR);
			return trap.progress > 0 ? trap.progress : -EAGAIN;
		}
	}

	private endOfStream(task: Task, error: number, message: SocketMessage): number {
		if (task.trap.progress > 0) return task.trap.progress;
		if (error === -EPIPE && (message.flags & MSG_NOSIGNAL) === 0) task.kernel.signals.sendToThread(task, SIGPIPE);
		return error;
	}

	private sendDatagram(task: Task, vector: IoVector, message: SocketMessage): number {
		const { length } = vector;
		if (length > TRANSFER_BYTES) return -EMSGSIZE;
		if (length > 0 && vector.copyIn(transfer, 0, length) < length) return -EFAULT;
		const sent = this.sendBytes(transfer, length, message);
		if (sent !== -EAGAIN || !this.mayWait(task, message.flags, this.sendTimeoutNs)) return sent;
		return task.blockOn(this.waiters, WRITABLE | POLLHUP | POLLERR);
	}

	/** Hands a whole message over to the host. */
	protected sendBytes(bytes: Uint8Array, length: number, message: SocketMessage): number {
		return native.socketSend(this.fd, bytes, 0, length, message.flags & SEND_FLAGS, message.address, message.control);
	}

	override receive(task: Task, vector: IoVector, message: SocketMessage): number {
		const { trap } = task;
		const flags = message.flags & RECEIVE_FLAGS;
		const isWhole = this.isStream && (message.flags & MSG_WAITALL) !== 0 && (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) === 0;
		const target = isWhole ? vector.length : Math.min(this.receiveLowWater, vector.length);
		vector.skip(trap.progress);
		for (;;) {
			const bytes = this.receiveOnce(vector, message, flags);
			if (bytes === -EAGAIN) {
				const isError = (flags & (MSG_ERRQUEUE | MSG_OOB)) !== 0;
				if (!isError && this.mayWait(task, message.flags, this.receiveTimeoutNs)) {
					return task.blockOn(this.waiters, READABLE | POLLRDHUP | POLLHUP | POLLERR);
				}
				return trap.progress > 0 ? trap.progress : -EAGAIN;
			}
			if (!this.isStream || bytes <= 0 || (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) !== 0) {
				return trap.progress > 0 ? trap.progress : bytes;
			}
			trap.progress += bytes;
			if (vector.remaining === 0 || (trap.progress >= target && bytes < TRANSFER_BYTES)) return trap.progress;
		}
	}

	/** One recvmsg(2) of the host's: bytes, or -errno. */
	private receiveOnce(vector: IoVector, message: SocketMessage, flags: number): number {
		const room = Math.min(vector.remaining, TRANSFER_BYTES);
		const control = controlBytes.subarray(0, Math.min(message.controlRoom, CONTROL_BYTES));
		const bytes = native.socketReceive(this.fd, transfer, 0, room, flags, addressBytes, control, received);
		if (bytes < 0) return bytes;
		message.address = received[0] === 0 ? null : addressBytes.slice(0, received[0]);
		message.control = received[1] === 0 ? null : controlBytes.subarray(0, received[1]);
		message.outFlags |= received[2]!;
		// A stream's MSG_TRUNC throws bytes away: none were stored.
		const stored = this.isStream && (flags & MSG_TRUNC) !== 0 && (flags & MSG_ERRQUEUE) === 0 ? 0 : Math.min(bytes, room);
		if (stored > 0 && vector.copyOut(transfer, 0, stored) < stored) return -EFAULT;
		return bytes;
	}

	// --- State -------------------------------------------------------------------------------------------------------

	override poll(): number {
		const events = native.pollNow(this.fd, POLLIN | POLLOUT | POLLPRI | EPOLLRDHUP);
		return events < 0 ? POLLERR : withNormal(events);
	}

	override shutdown(how: number): number {
		const result = native.socketShutdown(this.fd, how);
		if (result === 0) this.waiters.wakeAll();
		return result;
	}

	override getOption(task: Task, level: number, option: number, out: DataView): number {
		if (level === SOL_SOCKET && OWN_OPTIONS.has(option)) return super.getOption(task, level, option, out);
		const rule = optionRule(level, option);
		if (rule === null) return -ENOPROTOOPT;
		return native.socketGetOption(this.fd, level, option, new Uint8Array(out.buffer, out.byteOffset, rule.maxBytes));
	}

	override setOption(task: Task, level: number, option: number, value: DataView, length: number): number {
		if (level === SOL_SOCKET && OWN_OPTIONS.has(option)) return super.setOption(task, level, option, value, length);
		const rule = optionRule(level, option);
		if (rule === null) return -ENOPROTOOPT;
		if (!rule.canSet) return level === SOL_SOCKET && option !== SO_MARK ? -ENOPROTOOPT : -EPERM;
		const bytes = new Uint8Array(value.buffer, value.byteOffset, Math.min(length, rule.maxBytes));
		return native.socketSetOption(this.fd, level, option, bytes);
	}

	override ioctl(task: Task, request: number, argument: number): number {
		return interfaceIoctl(task, this.fd, request, argument);
	}

	// --- Names and connections -------------------------------------------------------------------------------------------

	override name(): Uint8Array | number {
		return this.nameOf(false);
	}

	override peerName(): Uint8Array | number {
		return this.nameOf(true);
	}

	private nameOf(isPeer: boolean): Uint8Array | number {
		const length = native.socketName(this.fd, isPeer, addressBytes);
		return length < 0 ? length : addressBytes.slice(0, length);
	}

	override bind(_task: Task, address: Uint8Array): number {
		return native.socketBind(this.fd, address);
	}

	/** A connection under way goes on when the call is interrupted; asked again, the host says how it stands. */
	override connect(task: Task, address: Uint8Array): number {
		const result = native.socketConnect(this.fd, address);
		if (result !== -EINPROGRESS && result !== -EALREADY) return result;
		if (this.mayWait(task, 0, this.sendTimeoutNs)) return task.blockOn(this.waiters, WRITABLE | POLLHUP | POLLERR);
		return task.trap.hasTimedOut ? -EINPROGRESS : result;
	}

	override listen(_task: Task, backlog: number): number {
		return native.socketListen(this.fd, backlog);
	}

	override accept(task: Task, statusFlags: number): Socket | number {
		const { network } = task.kernel;
		const full = network.acquireHost();
		if (full < 0) return full;
		const fd = native.socketAccept(this.fd);
		if (fd >= 0) return new HostSocket(task, this.domain, this.socketType, this.protocol, statusFlags, fd);
		network.releaseHost();
		if (fd !== -EAGAIN || !this.mayWait(task, 0, this.receiveTimeoutNs)) return fd;
		// Not exclusive: one edge may stand for several connections.
		return task.blockOn(this.waiters, READABLE | POLLHUP | POLLERR);
	}
}

function withNormal(events: number): number {
	return events | ((events & POLLIN) !== 0 ? POLLRDNORM : 0) | ((events & POLLOUT) !== 0 ? POLLWRNORM : 0);
}
