import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { HostError } from '../host-error.js';
import { native } from '../native.js';

/** One mount of a root file system, as containerd's snapshotters describe it. */
export interface RootfsMount {
	readonly type: string;
	readonly source: string;
	readonly options: readonly string[];
}

/** The host ids that a sandbox has: a user namespace that maps them, and the first. */
export interface SandboxIds {
	readonly userNamespace: number;
	readonly base: number;
}

const MS_RDONLY = 1;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MNT_DETACH = 2;
const MOUNT_ATTR_IDMAP = 0x00100000;
/** mount(8)'s options that are flags: the mounts of snapshots use no others. */
const FLAGS: ReadonlyMap<string, number> = new Map([
	['ro', MS_RDONLY],
	['rw', 0],
	['nosuid', 2],
	['nodev', 4],
	['noexec', 8],
	['noatime', 0x400],
	['nodiratime', 0x800],
	['relatime', 0x200000],
	['bind', MS_BIND],
	['rbind', MS_BIND | MS_REC],
]);

/**
 * Mounts a root file system on the folder `target`. An overlay can't be mapped to a sandbox's ids, but its layers can: it is mounted over clones of
 * them that are, which are put below the folder `scratch` for that moment. True when that was done, so that the mount is mapped already. Throws HostError
 * and leaves nothing mounted.
 */
export function mountRootfs(mounts: readonly RootfsMount[], target: string, scratch: string, ids: SandboxIds): boolean {
	mkdirSync(target, { recursive: true, mode: 0o711 });
	let isMapped = false;
	try {
		for (const mount of mounts) {
			if (mount.type === 'overlay' && mounts.length === 1) {
				mountMappedOverlay(mount, target, scratch, ids);
				isMapped = true;
			} else {
				mountOne(mount, target, mount.options);
			}
		}
	} catch (error) {
		unmountRootfs(target);
		throw error;
	}
	return isMapped;
}

/** Takes everything off the folder `target`. What is not mounted needs nothing. */
export function unmountRootfs(target: string): void {
	while (native.umount(target, MNT_DETACH) >= 0);
}

function mountOne({ type, source }: RootfsMount, target: string, options: readonly string[], fileSystemId = 0): void {
	let flags = 0;
	const data: string[] = [];
	for (const option of options) {
		const flag = FLAGS.get(option);
		if (flag === undefined) data.push(option);
		else flags |= flag;
	}
	const isBind = (flags & MS_BIND) !== 0;
	let error = native.mount(source, target, isBind ? '' : type, flags, data.join(','), fileSystemId);
	// A bind takes its other flags only when it is there.
	if (error >= 0 && isBind && (flags & ~(MS_BIND | MS_REC)) !== 0) error = native.mount(source, target, '', flags | MS_REMOUNT, '', 0);
	if (error < 0) throw HostError.errno(`Mount ${source} (${type}, ${options.join(',')}) on ${target}`, -error);
}

function mountMappedOverlay(mount: RootfsMount, target: string, scratch: string, { userNamespace, base }: SandboxIds): void {
	const value = (name: string): string | null =>
		mount.options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
	const lower = value('lowerdir')?.split(':') ?? [];
	const upper = value('upperdir');
	const work = value('workdir');
	const others = mount.options.filter((option) => !/^(lowerdir|upperdir|workdir)=/.test(option));
	if ((upper === null) !== (work === null) || (upper !== null && dirname(upper) !== dirname(work!)))
		throw new HostError(`Mount the overlay of ${target}`, `upperdir ${upper} and workdir ${work} are not side by side`);
	const attached: string[] = [];
	mkdirSync(scratch, { recursive: true, mode: 0o700 });
	const scratchFd = openSync(scratch, 'r');
	// All names go into one page of options, so they are short: by the descriptor some 190 layers fit.
	const attach = (path: string): string => {
		const name = attached.length.toString(36);
		const place = join(scratch, name);
		mkdirSync(place, { mode: 0o700 });
		attachMapped(path, place, userNamespace);
		attached.push(place);
		return `/proc/self/fd/${scratchFd}/${name}`;
	};
	try {
		const options = [...others, `lowerdir=${lower.map(attach).join(':')}`];
		if (upper !== null) {
			const both = attach(dirname(upper));
			options.push(`upperdir=${join(both, basename(upper))}`, `workdir=${join(both, basename(work!))}`);
		}
		// Its own folders, too, are made through the mapped layers, by somebody who exists there.
		mountOne({ ...mount, source: 'overlay' }, target, options, base);
	} finally {
		closeSync(scratchFd);
		for (const place of attached) native.umount(place, MNT_DETACH);
		rmSync(scratch, { recursive: true, force: true });
	}
}

/** Puts a clone of the mount that a folder is in, from the folder down, with its ids mapped, on `place`. */
function attachMapped(path: string, place: string, userNamespace: number): void {
	const fd = native.cloneTree(path, false);
	if (fd < 0) throw HostError.errno(`Clone the mount of ${path}`, -fd);
	try {
		let error = native.setMountAttributes(fd, MOUNT_ATTR_IDMAP, 0, userNamespace, false);
		if (error < 0) throw HostError.errno(`Map the ids of ${path} (does its file system support idmapped mounts?)`, -error);
		error = native.moveMount(fd, place);
		if (error < 0) throw HostError.errno(`Attach the layer ${path} at ${place}`, -error);
	} finally {
		native.close(fd);
	}
}
