import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { HostError } from '../host-error.js';
import { native } from '../native.js';
import type { Config } from '../oci/config.js';
import { idMapText, type MountIdMappings } from '../oci/id-mappings.js';
import { idBase, processStart } from '../oci/state.js';
import { nodeLibraries } from './node-libraries.js';
import { mountRootfs } from './rootfs.js';
import type { ContainerSpec } from './sandbox.js';

const MOUNT_ATTR_IDMAP = 0x00100000;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NOEXEC = 8;
const MS_RDONLY = 1;
const MS_NOEXEC = 8;

export interface Launched {
	/** The sandbox process, a child of the caller. */
	readonly pid: number;
	readonly pidStart: string;
}

/** The folder of the built package: dist/, build/, native/. It is above the script that this process runs. */
export function packageRoot(): string {
	const script = process.argv[1];
	if (script === undefined) throw new Error('Find the package: this process runs no script');
	for (let folder = dirname(realpathSync(script)); folder !== '/'; folder = dirname(folder))
		if (existsSync(join(folder, 'package.json'))) return folder;
	throw new Error(`Find the package: there is no package.json above ${script}`);
}

/** What a sandbox process's root has, SOURCE:TARGET each: Node with its libraries, the bundle, the addon. */
export function sandboxFiles(root: string): string[] {
	return [
		`${realpathSync(process.execPath)}:/node`,
		...['sandbox-start.cjs', 'sandbox.cjs', 'sandbox.cache'].map((file) => `${join(root, 'dist', file)}:/${file}`),
		`${join(root, 'build/Release/isopod.node')}:/isopod.node`,
		...nodeLibraries().map((file) => `${file}:${file}`),
	];
}

/**
 * Starts a sandbox process: the launcher makes its world, Node runs the bundle in it, and it listens on `socketPath`.
 * It ends with this process, or when the descriptor `lifeLine` is closed, if it has no container by then, so that none is left of a start that is killed before the record names it.
 * Its own words go to `logPath`. `files` are what its root has: tests put another program in the bundle's place, to look around from inside.
 * Throws HostError with what the launcher said.
 */
export function launchSandbox(
	socketPath: string,
	logPath: string,
	idSlot: number,
	networkNamespace: string | null,
	files: readonly string[] = sandboxFiles(packageRoot()),
): Launched & { readonly lifeLine: number } {
	const root = packageRoot();
	const launcher = join(root, 'native/build/isopod-launcher');
	const args = [
		...['--id-base', `${idBase(idSlot)}`],
		...files.flatMap((file) => ['--file', file]),
		...['--loader', join(root, 'native/build/isopod-loader')],
		...['--fd', '3:3', '--fd', '4:1', '--fd', '4:2', '--fd', '5:4', '--report-fd', '1'],
		...['--env', 'ISOPOD_ADDON=/isopod.node', '--env', 'ISOPOD_LIFE_LINE=4'],
		...(networkNamespace === null ? [] : ['--netns', networkNamespace]),
		...['--', '/node', '--max-semi-space-size=1', '/sandbox-start.cjs'],
	];
	const listenFd = native.listenUnix(socketPath);
	if (listenFd < 0) throw HostError.errno(`Listen on ${socketPath}`, -listenFd);
	const ends = new Int32Array(2).fill(-1);
	let isStarted = false;
	try {
		const logFd = openLog(logPath);
		const error = native.pipe(ends);
		if (error < 0) throw HostError.errno('Make a pipe', -error);
		const result = spawnSync(launcher, args, { stdio: ['ignore', 'pipe', 'pipe', listenFd, logFd, ends[0]!], encoding: 'utf8' });
		closeSync(logFd);
		if (result.error !== undefined) throw HostError.from(`Run the launcher ${launcher}`, result.error);
		const pid = Number.parseInt(result.stdout, 10);
		isStarted = result.status === 0 && pid > 0;
		if (isStarted) return { pid, pidStart: processStart(pid), lifeLine: ends[1]! };
		if (pid < 0) native.reap(-pid);
		throw new HostError(`Start the sandbox process: ${result.stderr.trim()}`, `exit status ${result.status}`);
	} finally {
		for (const fd of [listenFd, ends[0]!, ...(isStarted ? [] : [ends[1]!])]) if (fd >= 0) native.close(fd);
	}
}

