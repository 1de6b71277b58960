import { basename, dirname } from 'node:path';
import { CAP_NUMBERS } from '../../kernel/abi/capability-names.js';
import { makeDevice } from '../../kernel/abi/device-number.js';
import { S_IFCHR } from '../../kernel/abi/stat-constants.js';
import { bounds } from '../../kernel/bounds.js';
import { Container } from '../../kernel/container.js';
import { createDevFileSystem } from '../../kernel/fs/dev/dev-file-system.js';
import { DevptsFileSystem } from '../../kernel/fs/devpts/devpts-file-system.js';
import { HostFileSystem } from '../../kernel/fs/host/host-file-system.js';
import { netFiles } from '../../kernel/fs/proc/net-files.js';
import { ProcFileSystem } from '../../kernel/fs/proc/proc-file-system.js';
import { CgroupFileSystem } from '../../kernel/fs/sys/fs/cgroup/cgroup-file-system.js';
import { SysFileSystem } from '../../kernel/fs/sys/sys-file-system.js';
import { TmpFileSystem } from '../../kernel/fs/tmpfs/tmp-file-system.js';
import { tmpfsOptionText } from '../../kernel/fs/tmpfs/tmp-options.js';
import type { Kernel } from '../../kernel/kernel.js';
import { CapabilitySet, type Credentials, initialCredentials } from '../../kernel/task/credentials.js';
import { UtsNamespace } from '../../kernel/uts-namespace.js';
import type { FileSystem } from '../../kernel/vfs/inode.js';
import { type Mount, MountNamespace, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_RELATIME } from '../../kernel/vfs/mount.js';
import { Path } from '../../kernel/vfs/path.js';
import { makePrivate, makeShared, makeSlave, makeUnbindable } from '../../kernel/vfs/peer-group.js';
import { Stat } from '../../kernel/vfs/stat.js';
import type { Config, DeviceConfig, MountConfig, ProcessConfig, PropagationConfig, SharedNamespace } from '../../oci/config.js';
import { SetupWalk } from './setup-walk.js';

const MIB = 1 << 20;

/**
 * Builds a container's tree of mounts from its config. `trees` are the descriptors that the front end sent: root, then one per bind mount. Each is taken out
 * of the list, which then has -1 in its place, by the file system that owns it from then on. When this throws, what was taken is closed.
 *
 * `pod` is the pod's first container, whose namespaces may be joined; `pids` the one whose PID namespace is.
 */
export function buildContainer(
	kernel: Kernel,
	id: string,
	config: Config,
	trees: number[],
	pod: Container | null,
	pids: Container | null,
): Container {
	const rootFs = new HostFileSystem(take(trees, 0, 'the root file system'), 'ext4', true, false, false);
	const namespace = MountNamespace.of(rootFs, MS_RELATIME | (config.root.readonly ? MS_RDONLY : 0), '/dev/root');
	const { joined } = config.linux;
	const shared = (type: SharedNamespace): Container | null => {
		if (joined[type] === undefined) return null;
		if (pod === null) throw new Error(`there is no container yet whose ${type} namespace could be joined`);
		return pod;
	};
	const uts = shared('uts')?.uts ?? new UtsNamespace(config.hostname, config.domainname);
	const container = new Container(kernel, id, namespace, uts, shared('ipc')?.ipc, pids?.pids);
	container.hasSeccompProfile = config.linux.seccomp !== null;
	container.memoryLimitBytes = config.linux.resources.memoryLimitBytes ?? Number.POSITIVE_INFINITY;
	try {
		furnish(container, config, trees);
		rootFs.forgetCreated();
		lock(namespace);
	} catch (error) {
		container.keepFileSystems();
		container.dispose();
		throw error;
	}
	container.keepFileSystems();
	return container;
}

