import { native } from '../../../native.js';
import type { NetworkNamespace } from '../../net/network-namespace.js';
import { readHostProc } from './host-proc.js';
import type { ProcText } from './proc-file.js';

/** Files of the host's /proc/net that tell of nothing but the network namespace they are read in: the pod's. */
const HOST_FILES = [
	'arp',
	'dev',
	'dev_mcast',
	'fib_trie',
	'fib_triestat',
	'icmp',
	'icmp6',
	'if_inet6',
	'igmp',
	'igmp6',
	'ipv6_route',
	'mcfilter',
	'mcfilter6',
	'netstat',
	'protocols',
	'raw',
	'raw6',
	'route',
	'rt_cache',
	'snmp',
	'snmp6',
	'sockstat',
	'sockstat6',
	'tcp',
	'tcp6',
	'udp',
	'udp6',
	'udplite',
	'udplite6',
] as const;

const probe = new Uint8Array(1);

/** What /proc/net holds, proc_pid_net(5): the host's files as far as it has them, and the guest kernel's own unix sockets. */
export function netFiles(network: NetworkNamespace): ReadonlyMap<string, ProcText> {
	const files = new Map<string, ProcText>();
	for (const name of HOST_FILES) {
		const path = `self/net/${name}`;
		if (native.readProcFile(path, probe) >= 0) files.set(name, () => readHostProc(path));
	}
	return files.set('unix', () => unixText(network));
}

function unixText(network: NetworkNamespace): string {
	let text = 'Num       RefCount Protocol Flags    Type St Inode Path\n';
	for (const socket of network.unixSockets) text += `${socket.procLine()}\n`;
	return text;
}
