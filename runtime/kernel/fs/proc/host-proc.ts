import { native } from '../../../native.js';

/** Most of one file of the host's that is looked at: smaps of a process with many mappings. */
const MAX_BYTES = 16 << 20;

const small = Buffer.alloc(64 << 10);

/** A file below the host's /proc as a byte string, "" if it can't be read. `path` is relative to /proc: "123/stat". */
export function readHostProc(path: string): string {
	let buffer = small;
	for (;;) {
		const length = native.readProcFile(path, buffer);
		if (length <= 0) return '';
		if (length < buffer.length || length >= MAX_BYTES) return buffer.latin1Slice(0, length);
		buffer = Buffer.allocUnsafeSlow(Math.min(buffer.length * 8, MAX_BYTES));
	}
}

/** The value of "Name:   123 kB" (or without a unit) in a file like meminfo or status; 0 if it isn't there. */
export function hostField(text: string, name: string): number {
	const at = text.indexOf(`${name}:`);
	return at < 0 ? 0 : Number.parseInt(text.slice(at + name.length + 1), 10) || 0;
}
