import { ESRCH } from '../../../abi/errno.js';
import { hostField } from '../host-proc.js';
import { commText } from './comm.js';
import type { ProcessTarget } from './process-target.js';
import { guestState, stateText } from './state.js';

const SECCOMP_MODE_FILTER = 2;

/** /proc/PID/status, proc_pid_status(5): the host's text with the lines that are the guest kernel's own put in. */
export function statusText(target: ProcessTarget): string | number {
	const host = target.readHost('status');
	if (host === '' || target.isGone) return -ESRCH;
	let out = '';
	let at = 0;
	while (at < host.length) {
		let end = host.indexOf('\n', at);
		if (end < 0) end = host.length;
		const colon = host.indexOf(':', at);
		const name = host.slice(at, colon);
		const value = host.slice(colon + 2, end);
		const ours = guestValue(target, name, value, host);
		if (ours !== null) out += `${name}:\t${ours}\n`;
		at = end + 1;
	}
	return out;
}

/** The value of a line of `host`; null leaves it out. */
function guestValue(target: ProcessTarget, name: string, value: string, host: string): string | number | null {
	const { credentials, group } = target;
	const { container } = target.fs;
	switch (name) {
		case 'Name':
			return escapeName(commText(target, unescapeName(value)));
		case 'Umask':
			return `0${group.fs.umask.toString(8).padStart(3, '0')}`;
		case 'State':
			return stateText(guestState(target, value[0] ?? 'R'));
		case 'Tgid':
		case 'NStgid':
			return container.insideId(group.pid);
		case 'Pid':
		case 'NSpid':
			return target.insideId;
		case 'PPid':
			return container.insideId(Number(value));
		case 'NSpgid':
		case 'NSsid':
			// One number per namespace, innermost last: the guest knows of no other than its own.
			return value.slice(value.lastIndexOf('\t') + 1);
		case 'TracerPid':
			return 0;
		case 'Uid':
			return `${credentials.uid}\t${credentials.euid}\t${credentials.suid}\t${credentials.fsuid}`;
		case 'Gid':
			return `${credentials.gid}\t${credentials.egid}\t${credentials.sgid}\t${credentials.fsgid}`;
		case 'FDSize':
			return tableSize(group.files.size);
		case 'Groups':
			return credentials.groups.map((gid) => `${gid} `).join('') || ' ';
		case 'CapInh':
			return credentials.inheritable.toString();
		case 'CapPrm':
			return credentials.permitted.toString();
		case 'CapEff':
			return credentials.effective.toString();
		case 'CapBnd':
			return credentials.bounding.toString();
		case 'CapAmb':
			return credentials.ambient.toString();
		case 'NoNewPrivs':
			return credentials.noNewPrivs ? 1 : 0;
		case 'Seccomp':
			return ownFilters(target, host) > 0 ? SECCOMP_MODE_FILTER : 0;
		case 'Seccomp_filters':
			return ownFilters(target, host);
		default:
			return value;
	}
}

/** Filters that the guest has installed itself. */
function ownFilters(target: ProcessTarget, host: string): number {
	return Math.max(0, hostField(host, 'Seccomp_filters') - target.group.container.filterCount);
}

/** Linux's descriptor tables grow from 64 by powers of two to 256, then likewise. */
function tableSize(used: number): number {
	let size = 64;
	while (size < used) size *= 2;
	return size;
}

/** Names stand in `status` with newline and backslash escaped. */
function unescapeName(text: string): string {
	return text.includes('\\') ? text.replace(/\\(n|\\)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : '\\')) : text;
}

function escapeName(text: string): string {
	return text.replace(/[\n\\]/g, (byte) => (byte === '\n' ? '\\n' : '\\\\'));
}
