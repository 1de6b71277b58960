import { native } from '../../native.js';
import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../abi/capability-numbers.js';
import { EBADF, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, EPERM, ESRCH, ETOOMANYREFS } from '../abi/errno.js';
import { IOV_MAX } from '../abi/limits.js';
import { RLIMIT_NOFILE } from '../abi/resource.js';
import {
	CMSGHDR_BYTES,
	MMSGHDR_BYTES,
	MMSGHDR_LEN,
	MSG_CMSG_CLOEXEC,
	MSG_CTRUNC,
	MSG_DONTWAIT,
	MSG_WAITFORONE,
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
	SOCKADDR_STORAGE_BYTES,
	SOL_SOCKET,
} from '../abi/socket-constants.js';
import { FOREVER, readTimeout } from '../event/timeout-argument.js';
import { maySend, PassedDescriptors } from '../ipc/passed-descriptors.js';
import type { Socket } from '../ipc/socket.js';
import { NO_CREDENTIALS, type SocketCredentials } from '../ipc/socket-credentials.js';
import { type SocketMessage, socketMessage } from '../ipc/socket-message.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import { BLOCKED } from '../task/blocked.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, copyOutBytes, copyOutInt, ioVector, scratch, scratchView } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import type { FileDescription } from '../vfs/file-description.js';
import { install } from './install.js';
import { readAddress, socketOf, writeAddress } from './socket-argument.js';

/** Control data per message at most (net.core.optmem_max). */
const CONTROL_MAX = 128 * 1024;
/** struct ucred. */
const UCRED_BYTES = 12;
/** Messages per call of sendmmsg(2) and recvmmsg(2) (UIO_MAXIOV). */
const MMSG_MAX = 1024;

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
	return sendMessage(task, socket, trap.size(1), trap.uint(2));
}

/** Sends the message of the struct msghdr at `address`. */
function sendMessage(task: Task, socket: Socket, address: number, flags: number): number {
	const error = header.read(task, address, true);
	if (error < 0) return error;
	const message = socketMessage.begin(flags);
	if (header.nameLength > 0) {
		const name = readAddress(task, header.name, header.nameLength);
		if (typeof name === 'number') return name;
		message.address = name;
	}
	const invalid = ioVector.vector(task.tid, header.iov, header.iovLength);
	if (invalid < 0) return invalid;
	// A call that goes on after a part was sent has passed its descriptors with that part.
	if (header.controlLength > 0 && task.trap.progress === 0) {
		const refused = socket instanceof UnixSocket ? readControl(task, message) : copyControl(task, message);
		if (refused < 0) return refused;
	}
	const bytes = socket.send(task, ioVector, message);
	message.end();
	return bytes;
}

/** Takes the control messages of `header` as they are: a host socket looks through them. Errors: EFAULT. */
function copyControl(task: Task, message: SocketMessage): number {
	if (copyIn(task.tid, header.control, header.controlLength) < 0) return -EFAULT;
	message.control = Uint8Array.prototype.slice.call(scratch, 0, header.controlLength);
	return 0;
}

/** Reads the control messages of `header`: descriptors to pass, the sender's credentials. Errors: EFAULT, EINVAL, EPERM, EBADF, ETOOMANYREFS. */
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
						? readCredentials(task, at + CMSGHDR_BYTES, length - CMSGHDR_BYTES, message)
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
	if (!maySend(credentials.uid, passed.length, isPrivileged ? task.kernel.maxDescriptors : limit)) return -ETOOMANYREFS;
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

/** SCM_CREDENTIALS, unix(7). Errors: EINVAL (its size), EPERM (not the sender's own ids), ESRCH (a process that isn't there). */
function readCredentials(task: Task, at: number, bytes: number, message: SocketMessage): number {
	if (bytes !== UCRED_BYTES) return -EINVAL;
	const { credentials } = task;
	const pid = scratchView.getInt32(at, true);
	const uid = scratchView.getUint32(at + 4, true);
	const gid = scratchView.getUint32(at + 8, true);
	const { container } = task.group;
	const isOwnPid = pid === container.insideId(task.group.pid);
	const isOwnUid = uid === credentials.uid || uid === credentials.euid || uid === credentials.suid;
	const isOwnGid = gid === credentials.gid || gid === credentials.egid || gid === credentials.sgid;
	if (!isOwnPid && !hasCapability(credentials, CAP_SYS_ADMIN)) return -EPERM;
	if (!isOwnUid && !hasCapability(credentials, CAP_SETUID)) return -EPERM;
	if (!isOwnGid && !hasCapability(credentials, CAP_SETGID)) return -EPERM;
	const outside = isOwnPid ? task.group.pid : container.outsideId(pid);
	if (outside === 0) return -ESRCH;
	message.credentials = { pid: outside, uid, gid };
	return 0;
}

/**
 * sendmmsg(2): how many messages were sent. A call that waits has the number it has sent so far to its credit.
 */
export function sysSendmmsg(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	return transferMany(task, trap, Math.min(trap.uint(2), MMSG_MAX), (address) => sendMessage(task, socket, address, trap.uint(3)));
}

/** What a call that moves several messages remembers while one of them waits. */
class MessageCount {
	done = 0;
	/** No more messages are moved from then on; monotonic ns. */
	deadlineNs = FOREVER;
}

/** The state of this call; its first run makes it. */
function messageCount(trap: Trap): MessageCount {
	if (trap.state instanceof MessageCount) return trap.state;
	const count = new MessageCount();
	trap.state = count;
	return count;
}

