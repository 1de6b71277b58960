/** Bytes of file contents that open descriptions of proc files keep at most, in the whole sandbox. */
const MAX_RETAINED_BYTES = 64 << 20;

let retainedBytes = 0;

/** Accounts for `bytes` more to be kept (negative: freed). False when that is too much: ENOMEM. */
export function retain(bytes: number): boolean {
	if (bytes > 0 && retainedBytes + bytes > MAX_RETAINED_BYTES) return false;
	retainedBytes += bytes;
	return true;
}
