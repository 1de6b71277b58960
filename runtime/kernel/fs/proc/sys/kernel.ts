import { CAP_LAST } from '../../../abi/capability-sets.js';
import { NGROUPS_MAX } from '../../../abi/limits.js';
import { UTS_MACHINE, UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../../../abi/uts.js';
import { bounds } from '../../../bounds.js';
import { SEMMSL, SEMOPM } from '../../../ipc/sysv/ipc-namespace.js';
import { MSGMAX, MSGMNB } from '../../../ipc/sysv/message-queue.js';
import { SHMALL, SHMMAX } from '../../../ipc/sysv/shared-memory.js';
import { ProcDirectory } from '../proc-directory.js';
import type { ProcFileSystem } from '../proc-file-system.js';
import { randomDirectory } from './random.js';
import { SysctlFile } from './sysctl-file.js';

/** Linux's defaults, proc_sys_kernel(5), but for what is bounded more narrowly here. */
const constants = (): Readonly<Record<string, string | number>> => ({
	core_pattern: 'core',
	core_uses_pid: 0,
	dmesg_restrict: 1,
	kptr_restrict: 1,
	msgmax: MSGMAX,
	msgmnb: MSGMNB,
	msgmni: bounds.messageQueues,
	overflowgid: 65534,
	overflowuid: 65534,
	panic: 0,
	perf_event_paranoid: 2,
	pid_max: 4194304,
	randomize_va_space: 2,
	sched_rt_period_us: 1000000,
	sched_rt_runtime_us: 950000,
	sem: `${SEMMSL}\t${bounds.semaphores}\t${SEMOPM}\t${bounds.semaphoreSets}`,
	shmall: SHMALL,
	shmmax: SHMMAX,
	shmmni: bounds.sharedSegments,
	sysctl_writes_strict: 1,
	tainted: 0,
	'threads-max': bounds.tasks,
	unprivileged_bpf_disabled: 2,
});
/** Those that nobody writes, whoever he is. */
const READ_ONLY: Readonly<Record<string, string | number>> = {
	arch: UTS_MACHINE,
	cap_last_cap: CAP_LAST,
	ngroups_max: NGROUPS_MAX,
	osrelease: UTS_RELEASE,
	ostype: UTS_SYSNAME,
	version: UTS_VERSION,
};

/** /proc/sys/kernel, proc_sys_kernel(5). */
export function kernelDirectory(fs: ProcFileSystem): ProcDirectory {
	const directory = new ProcDirectory(fs);
	const { container } = fs;
	for (const [name, value] of Object.entries(constants())) directory.add(name, new SysctlFile(fs, () => `${value}\n`));
	for (const [name, value] of Object.entries(READ_ONLY)) directory.add(name, new SysctlFile(fs, () => `${value}\n`, 0o444));
	directory.add('hostname', new SysctlFile(fs, () => `${container.uts.hostname}\n`));
	directory.add('domainname', new SysctlFile(fs, () => `${container.uts.domainname}\n`));
	directory.add('random', randomDirectory(fs));
	return directory;
}
