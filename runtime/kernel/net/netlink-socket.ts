import { native } from '../../native.js';
import { ECONNREFUSED, EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../abi/errno.js';
import {
	NETLINK_KOBJECT_UEVENT,
	NETLINK_ROUTE,
	NETLINK_SOCK_DIAG,
	NL_GROUPS,
	NL_PID,
	NLMSG_ERROR,
	NLMSG_MIN_TYPE,
	NLMSG_PID,
	NLMSG_SEQ,
	NLMSG_TYPE,
	NLMSGHDR_BYTES,
	SOCK_DIAG_BY_FAMILY,
	SOCKADDR_NL_BYTES,
	SOL_NETLINK,
} from '../abi/internet-constants.js';
import { POLLIN, POLLRDNORM } from '../abi/poll-constants.js';
import { AF_INET, AF_INET6, AF_NETLINK, MSG_PEEK, MSG_TRUNC, SOCK_DGRAM, SOCK_RAW } from '../abi/socket-constants.js';
import type { Socket } from '../ipc/socket.js';
import type { SocketMessage } from '../ipc/socket-message.js';
import { familyOf } from '../ipc/unix-address.js';
import type { Task } from '../task/task.js';
import type { IoVector } from '../trap/guest-memory.js';
import { HostSocket } from './host-socket.js';

/** Requests of rtnetlink(7) that only read: RTM_GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE, GETQDISC, GETMULTICAST, GETANYCAST, GETNEIGHTBL, GETNETCONF, GETSTATS, GETNEXTHOP. */
const ROUTE_READS: ReadonlySet<number> = new Set([18, 22, 26, 30, 34, 38, 58, 62, 66, 82, 94, 106]);
/** Answers of the guest kernel's own that wait to be read at most. */
const MAX_ANSWERS = 64;
/** The kernel's own address. */
const KERNEL = new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** A netlink(7) socket: the host answers questions about the pod's network; what would change it is refused here. */
class NetlinkSocket extends HostSocket {
	/** Errors for requests that the host wasn't shown, as messages; they are read before what the host says. */
	private readonly answers: Uint8Array[] = [];

	protected override sendBytes(bytes: Uint8Array, length: number, message: SocketMessage): number {
		if (message.address !== null && !isKernelAddress(message.address)) return -ECONNREFUSED;
		// Descriptors and credentials are netlink's only control messages.
		message.control = null;
		if (message.address !== null) message.address = KERNEL;
		const view = new DataView(bytes.buffer, bytes.byteOffset, length);
		let kept = 0;
		let at = 0;
		while (at + NLMSGHDR_BYTES <= length) {
			const size = view.getUint32(at, true);
			if (size < NLMSGHDR_BYTES || size > length - at) break;
			const next = Math.min(at + Math.ceil(size / 4) * 4, length);
			const error = this.check(view, at, size);
			if (error === 0) {
				bytes.copyWithin(kept, at, next);
				kept += next - at;
			} else this.refuse(bytes.subarray(at, at + size), error);
			at = next;
		}
		if (kept === 0) return length;
		const sent = super.sendBytes(bytes, kept, message);
		return sent < 0 ? sent : length;
	}

	/** May the host be shown the request at `at`? 0 or -errno. */
	private check(view: DataView, at: number, size: number): number {
		const type = view.getUint16(at + NLMSG_TYPE, true);
		if (type < NLMSG_MIN_TYPE) return 0;
		if (this.protocol === NETLINK_ROUTE) return ROUTE_READS.has(type) ? 0 : -EPERM;
		if (this.protocol !== NETLINK_SOCK_DIAG) return -EPERM;
		if (type !== SOCK_DIAG_BY_FAMILY) return -EPERM;
		if (size === NLMSGHDR_BYTES) return -EINVAL;
		// Unix sockets of the host's kernel are the sandbox process's own.
		const family = view.getUint8(at + NLMSGHDR_BYTES);
		return family === AF_INET || family === AF_INET6 ? 0 : -ENOENT;
	}

	/** Queues the error message that a refused request gets (struct nlmsgerr: the error, and the request). */
	private refuse(request: Uint8Array, error: number): void {
		if (this.answers.length >= MAX_ANSWERS) return;
		const answer = new Uint8Array(NLMSGHDR_BYTES + 4 + request.length);
		const view = new DataView(answer.buffer);
		answer.set(request, NLMSGHDR_BYTES + 4);
		view.setUint32(0, answer.length, true);
		view.setUint16(NLMSG_TYPE, NLMSG_ERROR, true);
		view.setUint32(NLMSG_SEQ, view.getUint32(NLMSGHDR_BYTES + 4 + NLMSG_SEQ, true), true);
		view.setUint32(NLMSG_PID, this.port(), true);
		view.setInt32(NLMSGHDR_BYTES, error, true);
		this.answers.push(answer);
		this.waiters.wake(POLLIN | POLLRDNORM);
	}

	/** Its port id, which it gets now if it has none. */
	private port(): number {
		let name = this.name();
		if (typeof name !== 'number' && portOf(name) === 0 && native.socketBind(this.fd, KERNEL) === 0) name = this.name();
		return typeof name === 'number' ? 0 : portOf(name);
	}

	override receive(task: Task, vector: IoVector, message: SocketMessage): number {
		const answer = this.answers[0];
		if (answer === undefined) return super.receive(task, vector, message);
		const stored = Math.min(answer.length, vector.length);
		const copied = stored === 0 ? 0 : vector.copyOut(answer, 0, stored);
		if ((message.flags & MSG_PEEK) === 0) this.answers.shift();
		if (copied < 0) return copied;
		message.address = KERNEL;
		if (stored < answer.length) message.outFlags |= MSG_TRUNC;
		return (message.flags & MSG_TRUNC) !== 0 ? answer.length : copied;
	}

	override poll(): number {
		return super.poll() | (this.answers.length > 0 ? POLLIN | POLLRDNORM : 0);
	}

	/** Groups of rtnetlink(7) alone: device events of the host's are none of the guest's business. */
	override bind(task: Task, address: Uint8Array): number {
		if (address.length < SOCKADDR_NL_BYTES || familyOf(address) !== AF_NETLINK) return -EINVAL;
		if (this.protocol === NETLINK_ROUTE) return super.bind(task, address);
		const ungrouped = address.slice(0, SOCKADDR_NL_BYTES);
		ungrouped.fill(0, NL_GROUPS);
		return super.bind(task, ungrouped);
	}

	override connect(task: Task, address: Uint8Array): number {
		return isKernelAddress(address) ? super.connect(task, KERNEL) : -EPERM;
	}

	override setOption(task: Task, level: number, option: number, value: DataView, length: number): number {
		// A silent socket joins every group, and hears nothing.
		if (level === SOL_NETLINK && this.protocol !== NETLINK_ROUTE && option <= 2) return 0;
		return super.setOption(task, level, option, value, length);
	}

	override listen(): number {
		return -EOPNOTSUPP;
	}

	override accept(): Socket | number {
		return -EOPNOTSUPP;
	}
}

function portOf(address: Uint8Array): number {
	return new DataView(address.buffer, address.byteOffset, address.length).getUint32(NL_PID, true);
}

function isKernelAddress(address: Uint8Array): boolean {
	if (address.length < SOCKADDR_NL_BYTES || familyOf(address) !== AF_NETLINK) return false;
	return address.subarray(NL_PID, SOCKADDR_NL_BYTES).every((byte) => byte === 0);
}

/**
 * socket(2) of AF_NETLINK: routes, socket diagnosis, and device events (which never come: behind it is a routing socket without groups). Errors:
 * ESOCKTNOSUPPORT, EPROTONOSUPPORT, ENFILE.
 */
export function makeNetlinkSocket(task: Task, type: number, protocol: number, statusFlags: number): HostSocket | number {
	if (type !== SOCK_RAW && type !== SOCK_DGRAM) return -ESOCKTNOSUPPORT;
	const hasProtocol = protocol === NETLINK_ROUTE || protocol === NETLINK_SOCK_DIAG || protocol === NETLINK_KOBJECT_UEVENT;
	if (!hasProtocol) return -EPROTONOSUPPORT;
	const fd = HostSocket.open(task, AF_NETLINK, SOCK_RAW, protocol === NETLINK_SOCK_DIAG ? NETLINK_SOCK_DIAG : NETLINK_ROUTE);
	return fd < 0 ? fd : new NetlinkSocket(task, AF_NETLINK, type, protocol, statusFlags, fd);
}
