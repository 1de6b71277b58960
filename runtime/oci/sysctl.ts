import { writeFileSync } from 'node:fs';
import { HostError } from '../host-error.js';
import { inNetworkNamespace } from './network-namespace.js';

/**
 * Sets sysctls of a network namespace (`net.ipv4.ip_forward` and "1"). The calling thread is in that namespace meanwhile. Throws HostError naming the one
 * that can't be set.
 */
export function setNetworkSysctls(sysctls: Readonly<Record<string, string>>, networkNamespaceFd: number): void {
	inNetworkNamespace(networkNamespaceFd, () => {
		for (const [name, value] of Object.entries(sysctls)) {
			try {
				writeFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, value, { flag: 'r+' });
			} catch (error) {
				throw HostError.from(`Set linux.sysctl.${name} to ${JSON.stringify(value)}`, error);
			}
		}
	});
}
