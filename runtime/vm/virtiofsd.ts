/** The virtiofs daemon, which gives a guest the files of its containers: its command line, and where it finds what it shares. */

export const VIRTIOFSD = '/usr/lib/qemu/virtiofsd';

/** What it shares, inside its root. */
export const SHARE = '/share';
export const VIRTIOFSD_LISTEN_FD = 3;

/**
 * Capabilities of its own user namespace, by number (capabilities(7)): CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETGID, SETUID, SETPCAP, SYS_CHROOT,
 * MKNOD, SETFCAP. They are the guest's users' power over their own files; devices can't be made with them. (SETPCAP: libcap-ng complains where it is not had, by a call that the daemon's own filter kills it for.)
 */
export const VIRTIOFSD_CAPABILITIES = [0, 1, 2, 3, 4, 6, 7, 8, 18, 27, 31].reduce((mask, bit) => mask | (1 << bit), 0) >>> 0;

export function virtiofsdFiles(): string[] {
	const libraries = '/usr/lib/x86_64-linux-gnu';
	return [`${VIRTIOFSD}:${VIRTIOFSD}`, `${libraries}:${libraries}`, `${libraries}:/lib/x86_64-linux-gnu`, '/lib64:/lib64'];
}

/**
 * All trees are one file system in the guest (no announce_submounts): with a superblock each, Linux 6.1 was seen to hang for good in a container's last unmount,
 * and in each mount after it. So files of two of the host's file systems may have the same number in the guest.
 */
export function virtiofsdCommand(): string[] {
	return [
		VIRTIOFSD,
		`--fd=${VIRTIOFSD_LISTEN_FD}`,
		...['-o', `source=${SHARE}`, '-o', 'cache=auto', '-o', 'sandbox=chroot', '-o', 'xattr', '-o', 'log_level=err'],
		// Its limit is what the launcher has given it.
		'--rlimit-nofile=0',
	];
}
