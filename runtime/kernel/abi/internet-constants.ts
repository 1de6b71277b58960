/** ip(7), ipv6(7), tcp(7), udp(7), netlink(7): include/uapi/linux/{in,in6,tcp,udp,netlink,rtnetlink,sock_diag,sockios}.h. */

export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
/** First port that anybody may bind to (net.ipv4.ip_unprivileged_port_start). */
export const FIRST_UNPRIVILEGED_PORT = 1024;
export const SOCKADDR_IN_BYTES = 16;
/** Where the port lies in struct sockaddr_in and sockaddr_in6, in network order. */
export const SIN_PORT = 2;

export const SOL_NETLINK = 270;
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_KOBJECT_UEVENT = 15;
/** struct sockaddr_nl. */
export const SOCKADDR_NL_BYTES = 12;
export const NL_PID = 4;
export const NL_GROUPS = 8;
/** struct nlmsghdr; messages stand at multiples of four. */
export const NLMSGHDR_BYTES = 16;
export const NLMSG_TYPE = 4;
export const NLMSG_SEQ = 8;
export const NLMSG_PID = 12;
export const NLMSG_ERROR = 2;
/** First type that isn't netlink's own. */
export const NLMSG_MIN_TYPE = 16;
export const SOCK_DIAG_BY_FAMILY = 20;

export const SIOCINQ = 0x541b;
export const SIOCOUTQ = 0x5411;
export const SIOCATMARK = 0x8905;
export const SIOCGIFNAME = 0x8910;
export const SIOCGIFCONF = 0x8912;
export const SIOCGIFFLAGS = 0x8913;
export const SIOCGIFADDR = 0x8915;
export const SIOCGIFDSTADDR = 0x8917;
export const SIOCGIFBRDADDR = 0x8919;
export const SIOCGIFNETMASK = 0x891b;
export const SIOCGIFMETRIC = 0x891d;
export const SIOCGIFMTU = 0x8921;
export const SIOCGIFHWADDR = 0x8927;
export const SIOCGIFINDEX = 0x8933;
export const SIOCGIFTXQLEN = 0x8942;
export const SIOCOUTQNSD = 0x894b;
/** struct ifreq. */
export const IFREQ_BYTES = 40;
