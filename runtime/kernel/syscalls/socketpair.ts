import { CAP_NET_RAW, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../abi/capability-numbers.js';
import {
	EAFNOSUPPORT,
	EBADF,
	EFAULT,
	EINVAL,
	EMSGSIZE,
	ENOBUFS,
	ENOTSOCK,
	EPERM,
	EPROTONOSUPPORT,
	ESOCKTNOSUPPORT,
	ETOOMANYREFS,
} from '../abi/errno.js';
import { O_PATH } from '../abi/fcntl.js';
import { IOV_MAX } from '../abi/limits.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import {
	AF_INET,
	AF_INET6,
	AF_MAX,
	AF_PACKET,
	AF_UNIX,
	CMSGHDR_BYTES,
	MSG_CMSG_CLOEXEC,
	MSG_CTRUNC,
	MSGHDR_BYTES,
	MSGHDR_CONTROL,
	MSGHDR_CONTROLLEN,
	MSGHDR_FLAGS,
	MSGHDR_IOV,
	MSGHDR_IOVLEN,
	MSGHDR_NAME,
	MSGHDR_NAMELEN,
	SCM_CREDENTIALS,
	SCM_MAX_FD,
	SCM_RIGHTS,
	SHUT_RDWR,
	SOCK_CLOEXEC,
	SOCK_DGRAM,
	SOCK_MAX,
	SOCK_NONBLOCK,
	SOCK_PACKET,
	SOCK_RAW,
	SOCK_SEQPACKET,
	SOCK_STREAM,
	SOCK_TYPE_MASK,
	SOCKADDR_STORAGE_BYTES,
	SOL_SOCKET,
} from '../abi/socket-constants.js';
import { inFlightOf, PassedDescriptors } from '../ipc/passed-descriptors.js';
import { Socket } from '../ipc/socket.js';
import { type SocketMessage, socketMessage } from '../ipc/socket-message.js';
import { makeSocketPair } from '../ipc/socket-pair.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyInBytes, copyOut, copyOutBytes, copyOutInt, ioVector, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { FileDescription } from '../vfs/file-description.js';
import { install, installPair } from './install.js';

/** Control data per message at most (net.core.optmem_max). */
const CONTROL_MAX = 128 * 1024;
/** struct ucred. */
const UCRED_BYTES = 12;

// --- Making sockets ------------------------------------------------------------------------------------------------

/** socket(2): AF_UNIX. */
export function sysSocket(task: Task, trap: Trap): number {
	const type = checkSocket(task, trap.int(0), trap.int(1), trap.int(2));
	if (type < 0) return type;
	const flags = trap.int(1);
	return install(task, new UnixSocket(task, type, flags & SOCK_NONBLOCK), (flags & SOCK_CLOEXEC) !== 0);
}

/** socketpair(2). */
export function sysSocketpair(task: Task, trap: Trap): number {
	const type = checkSocket(task, trap.int(0), trap.int(1), trap.int(2));
	if (type < 0) return type;
	const flags = trap.int(1);
	const [first, second] = makeSocketPair(task, type, flags & SOCK_NONBLOCK);
	return installPair(task, first, second, (flags & SOCK_CLOEXEC) !== 0, trap.size(3));
}

