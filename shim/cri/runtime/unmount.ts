import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { native } from '../../../runtime/native.js';

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** Takes away every mount on a folder and below it, of whoever left it: what is mounted can't be removed. */
export function unmountAll(folder: string): void {
	if (!existsSync(folder)) return;
	const real = realpathSync(folder);
	const points = mountPoints(readFileSync('/proc/self/mountinfo', 'latin1')).filter((point) => `${point}/`.startsWith(`${real}/`));
	// The last ones lie on those before them.
	for (const point of points.reverse()) native.umount(point, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/** The mount points of a mountinfo file (proc(5)), in their order. */
function mountPoints(mountinfo: string): string[] {
	return mountinfo
		.split('\n')
		.map((line) => line.split(' ')[4] ?? '')
		.map((point) => point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}
