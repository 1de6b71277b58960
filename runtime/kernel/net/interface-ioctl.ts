import { native } from '../../native.js';
import { EFAULT, EINVAL, ENOTTY, EPERM } from '../abi/errno.js';
import {
	IFREQ_BYTES,
	SIOCATMARK,
	SIOCGIFADDR,
	SIOCGIFBRDADDR,
	SIOCGIFCONF,
	SIOCGIFDSTADDR,
	SIOCGIFFLAGS,
	SIOCGIFHWADDR,
	SIOCGIFINDEX,
	SIOCGIFMETRIC,
	SIOCGIFMTU,
	SIOCGIFNAME,
	SIOCGIFNETMASK,
	SIOCGIFTXQLEN,
	SIOCINQ,
	SIOCOUTQ,
	SIOCOUTQNSD,
} from '../abi/internet-constants.js';
import type { Task } from '../task/task.js';
import { copyIn, copyOut, copyOutBytes, scratch, scratchView } from '../trap/guest-memory.js';

/** Requests that store an int. */
const COUNTS: ReadonlySet<number> = new Set([SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK]);
/** Requests that read a struct ifreq and store into it. */
const INTERFACE_READS: ReadonlySet<number> = new Set([
	SIOCGIFNAME,
	SIOCGIFINDEX,
	SIOCGIFFLAGS,
	SIOCGIFADDR,
	SIOCGIFDSTADDR,
	SIOCGIFBRDADDR,
	SIOCGIFNETMASK,
	SIOCGIFMETRIC,
	SIOCGIFMTU,
	SIOCGIFHWADDR,
	SIOCGIFTXQLEN,
]);
/** The requests of netdevice(7); what isn't read there changes an interface. */
const FIRST_DEVICE_REQUEST = 0x890b;
const LAST_DEVICE_REQUEST = 0x89ff;
const IFCONF_BYTES = 16;
/** Interfaces that SIOCGIFCONF tells of at most, in bytes. */
const INTERFACES_BYTES = 1024 * IFREQ_BYTES;

/**
 * The requests of netdevice(7) and the counts of socket(7), on the host socket `fd`. Errors: EFAULT, EPERM (it would change an interface), ENOTTY, and
 * the host's (ENODEV, EADDRNOTAVAIL).
 */
export function interfaceIoctl(task: Task, fd: number, request: number, argument: number): number {
	if (request === SIOCGIFCONF) return listInterfaces(task, fd, argument);
	const bytes = COUNTS.has(request) ? 4 : INTERFACE_READS.has(request) ? IFREQ_BYTES : 0;
	if (bytes === 0) return request >= FIRST_DEVICE_REQUEST && request <= LAST_DEVICE_REQUEST ? -EPERM : -ENOTTY;
	if (copyIn(task.tid, argument, bytes) < 0) return -EFAULT;
	const error = native.socketIoctl(fd, request, scratch.subarray(0, bytes));
	return error < 0 ? error : copyOut(task.tid, argument, bytes);
}

/** Without a buffer the length that it takes is stored. */
function listInterfaces(task: Task, fd: number, argument: number): number {
	if (copyIn(task.tid, argument, IFCONF_BYTES) < 0) return -EFAULT;
	const room = scratchView.getInt32(0, true);
	const address = scratchView.getUint32(12, true) * 0x1_0000_0000 + scratchView.getUint32(8, true);
	if (room < 0) return -EINVAL;
	const limit = address === 0 ? INTERFACES_BYTES : Math.min(INTERFACES_BYTES, room - (room % IFREQ_BYTES));
	const buffer = new Uint8Array(limit);
	const length = limit === 0 ? 0 : native.socketInterfaces(fd, buffer);
	if (length < 0) return length;
	if (address !== 0 && copyOutBytes(task.tid, address, buffer, length) < 0) return -EFAULT;
	scratchView.setInt32(0, length, true);
	return copyOut(task.tid, argument, 4);
}
