import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { HostError } from '../host-error.js';
import { native } from '../native.js';

const { O_RDONLY, O_WRONLY, O_RDWR } = constants;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFIFO = 0o010000;
const O_ACCMODE = 3;
const O_NONBLOCK = 0o4000;

/**
 * Calls `action` with the three descriptors as a sandbox process needs them, which are closed afterwards: /dev/null in the place of -1, and non-blocking without
 * changing the caller's. A terminal's are used as they are where they are a pty's, which must not become anybody's controlling terminal.
 * Of an output FIFO that is open both ways the program gets the writing end alone; its reading end is in `kept`, for as long as its output is to be kept.
 */
export async function withStdio<T>(
	stdio: readonly number[],
	isTerminal: boolean,
	action: (fds: readonly number[], kept: readonly number[]) => Promise<T>,
): Promise<T> {
	const fds: number[] = [];
	const kept: number[] = [];
	try {
		for (const [index, fd] of stdio.entries()) {
			const isKept = index > 0 && fd >= 0 && (fstatSync(fd).mode & S_IFMT) === S_IFIFO && accessMode(fd) === O_RDWR;
			if (isKept) kept.push(reopenFifo(fd, O_RDONLY));
			fds.push(isKept ? reopenFifo(fd, O_WRONLY) : streamDescriptor(index, fd, isTerminal));
		}
		return await action(fds, kept);
	} finally {
		for (const fd of [...fds, ...kept]) closeSync(fd);
	}
}

function reopenFifo(fd: number, access: number): number {
	const again = native.reopen(fd, access | O_NONBLOCK);
	if (again < 0) throw HostError.errno('Open a FIFO again', -again);
	return again;
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