/** The type of an AF_UNIX socket that can be made, without flags. Errors: EINVAL, EAFNOSUPPORT, EPERM, ESOCKTNOSUPPORT, EPROTONOSUPPORT. */
function checkSocket(task: Task, family: number, typeAndFlags: number, protocol: number): number {
	if ((typeAndFlags & ~SOCK_TYPE_MASK & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
	const type = typeAndFlags & SOCK_TYPE_MASK;
	if (family < 0 || family >= AF_MAX) return -EAFNOSUPPORT;
	if (type >= SOCK_MAX) return -EINVAL;
	if (family !== AF_UNIX) {
		const isInternet = family === AF_INET || family === AF_INET6;
		const isRaw = family === AF_PACKET || (isInternet && (type === SOCK_RAW || type === SOCK_PACKET));
		return isRaw && !hasCapability(task.credentials, CAP_NET_RAW) ? -EPERM : -EAFNOSUPPORT;
	}
	if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
	// BSD had raw ones here: datagrams.
	if (type === SOCK_RAW) return SOCK_DGRAM;
	return type === SOCK_STREAM || type === SOCK_DGRAM || type === SOCK_SEQPACKET ? type : -ESOCKTNOSUPPORT;
}

/** The socket of a descriptor. Errors: EBADF, ENOTSOCK. */
function socketOf(task: Task, fd: number): Socket | number {
	const description = task.file(fd);
	if (description === null || (description.flags & O_PATH) !== 0) return -EBADF;
	return description instanceof Socket ? description : -ENOTSOCK;
}

// --- Addresses -----------------------------------------------------------------------------------------------------

/** Copies a socket address in. Errors: EINVAL (its length), EFAULT. */
function readAddress(task: Task, address: number, length: number): Uint8Array | number {
	if (length < 0 || length > SOCKADDR_STORAGE_BYTES) return -EINVAL;
	const bytes = new Uint8Array(length);
	return length === 0 ? bytes : copyInBytes(task.tid, address, bytes, 0, length) || bytes;
}

/** Stores a socket address, cut to the room that the guest has, and its whole length. Errors: EFAULT, EINVAL (a negative length). */
function writeAddress(task: Task, name: Uint8Array | null, address: number, lengthAddress: number): number {
	if (copyIn(task.tid, lengthAddress, 4) < 0) return -EFAULT;
	const room = scratchView.getInt32(0, true);
	if (room < 0) return -EINVAL;
	const length = name?.length ?? 0;
	if (name !== null && Math.min(room, length) > 0 && copyOutBytes(task.tid, address, name, Math.min(room, length)) < 0) return -EFAULT;
	return copyOutInt(task.tid, lengthAddress, length);
}

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
	return typeof address === 'number' ? address : socket.bind(task, address);
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

const OPTION_BYTES = 64;
const optionBytes = new Uint8Array(OPTION_BYTES);
const optionView = new DataView(optionBytes.buffer);

/** getsockopt(2). */
export function sysGetsockopt(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	if (copyIn(task.tid, trap.size(4), 4) < 0) return -EFAULT;
	const room = scratchView.getInt32(0, true);
	if (room < 0) return -EINVAL;
	optionBytes.fill(0);
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
	optionBytes.fill(0);
	if (length > 0 && copyInBytes(task.tid, trap.size(3), optionBytes, 0, length) < 0) return -EFAULT;
	return socket.setOption(task, trap.int(1), trap.int(2), optionView, length);
}

// --- Sending -------------------------------------------------------------------------------------------------------

/** sendto(2). */
export function sysSendto(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const message = socketMessage.begin(trap.uint(3));
	if (trap.size(4) !== 0) {
		const address = readAddress(task, trap.size(4), trap.int(5));
		if (typeof address === 'number') return address;
		if (address.length > 0) message.address = address;
	}
	ioVector.single(task.tid, trap.size(1), trap.size(2));
	return socket.send(task, ioVector, message);
}

/** A struct msghdr of the guest's, as far as the calls need it. */
class MessageHeader {
	name = 0;
	nameLength = 0;
	iov = 0;
	iovLength = 0;
	control = 0;
	controlLength = 0;

	/** Errors: EFAULT, EINVAL (a negative name length), EMSGSIZE (too many buffers), ENOBUFS (too much control data, to be sent). */
	read(task: Task, address: number, isSending: boolean): number {
		if (copyIn(task.tid, address, MSGHDR_BYTES) < 0) return -EFAULT;
		this.name = getAddress(MSGHDR_NAME);
		this.nameLength = this.name === 0 ? 0 : scratchView.getInt32(MSGHDR_NAMELEN, true);
		this.iov = getAddress(MSGHDR_IOV);
		this.iovLength = getAddress(MSGHDR_IOVLEN);
		this.control = getAddress(MSGHDR_CONTROL);
		this.controlLength = getAddress(MSGHDR_CONTROLLEN);
		if (this.nameLength < 0) return -EINVAL;
		this.nameLength = Math.min(this.nameLength, SOCKADDR_STORAGE_BYTES);
		if (this.iovLength > IOV_MAX) return -EMSGSIZE;
		if (isSending && this.controlLength > CONTROL_MAX) return -ENOBUFS;
		return 0;
	}
}

const header = new MessageHeader();

function getAddress(at: number): number {
	return scratchView.getUint32(at + 4, true) * 0x1_0000_0000 + scratchView.getUint32(at, true);
}

/** sendmsg(2). */
export function sysSendmsg(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const error = header.read(task, trap.size(1), true);
	if (error < 0) return error;
	const message = socketMessage.begin(trap.uint(2));
	if (header.nameLength > 0) {
		const address = readAddress(task, header.name, header.nameLength);
		if (typeof address === 'number') return address;
		message.address = address;
	}
	const invalid = ioVector.vector(task.tid, header.iov, header.iovLength);
	if (invalid < 0) return invalid;
	// A call that goes on after a part was sent has passed its descriptors with that part.
	if (header.controlLength > 0 && trap.progress === 0) {
		const refused = readControl(task, message);
		if (refused < 0) return refused;
	}
	const bytes = socket.send(task, ioVector, message);
	message.end();
	return bytes;
}

/** Reads the control messages of `header`: descriptors to pass. Errors: EFAULT, EINVAL, EPERM, EBADF, ETOOMANYREFS. */
function readControl(task: Task, message: SocketMessage): number {
	const total = header.controlLength;
	if (copyIn(task.tid, header.control, total) < 0) return -EFAULT;
	const passed: FileDescription[] = [];
	let at = 0;
	while (at + CMSGHDR_BYTES <= total) {
		const length = getAddress(at);
		if (length < CMSGHDR_BYTES || length > total - at) return -EINVAL;
		if (scratchView.getInt32(at + 8, true) === SOL_SOCKET) {
			const type = scratchView.getInt32(at + 12, true);
			const error =
				type === SCM_RIGHTS
					? readRights(task, at + CMSGHDR_BYTES, length - CMSGHDR_BYTES, passed)
					: type === SCM_CREDENTIALS
						? checkCredentials(task, at + CMSGHDR_BYTES, length - CMSGHDR_BYTES)
						: -EINVAL;
			if (error < 0) return error;
		}
		at += Math.ceil(length / 8) * 8;
	}
	if (passed.length === 0) return 0;
	const { credentials } = task;
	const isPrivileged = hasCapability(credentials, CAP_SYS_RESOURCE) || hasCapability(credentials, CAP_SYS_ADMIN);
	const limit = task.group.limits.soft[RLIMIT_NOFILE]!;
	// The host's administrator isn't a container's: the privileged have a limit, too.
	if (inFlightOf(credentials.uid) + passed.length > (isPrivileged ? task.kernel.maxDescriptors : limit)) return -ETOOMANYREFS;
	for (const description of passed) description.acquire();
	message.rights = new PassedDescriptors(passed, credentials.uid);
	return 0;
}

/** SCM_RIGHTS, unix(7): the descriptions of the numbers in the scratch buffer; no references are taken. Errors: EINVAL (too many), EBADF. */
function readRights(task: Task, at: number, bytes: number, passed: FileDescription[]): number {
	const count = Math.floor(bytes / 4);
	if (passed.length + count > SCM_MAX_FD) return -EINVAL;
	for (let i = 0; i < count; i++) {
		const description = task.file(scratchView.getInt32(at + i * 4, true));
		if (description === null) return -EBADF;
		passed.push(description);
	}
	return 0;
}

/** SCM_CREDENTIALS, unix(7): checked, though nobody receives them. Errors: EINVAL (its size), EPERM (not the sender's own ids). */
function checkCredentials(task: Task, at: number, bytes: number): number {
	if (bytes !== UCRED_BYTES) return -EINVAL;
	const { credentials } = task;
	const pid = scratchView.getInt32(at, true);
	const uid = scratchView.getUint32(at + 4, true);
	const gid = scratchView.getUint32(at + 8, true);
	const { container } = task.group;
	const isOwnUid = uid === credentials.uid || uid === credentials.euid || uid === credentials.suid;
	const isOwnGid = gid === credentials.gid || gid === credentials.egid || gid === credentials.sgid;
	if (pid !== container.insideId(task.group.pid) && !hasCapability(credentials, CAP_SYS_ADMIN)) return -EPERM;
	if (!isOwnUid && !hasCapability(credentials, CAP_SETUID)) return -EPERM;
	return isOwnGid || hasCapability(credentials, CAP_SETGID) ? 0 : -EPERM;
}

// --- Receiving -----------------------------------------------------------------------------------------------------

/** recvfrom(2). */
export function sysRecvfrom(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const message = socketMessage.begin(trap.uint(3));
	ioVector.single(task.tid, trap.size(1), trap.size(2));
	const bytes = socket.receive(task, ioVector, message);
	message.end();
	if (bytes < 0 || trap.size(4) === 0) return bytes;
	return writeAddress(task, message.address, trap.size(4), trap.size(5)) || bytes;
}

/** recvmsg(2). */
export function sysRecvmsg(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	const address = trap.size(1);
	const error = header.read(task, address, false);
	if (error < 0) return error;
	const invalid = ioVector.vector(task.tid, header.iov, header.iovLength);
	if (invalid < 0) return invalid;
	const message = socketMessage.begin(trap.uint(2));
	const bytes = socket.receive(task, ioVector, message);
	if (bytes < 0) {
		message.end();
		return bytes;
	}
	message.outFlags |= message.flags & MSG_CMSG_CLOEXEC;
	const controlBytes = message.rights === null ? 0 : receiveRights(task, message);
	return finishReceive(task, address, message, controlBytes) || bytes;
}

/** Stores what recvmsg(2) changes in the guest's struct msghdr. Errors: EFAULT. */
function finishReceive(task: Task, address: number, message: SocketMessage, controlBytes: number): number {
	if (header.name !== 0) {
		const name = message.address;
		const stored = Math.min(header.nameLength, name?.length ?? 0);
		if (name !== null && stored > 0 && copyOutBytes(task.tid, header.name, name, stored) < 0) return -EFAULT;
		if (copyOutInt(task.tid, address + MSGHDR_NAMELEN, name?.length ?? 0) < 0) return -EFAULT;
	}
	if (copyOutInt(task.tid, address + MSGHDR_FLAGS, message.outFlags) < 0) return -EFAULT;
	scratchView.setUint32(0, controlBytes, true);
	scratchView.setUint32(4, 0, true);
	return copyOut(task.tid, address + MSGHDR_CONTROLLEN, 8);
}

/**
 * Gives the received descriptions numbers, as many as there is room for in the control buffer and in the table, and stores them; the others are closed
 * and MSG_CTRUNC tells so. Returns the bytes of control data.
 */
function receiveRights(task: Task, message: SocketMessage): number {
	const rights = message.rights!;
	const room = Math.floor((header.controlLength - CMSGHDR_BYTES) / 4);
	const isCloseOnExec = (message.flags & MSG_CMSG_CLOEXEC) !== 0;
	const wanted = rights.count;
	const descriptions = rights.take();
	message.rights = null;
	const fds: number[] = [];
	let isFull = header.control === 0;
	for (const description of descriptions) {
		isFull ||= fds.length >= room;
		if (isFull) {
			description.release();
			continue;
		}
		const fd = install(task, description, isCloseOnExec);
		if (fd >= 0) fds.push(fd);
		else isFull = true;
	}
	if (fds.length < wanted) message.outFlags |= MSG_CTRUNC;
	if (fds.length === 0) return 0;
	const length = CMSGHDR_BYTES + fds.length * 4;
	scratch.fill(0, 0, 8);
	scratchView.setUint32(0, length, true);
	scratchView.setInt32(8, SOL_SOCKET, true);
	scratchView.setInt32(12, SCM_RIGHTS, true);
	for (let i = 0; i < fds.length; i++) scratchView.setInt32(CMSGHDR_BYTES + i * 4, fds[i]!, true);
	if (copyOut(task.tid, header.control, length) < 0) {
		for (const fd of fds) task.files.close(fd, task);
		message.outFlags |= MSG_CTRUNC;
		return 0;
	}
	return Math.min(Math.ceil(length / 8) * 8, header.controlLength);
}
