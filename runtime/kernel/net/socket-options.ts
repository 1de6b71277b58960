import { IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, SOL_NETLINK } from '../abi/internet-constants.js';
import { SOL_SOCKET } from '../abi/socket-constants.js';

/** What may be done with an option of a host socket. */
export interface OptionRule {
	readonly name: string;
	readonly canSet: boolean;
	/** The longest value that is passed on, in bytes. */
	readonly maxBytes: number;
}

type Row = readonly [option: number, name: string, access?: 'r' | 'rw', maxBytes?: number];

/**
 * Options that are passed on to the host, by level. All values are plain numbers, addresses or names: nothing that holds a pointer (filters), that
 * takes a descriptor, that changes which code of the host's runs (TCP_ULP, encapsulation), or that makes a call wait is here.
 */
const LEVELS: ReadonlyMap<number, readonly Row[]> = new Map([
	[
		SOL_SOCKET,
		[
			[1, 'SO_DEBUG'],
			[2, 'SO_REUSEADDR'],
			[4, 'SO_ERROR', 'r'],
			[5, 'SO_DONTROUTE'],
			[6, 'SO_BROADCAST'],
			[7, 'SO_SNDBUF'],
			[8, 'SO_RCVBUF'],
			[9, 'SO_KEEPALIVE'],
			[10, 'SO_OOBINLINE'],
			[11, 'SO_NO_CHECK'],
			[12, 'SO_PRIORITY'],
			[13, 'SO_LINGER', 'rw', 8],
			[14, 'SO_BSDCOMPAT'],
			[15, 'SO_REUSEPORT'],
			[16, 'SO_PASSCRED'],
			[17, 'SO_PEERCRED', 'r', 12],
			[19, 'SO_SNDLOWAT', 'r'],
			[25, 'SO_BINDTODEVICE', 'rw', 16],
			[29, 'SO_TIMESTAMP'],
			[30, 'SO_ACCEPTCONN', 'r'],
			[35, 'SO_TIMESTAMPNS'],
			[36, 'SO_MARK', 'r'],
			[37, 'SO_TIMESTAMPING', 'rw', 8],
			[40, 'SO_RXQ_OVFL'],
			[47, 'SO_MAX_PACING_RATE', 'rw', 8],
			[49, 'SO_INCOMING_CPU', 'r'],
			[55, 'SO_MEMINFO', 'r', 64],
			[57, 'SO_COOKIE', 'r', 8],
		],
	],
	[
		IPPROTO_TCP,
		[
			[1, 'TCP_NODELAY'],
			[2, 'TCP_MAXSEG'],
			[3, 'TCP_CORK'],
			[4, 'TCP_KEEPIDLE'],
			[5, 'TCP_KEEPINTVL'],
			[6, 'TCP_KEEPCNT'],
			[7, 'TCP_SYNCNT'],
			[8, 'TCP_LINGER2'],
			[9, 'TCP_DEFER_ACCEPT'],
			[10, 'TCP_WINDOW_CLAMP'],
			[11, 'TCP_INFO', 'r', 512],
			[12, 'TCP_QUICKACK'],
			[13, 'TCP_CONGESTION', 'rw', 16],
			[16, 'TCP_THIN_LINEAR_TIMEOUTS'],
			[17, 'TCP_THIN_DUPACK'],
			[18, 'TCP_USER_TIMEOUT'],
			[23, 'TCP_FASTOPEN'],
			[24, 'TCP_TIMESTAMP'],
			[25, 'TCP_NOTSENT_LOWAT'],
			[26, 'TCP_CC_INFO', 'r', 64],
			[27, 'TCP_SAVE_SYN'],
			[28, 'TCP_SAVED_SYN', 'r', 512],
			[36, 'TCP_INQ'],
		],
	],
	[
		IPPROTO_UDP,
		[
			[1, 'UDP_CORK'],
			[103, 'UDP_SEGMENT'],
			[104, 'UDP_GRO'],
		],
	],
	[
		IPPROTO_IP,
		[
			[1, 'IP_TOS'],
			[2, 'IP_TTL'],
			[4, 'IP_OPTIONS', 'r', 40],
			[6, 'IP_RECVOPTS'],
			[7, 'IP_RETOPTS'],
			[8, 'IP_PKTINFO'],
			[10, 'IP_MTU_DISCOVER'],
			[11, 'IP_RECVERR'],
			[12, 'IP_RECVTTL'],
			[13, 'IP_RECVTOS'],
			[14, 'IP_MTU', 'r'],
			[15, 'IP_FREEBIND'],
			[19, 'IP_TRANSPARENT', 'r'],
			[20, 'IP_RECVORIGDSTADDR'],
			[21, 'IP_MINTTL'],
			[24, 'IP_BIND_ADDRESS_NO_PORT'],
			[25, 'IP_RECVFRAGSIZE'],
			[26, 'IP_RECVERR_RFC4884'],
			[32, 'IP_MULTICAST_IF', 'rw', 12],
			[33, 'IP_MULTICAST_TTL'],
			[34, 'IP_MULTICAST_LOOP'],
			[35, 'IP_ADD_MEMBERSHIP', 'rw', 12],
			[36, 'IP_DROP_MEMBERSHIP', 'rw', 12],
			[37, 'IP_UNBLOCK_SOURCE', 'rw', 12],
			[38, 'IP_BLOCK_SOURCE', 'rw', 12],
			[39, 'IP_ADD_SOURCE_MEMBERSHIP', 'rw', 12],
			[40, 'IP_DROP_SOURCE_MEMBERSHIP', 'rw', 12],
			[42, 'MCAST_JOIN_GROUP', 'rw', 136],
			[45, 'MCAST_LEAVE_GROUP', 'rw', 136],
			[46, 'MCAST_JOIN_SOURCE_GROUP', 'rw', 264],
			[47, 'MCAST_LEAVE_SOURCE_GROUP', 'rw', 264],
			[49, 'IP_MULTICAST_ALL'],
			[50, 'IP_UNICAST_IF'],
			[51, 'IP_LOCAL_PORT_RANGE'],
			[52, 'IP_PROTOCOL', 'r'],
		],
	],
	[
		IPPROTO_IPV6,
		[
			[16, 'IPV6_UNICAST_HOPS'],
			[17, 'IPV6_MULTICAST_IF'],
			[18, 'IPV6_MULTICAST_HOPS'],
			[19, 'IPV6_MULTICAST_LOOP'],
			[20, 'IPV6_ADD_MEMBERSHIP', 'rw', 20],
			[21, 'IPV6_DROP_MEMBERSHIP', 'rw', 20],
			[23, 'IPV6_MTU_DISCOVER'],
			[24, 'IPV6_MTU', 'r'],
			[25, 'IPV6_RECVERR'],
			[26, 'IPV6_V6ONLY'],
			[29, 'IPV6_MULTICAST_ALL'],
			[31, 'IPV6_RECVERR_RFC4884'],
			[42, 'MCAST_JOIN_GROUP', 'rw', 136],
			[45, 'MCAST_LEAVE_GROUP', 'rw', 136],
			[46, 'MCAST_JOIN_SOURCE_GROUP', 'rw', 264],
			[47, 'MCAST_LEAVE_SOURCE_GROUP', 'rw', 264],
			[49, 'IPV6_RECVPKTINFO'],
			[50, 'IPV6_PKTINFO', 'rw', 20],
			[51, 'IPV6_RECVHOPLIMIT'],
			[60, 'IPV6_RECVPATHMTU'],
			[61, 'IPV6_PATHMTU', 'r', 32],
			[62, 'IPV6_DONTFRAG'],
			[66, 'IPV6_RECVTCLASS'],
			[67, 'IPV6_TCLASS'],
			[70, 'IPV6_AUTOFLOWLABEL'],
			[72, 'IPV6_ADDR_PREFERENCES'],
			[73, 'IPV6_MINHOPCOUNT'],
			[74, 'IPV6_RECVORIGDSTADDR'],
			[76, 'IPV6_UNICAST_IF'],
			[77, 'IPV6_RECVFRAGSIZE'],
			[78, 'IPV6_FREEBIND'],
		],
	],
	[
		SOL_NETLINK,
		[
			[1, 'NETLINK_ADD_MEMBERSHIP'],
			[2, 'NETLINK_DROP_MEMBERSHIP'],
			[3, 'NETLINK_PKTINFO'],
			[4, 'NETLINK_BROADCAST_ERROR'],
			[5, 'NETLINK_NO_ENOBUFS'],
			[9, 'NETLINK_LIST_MEMBERSHIPS', 'r', 64],
			[10, 'NETLINK_CAP_ACK'],
			[11, 'NETLINK_EXT_ACK'],
			[12, 'NETLINK_GET_STRICT_CHK'],
		],
	],
]);

const rules = new Map<number, OptionRule>();
for (const [level, rows] of LEVELS) {
	for (const [option, name, access = 'rw', maxBytes = 4] of rows)
		rules.set(key(level, option), { name, canSet: access === 'rw', maxBytes });
}

function key(level: number, option: number): number {
	return level * 0x1_0000 + option;
}

/** What may be done with an option; null if it isn't passed on. */
export function optionRule(level: number, option: number): OptionRule | null {
	return option >>> 16 === 0 ? (rules.get(key(level, option)) ?? null) : null;
}
