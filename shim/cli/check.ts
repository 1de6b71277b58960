import { existsSync } from 'node:fs';
import { native } from '../../runtime/native.js';
import { findAccelerator } from '../../runtime/vm/accelerator.js';
import { guestImage } from '../../runtime/vm/image.js';
import { QEMU } from '../../runtime/vm/qemu.js';
import { VIRTIOFSD } from '../../runtime/vm/virtiofsd.js';

/** What each probe is for, and what to do when it fails. */
const WHY: Readonly<Record<string, readonly [needed: boolean, text: string]>> = {
	userNotification: [true, 'seccomp user notification (CONFIG_SECCOMP_FILTER): how system calls reach the guest kernel'],
	waitKillable: [true, 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19): no answer is lost to a signal'],
	waitKillableIsSafe: [true, 'answers survive a signal storm (race mended in Linux 6.17 and stable kernels)'],
	syncWakeUp: [false, 'SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (Linux 6.6): faster traps'],
	addFd: [true, 'SECCOMP_IOCTL_NOTIF_ADDFD (Linux 5.9): files can be mapped'],
	openat2: [true, "openat2 (Linux 5.6): paths stay below the container's tree"],
	pidfdThread: [true, "PIDFD_THREAD (Linux 6.9): a thread's end is known before its number is used again"],
	idmappedMounts: [true, 'idmapped mounts (Linux 5.12): each pod has host users of its own'],
	userNamespaces: [true, 'user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone)'],
	pidNamespaceIoctl: [true, 'NS_GET_PID_IN_PIDNS (Linux 6.11): ids are translated between PID namespaces'],
	processVm: [true, 'process_vm_readv (CONFIG_CROSS_MEMORY_ATTACH): guest memory'],
};

/** `isopod check`: tries what the host's kernel can do. Exit status 0 when all that is needed works. */
export function checkHost(): number {
	let isGood = true;
	for (const [name, problem] of Object.entries(native.probeHost()) as [string, string | null][]) {
		const [isNeeded, text] = WHY[name] ?? [false, name];
		const mark = problem === null ? 'ok     ' : isNeeded ? 'MISSING' : 'slower ';
		process.stdout.write(`${mark}  ${text}${problem === null ? '' : `\n         ${problem}`}\n`);
		if (problem !== null && isNeeded) isGood = false;
	}
	const machines = machineProblem();
	process.stdout.write(
		`${machines === null ? 'ok     ' : 'slower '}  virtual machines (handler isopod-vm): QEMU, its virtiofs daemon, KVM\n`,
	);
	if (machines !== null) process.stdout.write(`         ${machines}\n`);
	process.stdout.write(isGood ? 'This host can run guest kernels.\n' : 'This host can not run guest kernels.\n');
	return isGood ? 0 : 1;
}

/** What machines lack on this host; null when nothing. */
function machineProblem(): string | null {
	for (const program of [QEMU, VIRTIOFSD])
		if (!existsSync(program)) return `${program} is missing: pods of isopod-vm can't run (apt-get install qemu-system-x86)`;
	try {
		return findAccelerator(guestImage()) === 'kvm' ? null : 'KVM runs no guest here: machines are emulated (TCG), several times slower';
	} catch (error) {
		return `there is no guest image: ${error instanceof Error ? error.message : String(error)}`;
	}
}
