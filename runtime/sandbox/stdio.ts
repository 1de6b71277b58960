import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { native } from '../native.js';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFIFO = 0o010000;
const O_ACCMODE = 3;
const O_NONBLOCK = 0o4000;

/**
 * Calls `action` with the three descriptors as a sandbox process needs them, which are closed afterwards: /dev/null in the place of -1, and non-blocking without
 * changing the caller's. A terminal's are used as they are where they are a pty's, which must not become anybody's controlling terminal.
 */
export async function withStdio<T>(
	stdio: readonly number[],
	isTerminal: boolean,
	action: (fds: readonly number[]) => Promise<T>,
): Promise<T> {
	const fds: number[] = [];
	try {
		for (const [index, fd] of stdio.entries()) fds.push(streamDescriptor(index, fd, isTerminal));
		return await action(fds);
	} finally {
		for (const fd of fds) closeSync(fd);
	}
}

function streamDescriptor(index: number, fd: number, isTerminal: boolean): number {
	if (fd < 0) return openSync('/dev/null', 'r+');
	const kind = fstatSync(fd).mode & S_IFMT;
	if (kind === S_IFREG || (isTerminal && kind !== S_IFIFO)) return native.dup(fd);
	// A FIFO that is open both ways has no end as long as it is.
	const access = kind === S_IFIFO ? accessMode(fd) : index === 0 ? 0 : 1;
	const again = native.reopen(fd, access | O_NONBLOCK);
	if (again >= 0) return again;
	const copy = native.dup(fd);
	native.setNonBlocking(copy, true);
	return copy;
}

function accessMode(fd: number): number {
	const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0';
	return Number.parseInt(flags, 8) & O_ACCMODE;
}
