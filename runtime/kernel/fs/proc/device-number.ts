/** Parts of a device number as st_dev carries it, makedev(3). */
export function deviceMajor(dev: number): number {
	return (dev >>> 8) & 0xfff;
}

export function deviceMinor(dev: number): number {
	return (dev & 0xff) | ((dev >>> 12) & ~0xff);
}
