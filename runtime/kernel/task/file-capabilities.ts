import type { Inode } from '../vfs/inode.js';
import { CapabilitySet } from './credentials.js';

/** Revisions of security.capability (include/uapi/linux/capability.h), and the lengths that go with them, in bytes. */
const REVISION_MASK = 0xff000000;
const LENGTHS: ReadonlyMap<number, number> = new Map([
	[0x01000000, 12],
	[0x02000000, 20],
	[0x03000000, 24],
]);
const EFFECTIVE = 1;

/** Capabilities that a program's file gives, capabilities(7), "File capabilities". */
export interface FileCapabilities {
	readonly permitted: CapabilitySet;
	readonly inheritable: CapabilitySet;
	readonly isEffective: boolean;
}

/** Reads the attribute of a file; null without one, and for one that is malformed or another user namespace's. */
export function fileCapabilities(inode: Inode): FileCapabilities | null {
	const value = inode.getxattr('security.capability');
	return typeof value === 'number' ? null : parseFileCapabilities(value);
}

/** As `fileCapabilities`, of the attribute's bytes. */
export function parseFileCapabilities(value: Uint8Array): FileCapabilities | null {
	if (value.length < 4) return null;
	const view = new DataView(value.buffer, value.byteOffset, value.length);
	const magic = view.getUint32(0, true);
	const length = LENGTHS.get((magic & REVISION_MASK) >>> 0);
	if (length !== value.length) return null;
	// The third revision names the root of the user namespace that it is for.
	if (length === 24 && view.getUint32(20, true) !== 0) return null;
	const hasHigh = length > 12;
	const set = (at: number) => new CapabilitySet(view.getInt32(at, true), hasHigh ? view.getInt32(at + 8, true) : 0).and(CapabilitySet.full);
	return { permitted: set(4), inheritable: set(8), isEffective: (magic & EFFECTIVE) !== 0 };
}
