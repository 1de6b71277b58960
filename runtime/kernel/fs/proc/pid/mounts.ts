import { ESRCH } from '../../../abi/errno.js';
import {
	type Mount,
	MS_NOATIME,
	MS_NODEV,
	MS_NODIRATIME,
	MS_NOEXEC,
	MS_NOSUID,
	MS_NOSYMFOLLOW,
	MS_RDONLY,
	MS_RELATIME,
} from '../../../vfs/mount.js';
import { dentryText, mountpointText } from '../../../vfs/path-text.js';
import { deviceMajor, deviceMinor } from '../device-number.js';
import type { ProcessTarget } from './process-target.js';

/** Mount flags in the order in which Linux prints them. */
const FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [
	[MS_NOSUID, ',nosuid'],
	[MS_NODEV, ',nodev'],
	[MS_NOEXEC, ',noexec'],
	[MS_NOATIME, ',noatime'],
	[MS_NODIRATIME, ',nodiratime'],
	[MS_RELATIME, ',relatime'],
	[MS_NOSYMFOLLOW, ',nosymfollow'],
];

function flagText(mount: Mount): string {
	let text = '';
	for (const [flag, name] of FLAG_NAMES) if ((mount.flags & flag) !== 0) text += name;
	return text;
}

function accessText(flags: number): string {
	return (flags & MS_RDONLY) !== 0 ? 'ro' : 'rw';
}

/** The optional fields of mountinfo: who a mount shares with. */
function propagationText({ peers, master, isUnbindable }: Mount): string {
	const shared = peers === null ? '' : ` shared:${peers.id}`;
	return shared + (master === null ? '' : ` master:${master.id}`) + (isUnbindable ? ' unbindable' : '');
}

/** Space, tab, newline, backslash and "#" as octal escapes, so that fields stay fields (Linux: mangle). */
export function escapeField(text: string): string {
	return text.replace(/[ \t\n\\#]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** One line per mount that the process sees below its root, oldest first. */
function eachMount(target: ProcessTarget, line: (mount: Mount, place: string) => string): string | number {
	if (target.isGone) return -ESRCH;
	const { fs } = target.group;
	let text = '';
	for (const mount of [...fs.mounts.all()].sort((a, b) => a.id - b.id)) {
		const place = mountpointText(mount, fs.root);
		if (place !== null) text += line(mount, escapePlace(place));
	}
	return text;
}

/** A mount point, unlike the other fields, keeps its "#". */
function escapePlace(text: string): string {
	return text.replace(/[ \t\n\\]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** /proc/PID/mounts, proc_pid_mounts(5), fstab(5). */
export function mountsText(target: ProcessTarget): string | number {
	return eachMount(target, (mount, place) => {
		const options = mount.options === '' ? '' : `,${mount.options}`;
		return `${escapeField(mount.source || 'none')} ${place} ${mount.fs.type} ${accessText(mount.flags | mount.fs.superFlags)}${flagText(mount)}${options} 0 0\n`;
	});
}

/** /proc/PID/mountinfo, proc_pid_mountinfo(5). */
export function mountInfoText(target: ProcessTarget): string | number {
	return eachMount(target, (mount, place) => {
		const { dev } = mount.fs;
		const parent = mount.parent?.id ?? mount.id;
		const options = mount.options === '' ? '' : `,${mount.options}`;
		return (
			`${mount.id} ${parent} ${deviceMajor(dev)}:${deviceMinor(dev)} ${escapePlace(dentryText(mount.root))} ${place} ${accessText(mount.flags)}${flagText(mount)}` +
			`${propagationText(mount)} - ${mount.fs.type} ${escapeField(mount.source || 'none')} ${accessText(mount.fs.superFlags)}${options}\n`
		);
	});
}

/** /proc/PID/mountstats, proc_pid_mountstats(5): without statistics, as most file systems. */
export function mountStatsText(target: ProcessTarget): string | number {
	return eachMount(
		target,
		(mount, place) => `device ${escapeField(mount.source || 'none')} mounted on ${place} with fstype ${mount.fs.type}\n`,
	);
}
