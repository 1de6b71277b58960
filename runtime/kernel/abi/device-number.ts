/** A device number as stat and mknod carry it, makedev(3). */
export function makeDevice(major: number, minor: number): number {
	return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export const DEV_NULL = makeDevice(1, 3);
export const DEV_ZERO = makeDevice(1, 5);
export const DEV_FULL = makeDevice(1, 7);
export const DEV_RANDOM = makeDevice(1, 8);
export const DEV_URANDOM = makeDevice(1, 9);
export const DEV_TTY = makeDevice(5, 0);
export const DEV_PTMX = makeDevice(5, 2);
