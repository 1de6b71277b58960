const HEADER_BYTES = 110;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFCHR = 0o020000;

/** A file of an archive: a folder, a regular file with its bytes, or a character device. */
export type CpioEntry =
	| { readonly kind: 'folder'; readonly path: string; readonly mode: number }
	| { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
	| { readonly kind: 'device'; readonly path: string; readonly mode: number; readonly major: number; readonly minor: number };

/**
 * An archive in the "newc" format, which a kernel unpacks as its first root (Documentation/driver-api/early-userspace/buffer-format.rst). The same entries
 * give the same bytes: root owns all, and all times are 0.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
	const parts: Buffer[] = [];
	let inode = 1;
	const add = (path: string, mode: number, bytes: Uint8Array, major: number, minor: number): void => {
		const name = Buffer.from(`${path}\0`);
		const fields = [inode++, mode, 0, 0, 1, 0, bytes.length, 0, 0, major, minor, name.length, 0];
		const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
		parts.push(header, name, padding(HEADER_BYTES + name.length), Buffer.from(bytes), padding(bytes.length));
	};
	const none = new Uint8Array(0);
	for (const entry of entries) {
		if (entry.kind === 'file') add(entry.path, S_IFREG | entry.mode, entry.bytes, 0, 0);
		else if (entry.kind === 'folder') add(entry.path, S_IFDIR | entry.mode, none, 0, 0);
		else add(entry.path, S_IFCHR | entry.mode, none, entry.major, entry.minor);
	}
	add('TRAILER!!!', 0, none, 0, 0);
	return Buffer.concat(parts);
}

/** To a multiple of 4 bytes. */
function padding(length: number): Buffer {
	return Buffer.alloc(-length & 3);
}
