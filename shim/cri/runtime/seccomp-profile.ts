import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { runtime } from '../../../proto/generated/cri.js';
import { parseSeccomp } from '../../../runtime/oci/seccomp.js';
import { ConfigError, Section } from '../../../runtime/oci/section.js';
import { cri } from '../methods.js';
import { invalid } from '../server/cri-error.js';

const EPERM = 1;
const ENOSYS = 38;
const MAX_PROFILE_BYTES = 1 << 20;
const LOCALHOST = 'localhost/';

/** Calls that a container makes only with one of some capabilities. */
interface Guarded {
	readonly capabilities: readonly string[];
	readonly names: readonly string[];
}

/**
 * RuntimeDefault as Docker and containerd mean it: what no ordinary program calls, or only with a capability that it must have been given. It is written as what is
 * denied, since the guest kernel knows no call that isn't in its table: there is no host's kernel to keep new calls from.
 */
const NEVER = [
	...['add_key', 'keyctl', 'request_key', 'kexec_file_load', 'kexec_load', 'migrate_pages', 'move_pages', 'nfsservctl', 'pivot_root'],
	...['_sysctl', 'sysfs', 'swapoff', 'swapon', 'uselib', 'userfaultfd', 'ustat', 'create_module', 'get_kernel_syms', 'query_module'],
	...['io_uring_enter', 'io_uring_register', 'io_uring_setup'],
];
const GUARDED: readonly Guarded[] = [
	{
		capabilities: ['CAP_SYS_ADMIN'],
		names: [
			...['fanotify_init', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'lookup_dcookie', 'mount', 'mount_setattr', 'move_mount'],
			...['open_tree', 'quotactl', 'quotactl_fd', 'setdomainname', 'sethostname', 'setns', 'umount2', 'unshare'],
		],
	},
	{ capabilities: ['CAP_SYS_ADMIN', 'CAP_BPF'], names: ['bpf'] },
	{ capabilities: ['CAP_SYS_ADMIN', 'CAP_PERFMON'], names: ['perf_event_open'] },
	{ capabilities: ['CAP_SYS_ADMIN', 'CAP_SYSLOG'], names: ['syslog'] },
	{ capabilities: ['CAP_DAC_READ_SEARCH'], names: ['open_by_handle_at'] },
	{ capabilities: ['CAP_SYS_BOOT'], names: ['reboot'] },
	{ capabilities: ['CAP_SYS_CHROOT'], names: ['chroot'] },
	{ capabilities: ['CAP_SYS_MODULE'], names: ['delete_module', 'finit_module', 'init_module'] },
	{ capabilities: ['CAP_SYS_NICE'], names: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'] },
	{ capabilities: ['CAP_SYS_PACCT'], names: ['acct'] },
	{ capabilities: ['CAP_SYS_PTRACE'], names: ['kcmp', 'pidfd_getfd', 'process_madvise'] },
	{ capabilities: ['CAP_SYS_RAWIO'], names: ['ioperm', 'iopl'] },
	{ capabilities: ['CAP_SYS_TIME'], names: ['clock_settime', 'settimeofday'] },
	{ capabilities: ['CAP_SYS_TTY_CONFIG'], names: ['vhangup'] },
];
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: clone(2)'s ways to a new namespace. */
const NAMESPACE_FLAGS = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000];
/** What personality(2) may be asked for, ascending: PER_LINUX, PER_LINUX32, both with UNAME26, and what it is. */
const PERSONALITIES = [0, 8, 0x20000, 0x20008, 0xffffffff];
/** AF_ALG and AF_VSOCK. */
const DENIED_FAMILIES = [38, 40];

/** `linux.seccomp` of RuntimeDefault, for a container with some capabilities (`CAP_…`). */
export function defaultProfile(capabilities: readonly string[]): object {
	const has = (names: readonly string[]): boolean => names.some((name) => capabilities.includes(name));
	const denied = [...NEVER, ...GUARDED.filter((guarded) => !has(guarded.capabilities)).flatMap(({ names }) => names)];
	const deny = (names: readonly string[], args: readonly object[] = [], errnoRet = EPERM): object => ({
		...{ names, action: 'SCMP_ACT_ERRNO', errnoRet },
		...(args.length > 0 && { args }),
	});
	const namespaces = [
		...NAMESPACE_FLAGS.map((flag) => deny(['clone'], [{ index: 0, value: flag, valueTwo: flag, op: 'SCMP_CMP_MASKED_EQ' }])),
		// Its flags lie in memory, where no filter sees them: libraries then use clone.
		deny(['clone3'], [], ENOSYS),
	];
	return {
		defaultAction: 'SCMP_ACT_ALLOW',
		syscalls: [
			deny(denied),
			...(has(['CAP_SYS_ADMIN']) ? [] : namespaces),
			...PERSONALITIES.map((value, at) =>
				deny(
					['personality'],
					[
						{ index: 0, value, op: 'SCMP_CMP_GT' },
						{ index: 0, value: PERSONALITIES[at + 1] ?? Number.MAX_SAFE_INTEGER, op: 'SCMP_CMP_LT' },
					],
				),
			),
			...DENIED_FAMILIES.map((value) => deny(['socket'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
		],
	};
}

type Security = runtime.v1.LinuxContainerSecurityContext.$Properties | null | undefined;

const { RuntimeDefault, Localhost } = cri.SecurityProfile.ProfileType;

/** Does a container ask for RuntimeDefault, by the field that CRI has today or the one that it had before? */
function isRuntimeDefault(security: Security): boolean {
	if (security?.seccomp != null) return (security.seccomp.profileType ?? RuntimeDefault) === RuntimeDefault;
	return ['runtime/default', 'docker/default'].includes(security?.seccompProfilePath ?? '');
}

/** The profile that a container with some capabilities is to have, null for none. Throws CriError for one that can't be read or makes no sense. */
export function seccompOf(security: Security, capabilities: readonly string[]): object | null {
	if (isRuntimeDefault(security)) return defaultProfile(capabilities);
	const { seccomp, seccompProfilePath: path = '' } = security ?? {};
	if (seccomp != null)
		return seccomp.profileType === Localhost ? readProfile((seccomp.localhostRef ?? '').replace(/^localhost\/(?=\/)/, '')) : null;
	if (!path || path === 'unconfined') return null;
	if (path.startsWith(LOCALHOST)) return readProfile(path.slice(LOCALHOST.length));
	throw invalid(`no seccomp profile is called ${JSON.stringify(path)}: want runtime/default, unconfined or localhost/PATH`);
}

function readProfile(path: string): object {
	const step = `Read the seccomp profile ${JSON.stringify(path)}`;
	if (!isAbsolute(path)) throw invalid(`${step}: want an absolute path`);
	let profile: unknown;
	try {
		if (statSync(path).size > MAX_PROFILE_BYTES) throw new Error(`it has more than ${MAX_PROFILE_BYTES} bytes`);
		profile = JSON.parse(readFileSync(path, 'utf8'));
	} catch (error) {
		throw invalid(`${step}: ${error instanceof Error ? error.message : error}`);
	}
	try {
		parseSeccomp(new Section(profile, 'seccomp'));
	} catch (error) {
		throw error instanceof ConfigError ? invalid(`${step}: ${error.field}: ${error.reason}`) : error;
	}
	return profile as object;
}
