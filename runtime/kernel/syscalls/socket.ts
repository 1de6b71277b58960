import { CAP_NET_RAW } from '../abi/capability-numbers.js';
import { EADDRINUSE, EAFNOSUPPORT, EEXIST, EFAULT, EINVAL, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../abi/errno.js';
import {
	AF_INET,
	AF_INET6,
	AF_MAX,
	AF_NETLINK,
	AF_PACKET,
	AF_UNIX,
	SHUT_RDWR,
	SOCK_CLOEXEC,
	SOCK_DGRAM,
	SOCK_MAX,
	SOCK_NONBLOCK,
	SOCK_RAW,
	SOCK_SEQPACKET,
	SOCK_STREAM,
	SOCK_TYPE_MASK,
	SUN_PATH,
} from '../abi/socket-constants.js';
import type { Socket } from '../ipc/socket.js';
import { makeSocketPair } from '../ipc/socket-pair.js';
import { abstractNameOf, isUnixAddress, pathOf } from '../ipc/unix-address.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import { makeInternetSocket } from '../net/internet-socket.js';
import { makeNetlinkSocket } from '../net/netlink-socket.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyOutBytes, copyOutInt, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { makeSocketNode } from './directory.js';
import { install, installPair } from './install.js';
import { readAddress, socketOf, writeAddress } from './socket-argument.js';

// --- Making sockets ------------------------------------------------------------------------------------------------

/** socket(2). */
export function sysSocket(task: Task, trap: Trap): number {
	const family = trap.int(0);
	const flags = trap.int(1);
	const type = checkSocket(task, family, flags, trap.int(2));
	if (type < 0) return type;
	const socket = makeSocket(task, family, type, trap.int(2), flags & SOCK_NONBLOCK);
	return typeof socket === 'number' ? socket : install(task, socket, (flags & SOCK_CLOEXEC) !== 0);
}

function makeSocket(task: Task, family: number, type: number, protocol: number, statusFlags: number): Socket | number {
	switch (family) {
		case AF_UNIX:
			return task.kernel.network.checkUnix() || new UnixSocket(task, type, statusFlags);
		case AF_NETLINK:
			return makeNetlinkSocket(task, type, protocol, statusFlags);
		default:
			return makeInternetSocket(task, family, type, protocol, statusFlags);
	}
}

/** socketpair(2). */
export function sysSocketpair(task: Task, trap: Trap): number {
	const type = checkSocket(task, trap.int(0), trap.int(1), trap.int(2));
	if (type < 0) return type;
	if (trap.int(0) !== AF_UNIX) return -EOPNOTSUPP;
	const full = task.kernel.network.checkUnix();
	if (full < 0) return full;
	const flags = trap.int(1);
	const [first, second] = makeSocketPair(task, type, flags & SOCK_NONBLOCK);
	return installPair(task, first, second, (flags & SOCK_CLOEXEC) !== 0, trap.size(3));
}

/**
 * The type of a socket that can be made, without flags. Errors: EINVAL, EAFNOSUPPORT (families that guests don't have: vsock, packet, bluetooth, …), EPERM
 * (raw packets), ESOCKTNOSUPPORT, EPROTONOSUPPORT.
 */
function checkSocket(task: Task, family: number, typeAndFlags: number, protocol: number): number {
	if ((typeAndFlags & ~SOCK_TYPE_MASK & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
	const type = typeAndFlags & SOCK_TYPE_MASK;
	if (family < 0 || family >= AF_MAX) return -EAFNOSUPPORT;
	if (type >= SOCK_MAX) return -EINVAL;
	switch (family) {
		case AF_UNIX:
			if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
			// BSD had raw ones here: datagrams.
			if (type === SOCK_RAW) return SOCK_DGRAM;
			return type === SOCK_STREAM || type === SOCK_DGRAM || type === SOCK_SEQPACKET ? type : -ESOCKTNOSUPPORT;
		case AF_INET:
		case AF_INET6:
		case AF_NETLINK:
			return type;
		case AF_PACKET:
			return hasCapability(task.credentials, CAP_NET_RAW) ? -EAFNOSUPPORT : -EPERM;
		default:
			return -EAFNOSUPPORT;
	}
}

// --- Names and connections ------------------------------------------------------------------------------------------

/** getsockname(2). */
export function sysGetsockname(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const name = socket.name();
	return typeof name === 'number' ? name : writeAddress(task, name, trap.size(1), trap.size(2));
}

/** getpeername(2). */
export function sysGetpeername(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const name = socket.peerName();
	return typeof name === 'number' ? name : writeAddress(task, name, trap.size(1), trap.size(2));
}

/** bind(2). */
export function sysBind(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const address = readAddress(task, trap.size(1), trap.int(2));
	if (typeof address === 'number') return address;
	return socket instanceof UnixSocket ? bindUnix(task, socket, address) : socket.bind(task, address);
}

/** Gives a unix socket a name; a path makes an inode. Errors: EINVAL (the address, or it has a name), EADDRINUSE (the path is there), mknod(2)'s. */
function bindUnix(task: Task, socket: UnixSocket, address: Uint8Array): number {
	if (!isUnixAddress(address)) return -EINVAL;
	if (address.length === SUN_PATH || abstractNameOf(address) !== null) return socket.bind(task, address);
	if (socket.isBound) return -EINVAL;
	const path = pathOf(address);
	const inode = makeSocketNode(task, path, socket.inode.mode & 0o7777);
	if (typeof inode === 'number') return inode === -EEXIST ? -EADDRINUSE : inode;
	socket.bindPath(path, inode);
	return 0;
}

/** connect(2). */
export function sysConnect(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const address = readAddress(task, trap.size(1), trap.int(2));
	return typeof address === 'number' ? address : socket.connect(task, address);
}

/** listen(2). */
export function sysListen(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	return typeof socket === 'number' ? socket : socket.listen(task, trap.int(1));
}

/** accept(2). */
export function sysAccept(task: Task, trap: Trap): number {
	return accept(task, trap, 0);
}

/** accept4(2). */
export function sysAccept4(task: Task, trap: Trap): number {
	return accept(task, trap, trap.int(3));
}

function accept(task: Task, trap: Trap, flags: number): number {
	if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const accepted = socket.accept(task, flags & SOCK_NONBLOCK);
	if (typeof accepted === 'number') return accepted;
	if (trap.size(1) !== 0) {
		const name = accepted.peerName();
		const error = writeAddress(task, typeof name === 'number' ? null : name, trap.size(1), trap.size(2));
		if (error < 0) {
			accepted.release();
			return error;
		}
	}
	return install(task, accepted, (flags & SOCK_CLOEXEC) !== 0);
}

/** shutdown(2). */
export function sysShutdown(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const how = trap.int(1);
	return how < 0 || how > SHUT_RDWR ? -EINVAL : socket.shutdown(how);
}

// --- Options -------------------------------------------------------------------------------------------------------

/** The longest value: SO_PEERGROUPS. */
const OPTION_BYTES = 4096;
/** Options that are no lists are shorter than this. */
const OPTION_CLEARED = 64;
const optionBytes = new Uint8Array(OPTION_BYTES);
const optionView = new DataView(optionBytes.buffer);

/** getsockopt(2). */
export function sysGetsockopt(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	if (copyIn(task.tid, trap.size(4), 4) < 0) return -EFAULT;
	const room = scratchView.getInt32(0, true);
	if (room < 0) return -EINVAL;
	optionBytes.fill(0, 0, OPTION_CLEARED);
	const length = socket.getOption(task, trap.int(1), trap.int(2), optionView);
	if (length < 0) return length;
	const stored = Math.min(room, length);
	if (stored > 0 && copyOutBytes(task.tid, trap.size(3), optionBytes, stored) < 0) return -EFAULT;
	return copyOutInt(task.tid, trap.size(4), stored);
}

/** setsockopt(2). */
export function sysSetsockopt(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const given = trap.int(4);
	if (given < 0) return -EINVAL;
	const length = Math.min(given, OPTION_BYTES);
	optionBytes.fill(0, 0, OPTION_CLEARED);
	if (length > 0 && copyInBytes(task.tid, trap.size(3), optionBytes, 0, length) < 0) return -EFAULT;
	return socket.setOption(task, trap.int(1), trap.int(2), optionView, length);
}
