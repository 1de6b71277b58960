import { EINVAL } from '../abi/errno.js';
import { IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP } from '../abi/internet-constants.js';
import { CMSGHDR_BYTES, SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET } from '../abi/socket-constants.js';

/** Control messages that a guest may send over a host socket: level, type, and the longest data in bytes. None names a descriptor or a process. */
const ALLOWED: readonly (readonly [level: number, type: number, maxBytes: number])[] = [
	[IPPROTO_IP, 1, 4], // IP_TOS
	[IPPROTO_IP, 2, 4], // IP_TTL
	[IPPROTO_IP, 8, 12], // IP_PKTINFO
	[IPPROTO_IPV6, 50, 20], // IPV6_PKTINFO
	[IPPROTO_IPV6, 52, 4], // IPV6_HOPLIMIT
	[IPPROTO_IPV6, 67, 4], // IPV6_TCLASS
	[IPPROTO_UDP, 103, 4], // UDP_SEGMENT
];

/**
 * The part of a guest's control messages that the host is given, moved to the front of `control`, which is the kernel's own copy. Descriptors and
 * credentials mean nothing here and are left out, as Linux does. Returns the bytes left, or -EINVAL.
 */
export function filterControl(control: Uint8Array): number {
	const view = new DataView(control.buffer, control.byteOffset, control.length);
	let kept = 0;
	let at = 0;
	while (at + CMSGHDR_BYTES <= control.length) {
		const length = view.getUint32(at, true);
		if (view.getUint32(at + 4, true) !== 0 || length < CMSGHDR_BYTES || length > control.length - at) return -EINVAL;
		const next = Math.min(at + Math.ceil(length / 8) * 8, control.length);
		const level = view.getInt32(at + 8, true);
		const type = view.getInt32(at + 12, true);
		const isMeaningless = level === SOL_SOCKET && (type === SCM_RIGHTS || type === SCM_CREDENTIALS);
		if (!isMeaningless) {
			const rule = ALLOWED.find((row) => row[0] === level && row[1] === type);
			if (rule === undefined || length - CMSGHDR_BYTES > rule[2]) return -EINVAL;
			control.copyWithin(kept, at, next);
			kept += next - at;
		}
		at = next;
	}
	return kept;
}
