// What a container with CAP_SYS_ADMIN may mount: a C program, and the commands of util-linux and busybox. Each case in a mount namespace of its own.

import type { ConformanceCase } from './cases.js';

/** The mounts of the case's folder, without numbers. */
const table = `table() { awk -v d="$PWD" 'index($5, d "/") == 1 { $1 = $2 = $3 = ""; gsub(/:[0-9]+/, ""); print }' /proc/self/mountinfo; }`;

const scripts: Readonly<Record<string, string>> = {
	'util-linux': `mount -t tmpfs -o size=2m,mode=711 name d; stat -c %a d; df -k --output=size,target d | tail -1; findmnt -rno FSTYPE,SOURCE,OPTIONS d; table
mount -o remount,ro d; touch d/x; mount -o remount,rw,noexec d; printf '#!/bin/sh\necho ran\n' >d/x; chmod +x d/x; d/x; echo $?; mount -o remount,exec d; d/x
mount --bind d e; ls e; mount -o remount,bind,ro e; touch e/y; mountpoint e; mountpoint f; umount e d; ls d e; umount d; echo $?; mount -t tmpfs x nothing; echo $?`,
	propagation: `mount -t tmpfs t d; mount --make-shared d; mkdir d/in; mount --bind d e; mount -t tmpfs u d/in; touch e/in/seen; ls d/in; table; mount --make-private e; umount d/in; ls e/in; umount -R e; umount d; table`,
	move: `mount -t tmpfs t d; touch d/x; mount --move d e; ls d e; mount --rbind e f; touch f/y; ls e; umount e f; table`,
	lazy: `mount -t tmpfs t d; (cd d; umount "$OLDPWD/d"; echo $?; umount -l "$OLDPWD/d"; touch x; ls; pwd); ls d; table`,
	busybox: `b=busybox; $b mount -t tmpfs -o size=1m t d; $b df -k d | tail -1 | tr -s ' ' | cut -d ' ' -f 2; $b mount -o remount,ro d; $b touch d/x; $b mount -o bind d e; $b mountpoint -q e; echo $?; $b umount e; $b umount -l d; $b umount d; echo $?; table`,
	'pivot-root': `mount -t tmpfs r d; mkdir -p d/old d/bin; for m in /usr /lib64 /lib /bin; do mkdir -p d$m; mount --rbind $m d$m; done; cd d; pivot_root . old; ls; ls old/proc/self/comm; umount -l old; ls old; cd /; pwd; ls usr >/dev/null && echo usr`,
	proc: `mount -t proc p d; cat d/self/comm; umount d; mount -t tmpfs t /proc; ls /proc; umount /proc; ls /proc/self/comm; chroot / cat /proc/self/comm`,
};

export const mountCases: readonly ConformanceCase[] = [
	{ name: 'calls', script: "unshare -m sh -c 'exec /mnt/bin/mounts'" },
	...Object.entries(scripts).map(([name, script]) => ({
		name,
		script: `[ "$1" ] || exec unshare -m sh "$0" inside 2>&1
${table}
mkdir d e f; mount -t tmpfs base d; cd d; mkdir d e f
${script}; true`,
	})),
];
