import { deviceMajor, deviceMinor } from './proc/device-number.js';

/** A host file as /proc/PID/maps names it, "major:minor inode": what `Inode.mappingKey` gives. */
export function mappingKeyOf(dev: number, ino: number): string {
	return `${hexadecimal(deviceMajor(dev))}:${hexadecimal(deviceMinor(dev))} ${ino}`;
}

function hexadecimal(number: number): string {
	return number.toString(16).padStart(2, '0');
}
