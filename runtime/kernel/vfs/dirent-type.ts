/** DT_* of a file's mode, getdents64(2): the file type's bits, moved down. */
export function direntType(mode: number): number {
	return (mode >> 12) & 0o17;
}
