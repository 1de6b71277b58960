import { EINVAL } from '../../abi/errno.js';
import { PAGE_SIZE } from '../../abi/limits.js';

/** What tmpfs(5) lets a mount choose; null: not said. Bounds are Infinity for none. */
export interface TmpfsOptions {
	sizeBytes: number | null;
	inodes: number | null;
	/** Permission bits of the root. */
	mode: number | null;
	uid: number | null;
	gid: number | null;
}

/** The root's mode when it isn't said. */
export const TMPFS_MODE = 0o1777;

const SUFFIXES = 'kmgtpe';
const MAX_UINT32 = 2 ** 32 - 1;

/** A number with one of the suffixes k, m, g, t, p, e (Linux: memparse), or null. "%" is the caller's. */
function parseSize(text: string): number | null {
	const match = /^(0x[0-9a-f]+|\d+)([kmgtpe]?)$/i.exec(text);
	if (match === null) return null;
	const [, digits, suffix] = match as unknown as [string, string, string];
	const number = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
	return suffix === '' ? number : number * 1024 ** (SUFFIXES.indexOf(suffix.toLowerCase()) + 1);
}

function parseId(text: string): number | null {
	const id = /^\d+$/.test(text) ? Number(text) : -1;
	return id >= 0 && id < MAX_UINT32 ? id : null;
}

/**
 * Reads a tmpfs's options, "size=10%,mode=755". `totalBytes` is the memory that percentages are of.
 * Errors: EINVAL for what tmpfs doesn't know and for values that don't read.
 */
export function parseTmpfsOptions(text: string, totalBytes: number): TmpfsOptions | number {
	const options: TmpfsOptions = { sizeBytes: null, inodes: null, mode: null, uid: null, gid: null };
	for (const option of text.split(',')) {
		if (option === '') continue;
		const equals = option.indexOf('=');
		const name = equals < 0 ? option : option.slice(0, equals);
		const value = equals < 0 ? '' : option.slice(equals + 1);
		if (!apply(options, name, value, totalBytes)) return -EINVAL;
	}
	return options;
}

function apply(options: TmpfsOptions, name: string, value: string, totalBytes: number): boolean {
	switch (name) {
		case 'size': {
			const isShare = value.endsWith('%');
			const number = parseSize(isShare ? value.slice(0, -1) : value);
			if (number === null) return false;
			options.sizeBytes = bound(isShare ? Math.floor((totalBytes * number) / 100) : number);
			return true;
		}
		case 'nr_blocks': {
			const blocks = parseSize(value);
			if (blocks === null) return false;
			options.sizeBytes = bound(blocks * PAGE_SIZE);
			return true;
		}
		case 'nr_inodes': {
			const inodes = parseSize(value);
			if (inodes === null) return false;
			options.inodes = bound(inodes);
			return true;
		}
		case 'mode': {
			if (!/^[0-7]+$/.test(value) || Number.parseInt(value, 8) > MAX_UINT32) return false;
			options.mode = Number.parseInt(value, 8) % 0o10000;
			return true;
		}
		case 'uid': {
			options.uid = parseId(value);
			return options.uid !== null;
		}
		case 'gid': {
			options.gid = parseId(value);
			return options.gid !== null;
		}
		case 'huge':
			return ['never', 'always', 'within_size', 'advise'].includes(value);
		case 'mpol':
			return value === 'default' || value === 'local';
		default:
			return value === '' && (name === 'inode64' || name === 'noswap');
	}
}

/** Zero is no bound. */
function bound(value: number): number {
	return value === 0 ? Number.POSITIVE_INFINITY : value;
}

/** Options as /proc/mounts shows them: what was said and isn't the default. */
export function tmpfsOptionText({ sizeBytes, inodes, mode, uid, gid }: TmpfsOptions): string {
	const parts: string[] = [];
	if (sizeBytes !== null) parts.push(`size=${Number.isFinite(sizeBytes) ? Math.ceil(sizeBytes / PAGE_SIZE) * (PAGE_SIZE / 1024) : 0}k`);
	if (inodes !== null) parts.push(`nr_inodes=${Number.isFinite(inodes) ? inodes : 0}`);
	if (mode !== null && mode !== TMPFS_MODE) parts.push(`mode=${mode.toString(8).padStart(3, '0')}`);
	if (uid !== null && uid !== 0) parts.push(`uid=${uid}`);
	if (gid !== null && gid !== 0) parts.push(`gid=${gid}`);
	return parts.join(',');
}
