import { ESRCH } from '../../../abi/errno.js';
import { LOADER_BASE, LOADER_BYTES, RING_AREA, RING_AREA_BYTES, RING_TABLE, RING_TABLE_BYTES } from '../../../abi/loader-layout.js';
import type { Task } from '../../../task/task.js';
import { linkText } from '../../../vfs/path-text.js';
import { deviceMajor, deviceMinor } from '../device-number.js';
import type { ProcessTarget } from './process-target.js';

/** Column at which a mapping's name begins. */
const NAME_COLUMN = 73;
/** A line that begins a mapping: range, permissions, offset, device, inode, name. In smaps lines of its numbers follow. */
const HEADER = /^([0-9a-f]+)-([0-9a-f]+) ([-rwxps]{4}) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)(?: +(.*))?$/;
/** Names that the host's kernel gives to memory without a file. */
const ZERO_NAME = '/dev/zero (deleted)';

/**
 * /proc/PID/maps and /proc/PID/smaps, proc_pid_maps(5): the host's, without the loader, with the guest's names, devices and inode numbers.
 */
export function mapsText(reader: Task, target: ProcessTarget, file: 'maps' | 'smaps'): string | number {
	const host = target.readHost(file);
	if (target.isGone) return -ESRCH;
	const out: string[] = [];
	let isShown = true;
	for (const line of host.split('\n')) {
		if (line === '') continue;
		const header = HEADER.exec(line);
		if (header !== null) {
			isShown = isGuests(Number.parseInt(header[1]!, 16), header[7] ?? '');
			if (isShown) out.push(guestHeader(reader, target, line, header));
		} else if (isShown) out.push(line);
	}
	if (out.length === 0) return '';
	out.push('');
	return out.join('\n');
}

/** Is a mapping the guest's own? The heap begins right behind the loader. */
function isGuests(start: number, name: string): boolean {
	if (start >= LOADER_BASE && start < LOADER_BASE + LOADER_BYTES) return name === '[heap]';
	if (start >= RING_TABLE && start < RING_TABLE + RING_TABLE_BYTES) return false;
	return start < RING_AREA || start >= RING_AREA + RING_AREA_BYTES;
}

function guestHeader(reader: Task, target: ProcessTarget, line: string, header: RegExpExecArray): string {
	const device = header[5]!;
	const ino = header[6]!;
	if (ino === '0') return line;
	const path = target.group.container.mappedNames.get(`${device} ${ino}`);
	const prefix = `${header[1]}-${header[2]} ${header[3]} ${header[4]} `;
	const name = header[7] ?? '';
	if (path === undefined) {
		// A file of the host's that the guest has no name for: shared anonymous memory keeps its own.
		const kept = name === ZERO_NAME || name.startsWith('/SYSV') ? name : '';
		return withName(`${prefix}${device} ${ino}`, kept);
	}
	const inode = path.dentry.inode!;
	const dev = inode.fs.dev;
	const guestDevice = `${hexadecimal(deviceMajor(dev))}:${hexadecimal(deviceMinor(dev))}`;
	return withName(`${prefix}${guestDevice} ${inode.ino}`, linkText(path, reader.fs.root).replaceAll('\n', '\\012'));
}

function withName(text: string, name: string): string {
	return name === '' ? `${text} ` : `${text.padEnd(NAME_COLUMN - 1)} ${name}`;
}

function hexadecimal(value: number): string {
	return value.toString(16).padStart(2, '0');
}