/** Runs `transfer` for each struct mmsghdr and stores its bytes. Returns how many were done; an error only if none was. */
function transferMany(task: Task, trap: Trap, wanted: number, transfer: (address: number, index: number) => number): number {
	const count = messageCount(trap);
	while (count.done < wanted) {
		const address = trap.size(1) + count.done * MMSGHDR_BYTES;
		const bytes = transfer(address, count.done);
		if (bytes === BLOCKED) return BLOCKED;
		if (bytes < 0) return count.done > 0 ? count.done : bytes;
		trap.progress = 0;
		if (copyOutInt(task.tid, address + MMSGHDR_LEN, bytes) < 0) return count.done > 0 ? count.done : -EFAULT;
		count.done++;
		if (count.deadlineNs !== FOREVER && native.monotonicNs() >= count.deadlineNs) break;
	}
	return count.done;
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
	return typeof socket === 'number' ? socket : receiveMessage(task, socket, trap.size(1), trap.uint(2));
}

/** Receives into the struct msghdr at `address`. */
function receiveMessage(task: Task, socket: Socket, address: number, flags: number): number {
	const error = header.read(task, address, false);
	if (error < 0) return error;
	const invalid = ioVector.vector(task.tid, header.iov, header.iovLength);
	if (invalid < 0) return invalid;
	const message = socketMessage.begin(flags);
	message.controlRoom = header.control === 0 ? 0 : header.controlLength;
	const bytes = socket.receive(task, ioVector, message);
	if (bytes < 0) {
		message.end();
		return bytes;
	}
	message.outFlags |= message.flags & MSG_CMSG_CLOEXEC;
	return finishReceive(task, address, message, receiveControl(task, socket, message)) || bytes;
}

/**
 * recvmmsg(2): how many messages were received. The timeout is looked at after each message, as on Linux; what is left of it isn't stored.
 * Errors: EFAULT, EINVAL (the timeout), and recvmsg(2)'s.
 */
export function sysRecvmmsg(task: Task, trap: Trap): number {
	const socket = socketOf(task, trap.int(0));
	if (typeof socket === 'number') return socket;
	if (trap.isFirstRun) {
		const timeoutNs = readTimeout(task, trap.size(4));
		if (timeoutNs < 0) return timeoutNs;
		if (timeoutNs !== FOREVER) messageCount(trap).deadlineNs = native.monotonicNs() + timeoutNs;
		const { error } = socket;
		if (error !== 0) return socket.takeError();
	}
	const flags = trap.uint(3);
	return transferMany(task, trap, Math.min(trap.uint(2), MMSG_MAX), (address, index) => {
		const isPatient = index === 0 || (flags & MSG_WAITFORONE) === 0;
		return receiveMessage(task, socket, address, (flags & ~MSG_WAITFORONE) | (isPatient ? 0 : MSG_DONTWAIT));
	});
}

/** Stores the control messages that came with what was received; MSG_CTRUNC tells of those without room. Returns their bytes. */
function receiveControl(task: Task, socket: Socket, message: SocketMessage): number {
	if (!(socket instanceof UnixSocket)) {
		const { control } = message;
		if (control === null || control.length === 0) return 0;
		return copyOutBytes(task.tid, header.control, control) < 0 ? 0 : control.length;
	}
	let at = 0;
	if (socket.passesCredentials) at = storeCredentials(task, message, message.credentials ?? NO_CREDENTIALS);
	return message.rights === null ? at : at + receiveRights(task, message, at);
}

/** SCM_CREDENTIALS; returns its bytes. */
function storeCredentials(task: Task, message: SocketMessage, { pid, uid, gid }: SocketCredentials): number {
	const length = CMSGHDR_BYTES + UCRED_BYTES;
	if (header.control === 0 || header.controlLength < CMSGHDR_BYTES) {
		message.outFlags |= MSG_CTRUNC;
		return 0;
	}
	const stored = Math.min(length, header.controlLength);
	if (stored < length) message.outFlags |= MSG_CTRUNC;
	putHeader(stored, SCM_CREDENTIALS);
	scratchView.setInt32(CMSGHDR_BYTES, pid === 0 ? 0 : task.group.container.insideId(pid), true);
	scratchView.setUint32(CMSGHDR_BYTES + 4, uid, true);
	scratchView.setUint32(CMSGHDR_BYTES + 8, gid, true);
	if (copyOut(task.tid, header.control, stored) < 0) return 0;
	return Math.min(Math.ceil(stored / 8) * 8, header.controlLength);
}

/** A struct cmsghdr of SOL_SOCKET at the start of the scratch buffer. */
function putHeader(length: number, type: number): void {
	scratchView.setUint32(0, length, true);
	scratchView.setUint32(4, 0, true);
	scratchView.setInt32(8, SOL_SOCKET, true);
	scratchView.setInt32(12, type, true);
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
 * Gives the received descriptions numbers, as many as there is room for in the control buffer (from `at` on) and in the table, and stores them; the others are closed
 * and MSG_CTRUNC tells so. Returns the bytes of control data.
 */
function receiveRights(task: Task, message: SocketMessage, at: number): number {
	const rights = message.rights!;
	const room = Math.floor((header.controlLength - at - CMSGHDR_BYTES) / 4);
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
	putHeader(length, SCM_RIGHTS);
	for (let i = 0; i < fds.length; i++) scratchView.setInt32(CMSGHDR_BYTES + i * 4, fds[i]!, true);
	if (copyOut(task.tid, header.control + at, length) < 0) {
		for (const fd of fds) task.files.close(fd, task);
		message.outFlags |= MSG_CTRUNC;
		return 0;
	}
	return Math.min(Math.ceil(length / 8) * 8, header.controlLength - at);
}
