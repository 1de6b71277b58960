import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { runtime } from '../../../proto/generated/cri.js';
import { HostError } from '../../../runtime/host-error.js';
import { native } from '../../../runtime/native.js';

const MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8;
/** resolv.conf(5): how many a resolver reads. */
const MAX_SEARCHES = 32;

/** Writes what a pod's containers have in /etc and /dev/shm: hostname, hosts, resolv.conf, shm. Throws HostError. */
export function makePodFiles(folder: string, hostname: string, ips: readonly string[], dns: runtime.v1.DNSConfig.$Properties | null): void {
	mkdirSync(join(folder, 'shm'), { recursive: true, mode: 0o711 });
	const write = (name: string, text: string): void => writeFileSync(join(folder, name), text, { mode: 0o644 });
	write('hostname', `${hostname}\n`);
	write('hosts', hosts(hostname, ips));
	write('resolv.conf', dns === null ? hostResolvConf() : resolvConf(dns));
	const error = native.mount('shm', join(folder, 'shm'), 'tmpfs', MS_NOSUID_NODEV_NOEXEC, 'mode=1777,size=65536k', 0);
	if (error < 0) throw HostError.errno(`Mount the shared memory of the pod on ${folder}/shm`, -error);
}

/** kubelet mounts a file of its own for containers; others have this one. */
function hosts(hostname: string, ips: readonly string[]): string {
	const own = ips.map((ip) => `${ip}\t${hostname}\n`).join('');
	return `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${own}`;
}

function resolvConf({ servers, searches, options }: runtime.v1.DNSConfig.$Properties): string {
	const lines = (servers ?? []).map((server) => `nameserver ${server}\n`);
	if ((searches ?? []).length > 0) lines.unshift(`search ${searches!.slice(0, MAX_SEARCHES).join(' ')}\n`);
	if ((options ?? []).length > 0) lines.push(`options ${options!.join(' ')}\n`);
	return lines.join('');
}

function hostResolvConf(): string {
	try {
		return readFileSync('/etc/resolv.conf', 'utf8');
	} catch {
		return '';
	}
}
