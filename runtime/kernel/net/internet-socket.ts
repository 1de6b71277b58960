import { CAP_NET_BIND_SERVICE } from '../abi/capability-numbers.js';
import { EACCES, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../abi/errno.js';
import {
	FIRST_UNPRIVILEGED_PORT,
	IPPROTO_ICMP,
	IPPROTO_ICMPV6,
	IPPROTO_TCP,
	IPPROTO_UDP,
	SIN_PORT,
	SOCKADDR_IN_BYTES,
} from '../abi/internet-constants.js';
import { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../abi/socket-constants.js';
import { familyOf } from '../ipc/unix-address.js';
import { hasCapability } from '../task/credentials.js';
import type { Task } from '../task/task.js';
import { HostSocket } from './host-socket.js';

/** A TCP, UDP or ICMP echo socket, ip(7) and ipv6(7). */
class InternetSocket extends HostSocket {
	/** The pod's namespace lets the sandbox process bind to any port: whether the guest may is decided here. Errors: EACCES and bind(2)'s. */
	override bind(task: Task, address: Uint8Array): number {
		const family = familyOf(address);
		const hasPort = (family === AF_INET || family === AF_INET6 || family === 0) && address.length >= SOCKADDR_IN_BYTES;
		const port =
			hasPort && this.protocol !== IPPROTO_ICMP && this.protocol !== IPPROTO_ICMPV6
				? (address[SIN_PORT]! << 8) | address[SIN_PORT + 1]!
				: 0;
		if (port > 0 && port < FIRST_UNPRIVILEGED_PORT && !hasCapability(task.credentials, CAP_NET_BIND_SERVICE)) return -EACCES;
		return super.bind(task, address);
	}
}

/** The protocol that a socket gets, or -errno. Raw sockets are refused whoever asks: they would see and forge what isn't the pod's own. */
function protocolOf(domain: number, type: number, protocol: number): number {
	const icmp = domain === AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	switch (type) {
		case SOCK_STREAM:
			return protocol === 0 || protocol === IPPROTO_TCP ? IPPROTO_TCP : -EPROTONOSUPPORT;
		case SOCK_DGRAM:
			if (protocol === 0) return IPPROTO_UDP;
			return protocol === IPPROTO_UDP || protocol === icmp ? protocol : -EPROTONOSUPPORT;
		case SOCK_RAW:
			return -EPERM;
		default:
			return -ESOCKTNOSUPPORT;
	}
}

/** socket(2) of AF_INET and AF_INET6. Errors: EPERM (raw), EPROTONOSUPPORT, ESOCKTNOSUPPORT, ENFILE, and the host's (EAFNOSUPPORT, EACCES). */
export function makeInternetSocket(task: Task, domain: number, type: number, protocol: number, statusFlags: number): HostSocket | number {
	const actual = protocolOf(domain, type, protocol);
	if (actual < 0) return actual;
	const fd = HostSocket.open(task, domain, type, actual);
	return fd < 0 ? fd : new InternetSocket(task, domain, type, actual, statusFlags, fd);
}