function openLog(path: string): number {
	try {
		return openSync(path, 'a', 0o600);
	} catch (error) {
		throw HostError.from("Open the sandbox process's log", error);
	}
}

/** Where a container's trees come from; see ContainerSpec. */
export type TreeSources = Pick<ContainerSpec, 'rootfs' | 'rootfsMounts' | 'bundle'>;

/**
 * The trees a container is made of, as detached mounts mapped to the sandbox's ids: root, then the bind mounts. The caller closes them.
 * The root is still writable: the container's mount points are made in it before `sealRoot`.
 */
export function openTrees(
	config: Config,
	{ rootfs, rootfsMounts = [], bundle }: TreeSources,
	sandboxPid: number,
	idSlot: number,
): number[] {
	const userNamespace = native.openNamespace(sandboxPid, 'user');
	if (userNamespace < 0) throw HostError.errno(`Open the user namespace of the sandbox process ${sandboxPid}`, -userNamespace);
	const trees: number[] = [];
	try {
		const ids = { userNamespace, base: idBase(idSlot) };
		const isMapped = rootfsMounts.length > 0 && mountRootfs(rootfsMounts, rootfs, `${rootfs}.layers`, ids);
		trees.push(isMapped ? cloneTree(rootfs, false) : openTree(rootfs, 0, true, userNamespace));
		for (const mount of config.mounts) {
			if (mount.type !== 'bind') continue;
			// A lent file is mapped by the host, which looks at its own mount when a mapping is made executable, then or later.
			const isReadOnly = (mount.flags & MS_RDONLY) !== 0;
			const attributes = (isReadOnly ? MOUNT_ATTR_RDONLY : 0) | ((mount.flags & MS_NOEXEC) !== 0 ? MOUNT_ATTR_NOEXEC : 0);
			const path = resolve(bundle, mount.source);
			const mapped = mount.idMappings === null ? userNamespace : mappingNamespace(mount.idMappings, idBase(idSlot), mount.destination);
			try {
				trees.push(openTree(path, attributes, mount.isRecursive, mapped));
			} finally {
				if (mapped !== userNamespace) native.close(mapped);
			}
		}
		return trees;
	} catch (error) {
		for (const fd of trees) native.close(fd);
		throw error;
	} finally {
		native.close(userNamespace);
	}
}

/** Makes a container's root read-only for the host's kernel, too, if its config says so. */
export function sealRoot(config: Config, rootFd: number): void {
	if (!config.root.readonly) return;
	const error = native.setMountAttributes(rootFd, MOUNT_ATTR_RDONLY, 0, -1, true);
	if (error < 0) throw HostError.errno('Make the root read-only', -error);
}

/** A user namespace that a mount's ids are mapped by: from stored ids to those of the sandbox whose first is `base`. The caller closes it. */
function mappingNamespace({ uids, gids }: MountIdMappings, base: number, destination: string): number {
	const fd = native.makeUserNamespace(idMapText(uids, base), idMapText(gids, base));
	if (fd < 0) throw HostError.errno(`Make the id mappings of the mount at ${destination} (do they overlap?)`, -fd);
	return fd;
}

function cloneTree(path: string, isRecursive: boolean): number {
	const fd = native.cloneTree(path, isRecursive);
	if (fd < 0) throw HostError.errno(`Clone the mount of ${path}`, -fd);
	return fd;
}

function openTree(path: string, attributes: number, isRecursive: boolean, userNamespace: number): number {
	const fd = cloneTree(path, isRecursive);
	const error = native.setMountAttributes(fd, MOUNT_ATTR_IDMAP | attributes, 0, userNamespace, isRecursive);
	if (error >= 0) return fd;
	native.close(fd);
	throw HostError.errno(`Map the ids of ${path} (does its file system support idmapped mounts?)`, -error);
}
