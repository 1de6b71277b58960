/** A wait status (waitpid(2)) as shells report it: the exit code, or 128 + the signal. */
export function exitCode(status: number): number {
	return (status & 0x7f) !== 0 ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}
