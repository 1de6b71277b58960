import { bounds } from '../../../bounds.js';
import { MOUNT_MAX } from '../../../vfs/mount.js';
import { ProcDirectory } from '../proc-directory.js';
import type { ProcFileSystem } from '../proc-file-system.js';
import { kernelDirectory } from './kernel.js';
import { SysctlFile } from './sysctl-file.js';

type Values = Readonly<Record<string, string | number>>;

/** proc_sys_vm(5), Linux's defaults. */
const VM: Values = {
	max_map_count: 65530,
	min_free_kbytes: 67584,
	mmap_min_addr: 4096,
	nr_hugepages: 0,
	overcommit_kbytes: 0,
	overcommit_memory: 0,
	overcommit_ratio: 50,
	swappiness: 60,
	unprivileged_userfaultfd: 0,
	vfs_cache_pressure: 100,
};

/** proc_sys_fs(5). */
const fsValues = (): Values => ({
	'aio-max-nr': bounds.aioEvents,
	'aio-nr': 0,
	'file-max': bounds.descriptors,
	'file-nr': `0\t0\t${bounds.descriptors}`,
	'lease-break-time': 45,
	'mount-max': MOUNT_MAX,
	nr_open: 1048576,
	overflowgid: 65534,
	overflowuid: 65534,
	'pipe-max-size': 1048576,
	'pipe-user-pages-hard': 0,
	'pipe-user-pages-soft': bounds.pipePagesPerUser,
	protected_fifos: 1,
	protected_hardlinks: 1,
	protected_regular: 1,
	protected_symlinks: 1,
	suid_dumpable: 0,
});
const epollValues = (): Values => ({ max_user_watches: bounds.epollWatchesPerUser });
const inotifyValues = (): Values => ({
	max_queued_events: bounds.inotifyEventsPerQueue,
	max_user_instances: bounds.inotifyInstancesPerUser,
	max_user_watches: bounds.inotifyWatchesPerUser,
});
const mqueueValues = (): Values => ({
	msg_default: 10,
	msg_max: 10,
	msgsize_default: 8192,
	msgsize_max: 8192,
	queues_max: bounds.posixQueues,
});

/** proc_sys_net(5), socket(7), ip(7), by their names below net. */
const NET: Values = {
	'core.rmem_default': 212992,
	'core.rmem_max': 212992,
	'core.somaxconn': 4096,
	'core.wmem_default': 212992,
	'core.wmem_max': 212992,
	'ipv4.ip_local_port_range': '32768\t60999',
	'ipv4.ip_unprivileged_port_start': 1024,
	'ipv4.tcp_fin_timeout': 60,
	'ipv4.tcp_keepalive_intvl': 75,
	'ipv4.tcp_keepalive_probes': 9,
	'ipv4.tcp_keepalive_time': 7200,
	'ipv4.tcp_max_syn_backlog': 4096,
	'ipv4.tcp_rmem': '4096\t131072\t6291456',
	'ipv4.tcp_syncookies': 1,
	'ipv4.tcp_wmem': '4096\t16384\t4194304',
	'unix.max_dgram_qlen': 512,
};

/** net: Linux's defaults, and what the pod was made with. */
function netDirectory(fs: ProcFileSystem): ProcDirectory {
	const root = new ProcDirectory(fs);
	const folders = new Map([['', root]]);
	const folderOf = (path: string): ProcDirectory => {
		const known = folders.get(path);
		if (known !== undefined) return known;
		const dot = path.lastIndexOf('.');
		const folder = new ProcDirectory(fs);
		folderOf(path.slice(0, Math.max(0, dot))).add(path.slice(dot + 1), folder);
		folders.set(path, folder);
		return folder;
	};
	const given = [...fs.container.kernel.network.sysctls].map(([name, value]) => [name.replace(/^net\./, ''), value] as const);
	for (const [name, value] of new Map<string, string | number>([...Object.entries(NET), ...given])) {
		const dot = name.lastIndexOf('.');
		folderOf(name.slice(0, Math.max(0, dot))).add(name.slice(dot + 1), new SysctlFile(fs, () => `${value}\n`));
	}
	return root;
}

/** A directory of constants. */
function constants(fs: ProcFileSystem, values: Values): ProcDirectory {
	const directory = new ProcDirectory(fs);
	for (const [name, value] of Object.entries(values)) directory.add(name, new SysctlFile(fs, () => `${value}\n`));
	return directory;
}

/** /proc/sys, proc_sys(5): what the guest kernel's limits are, fixed. */
export function sysDirectory(fs: ProcFileSystem): ProcDirectory {
	const fsDirectory = constants(fs, fsValues())
		.add('epoll', constants(fs, epollValues()))
		.add('inotify', constants(fs, inotifyValues()))
		.add('mqueue', constants(fs, mqueueValues()));
	return new ProcDirectory(fs)
		.add('fs', fsDirectory)
		.add('kernel', kernelDirectory(fs))
		.add('net', netDirectory(fs))
		.add('vm', constants(fs, VM));
}
