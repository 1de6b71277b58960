import { CAP_LAST } from '../../../abi/capability-sets.js';
import { NGROUPS_MAX } from '../../../abi/limits.js';
import { UTS_MACHINE, UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../../../abi/uts.js';
import { ProcDirectory } from '../proc-directory.js';
import type { ProcFileSystem } from '../proc-file-system.js';
import { randomDirectory } from './random.js';
import { SysctlFile } from './sysctl-file.js';

/** SHMMAX and SHMALL: ULONG_MAX - 2^24 (include/uapi/linux/shm.h). */
const SHM_UNLIMITED = '18446744073692774399';

/** Linux's defaults, proc_sys_kernel(5). */
const CONSTANTS: Readonly<Record<string, string | number>> = {
	core_pattern: 'core',
	core_uses_pid: 0,
	dmesg_restrict: 1,
	kptr_restrict: 1,
	msgmax: 8192,
	msgmnb: 16384,
	msgmni: 32000,
	overflowgid: 65534,
	overflowuid: 65534,
	panic: 0,
	perf_event_paranoid: 2,
	pid_max: 4194304,
	randomize_va_space: 2,
	sched_rt_period_us: 1000000,
	sched_rt_runtime_us: 950000,
	sem: '32000\t1024000000\t500\t32000',
	shmall: SHM_UNLIMITED,
	shmmax: SHM_UNLIMITED,
	shmmni: 4096,
	sysctl_writes_strict: 1,
	tainted: 0,
	'threads-max': 124000,
	unprivileged_bpf_disabled: 2,
};
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
	for (const [name, value] of Object.entries(CONSTANTS)) directory.add(name, new SysctlFile(fs, () => `${value}\n`));
	for (const [name, value] of Object.entries(READ_ONLY)) directory.add(name, new SysctlFile(fs, () => `${value}\n`, 0o444));
	directory.add('hostname', new SysctlFile(fs, () => `${container.hostname}\n`));
	directory.add('domainname', new SysctlFile(fs, () => `${container.domainname}\n`));
	directory.add('random', randomDirectory(fs));
	return directory;
}