/** What the operator restricts stays so, whatever capabilities the container has (as where a mount namespace was made with more rights). */
function lock(namespace: MountNamespace): void {
	for (const mount of namespace.all()) mount.lockedFlags = mount.flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

function furnish(container: Container, config: Config, trees: number[]): void {
	const namespace = container.mounts;
	const walk = new SetupWalk(namespace);
	let bind = 1;
	for (const mount of config.mounts) {
		const treeFd = mount.type === 'bind' ? take(trees, bind++, `the source of ${mount.destination}`) : -1;
		attach(namespace, walk, container, mount, treeFd);
	}
	for (const device of config.linux.devices) addDevice(walk, device);
	// As runc, before the program is looked for; only the folder of the first process, not an exec's.
	walk.makeFolder(config.process.cwd);
	propagate(namespace.root, config.linux.rootPropagation);
	for (const path of config.linux.readonlyPaths) remountReadOnly(namespace, walk, path);
	for (const path of config.linux.maskedPaths) mask(namespace, walk, path);
}

function take(trees: number[], index: number, what: string): number {
	const fd = trees[index];
	if (fd === undefined) throw new Error(`Build the container: no descriptor came for ${what}`);
	trees[index] = -1;
	return fd;
}

function attach(namespace: MountNamespace, walk: SetupWalk, container: Container, mount: MountConfig, treeFd: number): void {
	const { fs, options } = fileSystem(container, mount, treeFd);
	const isFile = !fs.root.isDirectory;
	let place: Path;
	try {
		place = walk.make(mount.destination, isFile);
	} catch (error) {
		fs.dispose();
		throw error;
	}
	const mounted = namespace.attach(place.mount, place.dentry, fs, mount.flags, mount.source, options);
	// The first one is where the container's own terminals get their names.
	if (fs instanceof DevptsFileSystem) container.devpts ??= new Path(mounted, mounted.root);
	for (const change of mount.propagation) propagate(mounted, change);
}

const PROPAGATION = { private: makePrivate, shared: makeShared, slave: makeSlave, unbindable: makeUnbindable };

function propagate(mount: Mount, { type, isRecursive }: PropagationConfig): void {
	for (const each of isRecursive ? mount.tree() : [mount]) PROPAGATION[type](each);
}

/** Slaves that one instance may have when its options don't say (NR_UNIX98_PTY_MAX): more than a pod may have in all. */
const MAX_SLAVES = 1 << 20;

function devpts(container: Container, { uid, gid, mode, ptmxMode, max }: MountConfig): MountedFileSystem {
	const permissions = mode ?? 0o600;
	const fs = new DevptsFileSystem(container.kernel, {
		uid: uid < 0 ? null : uid,
		gid: gid < 0 ? null : gid,
		mode: permissions,
		ptmxMode,
		max: max ?? MAX_SLAVES,
	});
	const shown = [
		...(uid < 0 ? [] : [`uid=${uid}`]),
		...(gid < 0 ? [] : [`gid=${gid}`]),
		`mode=${permissions.toString(8).padStart(3, '0')}`,
		`ptmxmode=${ptmxMode.toString(8).padStart(3, '0')}`,
		...(max === null ? [] : [`max=${max}`]),
	];
	return { fs, options: shown.join(',') };
}

interface MountedFileSystem {
	readonly fs: FileSystem;
	readonly options: string;
}

function fileSystem(container: Container, mount: MountConfig, treeFd: number): MountedFileSystem {
	switch (mount.type) {
		case 'proc':
			return { fs: new ProcFileSystem(container, { netFiles: netFiles(container.kernel.network) }), options: '' };
		case 'sysfs':
			return { fs: new SysFileSystem(), options: '' };
		case 'bind':
			return { fs: new HostFileSystem(treeFd, 'ext4', false, (mount.flags & MS_RDONLY) !== 0, true), options: '' };
		case 'mqueue':
			return { fs: container.ipc.posixQueues, options: '' };
		case 'cgroup':
			return { fs: new CgroupFileSystem(container), options: 'nsdelegate,memory_recursiveprot' };
		case 'devpts':
			return devpts(container, mount);
		case 'tmpfs':
			break;
	}
	if (mount.type === 'tmpfs' && mount.destination === '/dev') return { fs: createDevFileSystem(), options: 'size=65536k,mode=755' };
	const sizeBytes = mount.sizeBytes ?? 64 * MIB;
	const mode = mount.mode ?? (mount.type === 'tmpfs' ? 0o1777 : 0o755);
	const fs = new TmpFileSystem({ sizeBytes, inodes: mount.inodes ?? bounds.tmpfsInodes, mode, uid: mount.uid, gid: mount.gid });
	return { fs, options: tmpfsOptionText({ ...mount, sizeBytes, mode: mount.mode ?? 0o1777 }) };
}

/** Makes a device node, in place of what is there. */
function addDevice(walk: SetupWalk, { path, major, minor, mode, uid, gid }: DeviceConfig): void {
	const folder = walk.make(dirname(path), false).dentry;
	const name = basename(path);
	const number = makeDevice(major, minor);
	const existing = walk.find(path)?.dentry.inode ?? null;
	if (existing !== null) {
		const status = new Stat();
		if (existing.stat(status) < 0 || status.rdev !== number) throw new Error(`Make the device ${path}: something else is there`);
		existing.chmod(S_IFCHR | mode);
		existing.chown(uid, gid);
		return;
	}
	const made = folder.inode!.mknod(name, S_IFCHR | mode, number, uid, gid);
	if (typeof made === 'number') throw new Error(`Make the device ${path}: errno ${-made}`);
}

function remountReadOnly(namespace: MountNamespace, walk: SetupWalk, path: string): void {
	const place = walk.find(path);
	if (place === null) return;
	const { mount, dentry } = place;
	namespace.attach(mount, dentry, mount.fs, mount.flags | MS_RDONLY, mount.source, mount.options, dentry).isLocked = true;
}

/** What is masked is covered: a directory by an empty one, a file by /dev/null. */
function mask(namespace: MountNamespace, walk: SetupWalk, path: string): void {
	const place = walk.find(path);
	if (place === null) return;
	const flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	if (place.dentry.inode!.isDirectory) {
		const empty = new TmpFileSystem({ sizeBytes: 0, inodes: 1, mode: 0o755, uid: 0, gid: 0 });
		namespace.attach(place.mount, place.dentry, empty, flags, 'tmpfs', 'size=0k').isLocked = true;
		return;
	}
	const nullDevice = walk.find('/dev/null');
	if (nullDevice === null) return;
	const { mount } = nullDevice;
	namespace.attach(place.mount, place.dentry, mount.fs, MS_RDONLY | MS_NOSUID | MS_NOEXEC, 'devtmpfs', '', nullDevice.dentry).isLocked =
		true;
}

/** Credentials of a process of the container, config.json's `process.user` and `process.capabilities`. */
export function processCredentials(process: ProcessConfig): Credentials {
	const { capabilities } = process;
	const set = (names: readonly string[]): CapabilitySet => CapabilitySet.of(names.map((name) => CAP_NUMBERS.get(name)!));
	return initialCredentials(
		process.user.uid,
		process.user.gid,
		process.user.additionalGids,
		{
			permitted: set(capabilities.permitted),
			effective: set(capabilities.effective),
			inheritable: set(capabilities.inheritable),
			bounding: set(capabilities.bounding),
			ambient: set(capabilities.ambient),
		},
		process.noNewPrivileges,
	);
}
