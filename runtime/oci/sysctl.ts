import { closeSync, openSync, writeFileSync } from 'node:fs';
import { HostError } from '../host-error.js';
import { native } from '../native.js';

/**
 * Sets sysctls of a network namespace (`net.ipv4.ip_forward` and "1"). The calling thread is in that namespace meanwhile. Throws HostError naming the one
 * that can't be set.
 */
export function setNetworkSysctls(sysctls: Readonly<Record<string, string>>, networkNamespaceFd: number): void {
	const own = openSync('/proc/thread-self/ns/net', 'r');
	try {
		enter(networkNamespaceFd);
		for (const [name, value] of Object.entries(sysctls)) {
			try {
				writeFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, value, { flag: 'r+' });
			} catch (error) {
				throw HostError.from(`Set linux.sysctl.${name} to ${JSON.stringify(value)}`, error);
			}
		}
	} finally {
		enter(own);
		closeSync(own);
	}
}

function enter(fd: number): void {
	const error = native.enterNetworkNamespace(fd);
	if (error < 0) throw HostError.errno('Enter a network namespace', -error);
}
