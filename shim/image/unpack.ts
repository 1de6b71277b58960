// A layer becomes a folder that overlayfs can stack (image-spec, layer.md). The archive is hostile input: every name is walked one component at a
// time from the descriptor of the folder before, never through a symlink of the host's choosing, so that no entry can name what lies outside of
// the tree. Symlinks within the image are followed as the image's own root would have them followed, `..` at the top staying there.

import { constants } from 'node:fs';
import { HostError } from '../../runtime/host-error.js';
import { native } from '../../runtime/native.js';
import { type TarEntry, TarReader } from './tar-reader.js';

export interface UnpackLimits {
	/** Entries of one layer. */
	readonly maxEntries: number;
}
export const DEFAULT_UNPACK_LIMITS: UnpackLimits = { maxEntries: 2_000_000 };

export interface Unpacked {
	readonly entries: number;
	/** Bytes of all files' contents. */
	readonly bytes: number;
}

// openat2(2)
const O_PATH = 0o10000000;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } =
	constants;
const { ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ENODATA } = {
	ENOENT: 2,
	EEXIST: 17,
	ENOTDIR: 20,
	EISDIR: 21,
	ENOTEMPTY: 39,
	ENODATA: 61,
} as const;
/** native/native.d.ts, StatField. */
const [MODE, UID, GID, RDEV] = [2, 4, 5, 6] as const;
const STAT_FIELDS = 18;
const MAX_SYMLINKS = 40;
/** Folders within folders: each on the way to a name is open while it is walked. */
const MAX_DEPTH = 256;
const WHITEOUT_PREFIX = '.wh.';
const OPAQUE_MARKER = '.wh..wh..opq';
const OVERLAY_OPAQUE = 'trusted.overlay.opaque';
/** What aufs leaves in its layers; nothing reads it. */
const AUFS_PREFIX = '.wh..wh.';
const UTIME_OMIT = 0x3ffffffe;
/** Copied up at a time, and written at a time. */
const CHUNK = 1 << 18;

/** The devices that every container has anyway (null, zero, full, random, urandom, tty, console, ptmx). Others in a layer would be a way to the host's. */
const HARMLESS_DEVICES: ReadonlySet<string> = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2']);

/** A folder of the tree: of the layer, and the one it covers in the layers below, if there is one. */
interface Place {
	readonly fd: number;
	readonly lower: number;
}

/**
 * Unpacks a tar stream into the folder `target` (empty), whose lower layers, already merged, are `lower` (null for the first layer). Owner, mode,
 * times, links, devices and extended attributes are the archive's; `.wh.` entries become overlayfs's whiteouts. Throws EINVAL, EPERM or ELOOP for
 * what no layer may hold, EBADMSG for a broken archive, ENOSPC and the like; what was written then is the caller's to remove.
 */
export async function unpackLayer(
	source: AsyncIterable<Uint8Array>,
	target: string,
	lower: string | null,
	limits: UnpackLimits = DEFAULT_UNPACK_LIMITS,
): Promise<Unpacked> {
	const unpacker = new Unpacker(target, lower);
	const reader = new TarReader(source);
	let entries = 0;
	let bytes = 0;
	try {
		for (;;) {
			const entry = await reader.next();
			if (entry === null) break;
			if (++entries > limits.maxEntries) throw new HostError(`Unpack the layer: it has more than ${limits.maxEntries} entries`, 'EFBIG');
			const fd = unpacker.add(entry);
			if (fd < 0) continue;
			try {
				for await (const chunk of reader.data()) writeAll(fd, chunk, entry.name);
				bytes += entry.size;
				unpacker.finish(fd, entry);
			} finally {
				native.close(fd);
			}
		}
		unpacker.setFolderTimes();
		return { entries, bytes };
	} finally {
		unpacker.close();
		await reader.close();
	}
}

class Unpacker {
	private readonly root: Place;
	/** Folders' times are set last: what is put into them changes them. */
	private readonly folderTimes = new Map<string, readonly [seconds: number, nanoseconds: number]>();
	private readonly stat = new Float64Array(STAT_FIELDS);

	constructor(target: string, lower: string | null) {
		const open = (path: string): number => check(native.openat2(-100, Buffer.from(path), O_PATH | O_DIRECTORY, 0, 0), `Open ${path}`);
		const fd = open(target);
		this.root = { fd, lower: lower === null ? -1 : open(lower) };
		if (this.root.lower >= 0) this.copyAttributes(this.root.lower, fd, '/');
	}

	close(): void {
		close(this.root);
	}

	/** Makes what an entry names. Of a file its descriptor, for the contents, and {@link finish} after them; of others -1. */
	add(entry: TarEntry): number {
		const components = split(entry.name, 'an entry');
		if (components.length === 0) {
			if (entry.type !== 'directory') throw refuse(entry.name, 'the root of a layer is a directory', 'EINVAL');
			this.decorate(this.root.fd, entry);
			this.folderTimes.set('', [entry.mtimeSec, entry.mtimeNsec]);
			return -1;
		}
		const name = components.pop()!;
		if (components.some((component) => component.startsWith(WHITEOUT_PREFIX)))
			// Names within .wh..wh.plnk and the like are aufs's own.
			return components.some((component) => component.startsWith(AUFS_PREFIX)) ? -1 : this.fail(entry, 'a folder is called as a whiteout');
		const folder = this.walk(components, entry.name);
		try {
			return this.addTo(folder, name, entry, components);
		} finally {
			if (folder.fd !== this.root.fd) close(folder);
		}
	}

	private fail(entry: TarEntry, reason: string): never {
		throw refuse(entry.name, reason, 'EINVAL');
	}

	private addTo(folder: Place, name: string, entry: TarEntry, parents: readonly string[]): number {
		if (name === OPAQUE_MARKER) {
			check(native.setxattrFd(folder.fd, OVERLAY_OPAQUE, Buffer.from('y'), 0), `Make ${print(parents.join('/'))} opaque`);
			return -1;
		}
		if (name.startsWith(AUFS_PREFIX)) return -1;
		if (name.startsWith(WHITEOUT_PREFIX)) {
			this.whiteOut(folder, name.slice(WHITEOUT_PREFIX.length), entry);
			return -1;
		}
		const step = `Unpack ${print(entry.name)}`;
		if (entry.type === 'directory') {
			const { fd, lower } = this.folder(folder, name, entry.name) ?? this.makeFolder(folder, name, entry.name, true);
			try {
				this.decorate(fd, entry);
			} finally {
				close({ fd, lower });
			}
			this.folderTimes.set([...parents, name].join('/'), [entry.mtimeSec, entry.mtimeNsec]);
			return -1;
		}
		if (entry.type === 'link') {
			this.link(folder, name, entry);
			return -1;
		}
		if (entry.type === 'character' || entry.type === 'block') this.checkDevice(entry);
		removeTree(folder.fd, name);
		if (entry.type === 'file')
			return check(native.openat2(folder.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600, RESOLVE), step);
		if (entry.type === 'symlink') {
			if (entry.linkName === '') this.fail(entry, 'a symlink leads nowhere');
			check(native.symlinkat(entry.linkName, folder.fd, name), step);
		} else {
			const kind = entry.type === 'fifo' ? S_IFIFO : entry.type === 'character' ? S_IFCHR : S_IFBLK;
			check(native.mknodat(folder.fd, name, kind | 0o600, entry.type === 'fifo' ? 0 : makeDevice(entry.major, entry.minor)), step);
		}
		const fd = check(native.openat2(folder.fd, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH), step);
		try {
			this.finish(fd, entry);
		} finally {
			native.close(fd);
		}
		return -1;
	}

	private checkDevice(entry: TarEntry): void {
		const device = `${entry.major}:${entry.minor}`;
		if (entry.type === 'block' || !HARMLESS_DEVICES.has(device))
			throw refuse(entry.name, `a layer may not bring the ${entry.type} device ${device}`, 'EPERM');
	}

	/** Everything of a file but its contents, and its times last. */
	finish(fd: number, entry: TarEntry): void {
		this.decorate(fd, entry);
		const step = `Set the times of ${print(entry.name)}`;
		check(native.utimensFd(fd, entry.mtimeSec, entry.mtimeNsec, entry.mtimeSec, entry.mtimeNsec), step);
	}

	private decorate(fd: number, entry: TarEntry): void {
		const step = `Set the attributes of ${print(entry.name)}`;
		// The owner first: a change of it takes set-id bits and capabilities away.
		check(native.chownFd(fd, entry.uid, entry.gid), step);
		if (entry.type !== 'symlink') check(native.chmodFd(fd, entry.mode), step);
		for (const [name, value] of entry.xattrs) {
			// trusted.overlay.* and user.overlay.* are overlayfs's own: a redirect would lead to any folder of the layers.
			if (name.startsWith('trusted.') || name.startsWith('user.overlay.'))
				throw refuse(entry.name, `a layer may not set ${print(name)}`, 'EPERM');
			const isKept = name.startsWith('user.') || name === 'security.capability' || name.startsWith('system.posix_acl_');
			// user.* belongs to files and directories (xattr(7)); labels of the builder's security module mean nothing here.
			if (isKept && entry.type !== 'symlink') check(native.setxattrFd(fd, name, value, 0), `${step}, ${print(name)}`);
		}
	}

	private whiteOut(folder: Place, name: string, entry: TarEntry): void {
		if (name === '' || name === '.' || name === '..') this.fail(entry, 'a whiteout hides nothing');
		// Made by this layer, before or after: it stays, and what lies below is hidden by it (a directory becomes opaque).
		const own = openChild(folder.fd, name);
		if (own >= 0) {
			try {
				if (this.mode(own) === S_IFDIR)
					check(native.setxattrFd(own, OVERLAY_OPAQUE, Buffer.from('y'), 0), `Hide what lies below ${print(name)}`);
			} finally {
				native.close(own);
			}
			return;
		}
		if (folder.lower < 0) return;
		const hidden = openChild(folder.lower, name);
		if (hidden < 0) return;
		native.close(hidden);
		check(native.mknodat(folder.fd, name, S_IFCHR, 0), `Hide ${print(entry.name)}`);
	}

	private link(folder: Place, name: string, entry: TarEntry): void {
		const step = `Link ${print(entry.name)} to ${print(entry.linkName)}`;
		const components = split(entry.linkName, 'a link');
		const last = components.pop();
		if (last === undefined) throw refuse(entry.name, 'a link leads to the root', 'EINVAL');
		const from = this.walk(components, entry.linkName);
		let source = -1;
		try {
			source = openChild(from.fd, last);
			if (source >= 0 && this.isWhiteout(source)) throw refuse(entry.name, 'its target was removed', 'ENOENT');
			if (source < 0 && from.lower >= 0) source = this.copyUp(from, last, step);
			check(source, step);
			if (this.mode(source) === S_IFDIR) throw refuse(entry.name, 'a link leads to a directory', 'EPERM');
			// A link to itself must not remove its own target.
			if (native.linkFd(source, folder.fd, name) === 0) return;
			const there = openChild(folder.fd, name);
			if (there >= 0) {
				const isSame = this.isSame(source, there);
				native.close(there);
				if (isSame) return;
			}
			removeTree(folder.fd, name);
			check(native.linkFd(source, folder.fd, name), step);
		} finally {
			if (source >= 0) native.close(source);
			if (from.fd !== this.root.fd) close(from);
		}
	}

	private isSame(left: number, right: number): boolean {
		check(native.fstat(left, this.stat), 'Look at a file');
		const [device, inode] = [this.stat[0], this.stat[1]];
		check(native.fstat(right, this.stat), 'Look at a file');
		return this.stat[0] === device && this.stat[1] === inode;
	}

	/** A file of the layers below becomes one of this layer, so that it can have another name here. Returns an O_PATH descriptor. */
	private copyUp(folder: Place, name: string, step: string): number {
		const below = check(openChild(folder.lower, name), step);
		let from = -1;
		let to = -1;
		try {
			const mode = this.mode(below);
			if (mode === S_IFLNK) {
				const buffer = Buffer.alloc(4096);
				const length = check(native.readlinkat(folder.lower, name, buffer), step);
				check(native.symlinkat(buffer.subarray(0, length), folder.fd, name), step);
			} else if (mode === S_IFREG) {
				from = check(native.openat2(folder.lower, name, O_RDONLY | O_NOFOLLOW, 0, RESOLVE), step);
				to = check(native.openat2(folder.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600, RESOLVE), step);
				const buffer = Buffer.alloc(CHUNK);
				for (;;) {
					const length = check(native.pread(from, buffer, 0, CHUNK, -1), step);
					if (length === 0) break;
					writeAll(to, buffer.subarray(0, length), name);
				}
			} else throw new HostError(`${step}: the target is no file of this layer`, 'EPERM');
			const fd = check(openChild(folder.fd, name), step);
			this.copyAttributes(below, fd, name);
			return fd;
		} finally {
			for (const fd of [below, from, to]) if (fd >= 0) native.close(fd);
		}
	}

	private mode(fd: number): number {
		check(native.fstat(fd, this.stat), 'Look at a file');
		return this.stat[MODE]! & S_IFMT;
	}

	private isWhiteout(fd: number): boolean {
		return this.mode(fd) === S_IFCHR && this.stat[RDEV] === 0;
	}

	/**
	 * Walks to a folder, through symlinks as in the image's own root, and makes what is missing: as it is in the layers below, or plain. The caller
	 * closes what it gets, but the root.
	 */
	private walk(components: readonly string[], what: string): Place {
		const stack: Place[] = [this.root];
		const left = [...components].reverse();
		let links = 0;
		try {
			while (left.length > 0) {
				const name = left.pop()!;
				if (name === '' || name === '.') continue;
				const here = stack.at(-1)!;
				if (name === '..') {
					if (stack.length > 1) close(stack.pop()!);
					continue;
				}
				const target = this.readLink(here, name);
				if (target === null) {
					stack.push(this.folder(here, name, what) ?? this.makeFolder(here, name, what, false));
					continue;
				}
				if (++links > MAX_SYMLINKS) throw refuse(what, 'too many symlinks', 'ELOOP');
				if (target.startsWith('/')) while (stack.length > 1) close(stack.pop()!);
				left.push(...target.split('/').reverse());
				if (left.length + stack.length > 2 * MAX_DEPTH) throw refuse(what, 'too many names', 'ELOOP');
			}
			return stack.pop()!;
		} finally {
			for (const place of stack.slice(1)) close(place);
		}
	}

	/** Where the symlink `name` leads; null when it is none. */
	private readLink(place: Place, name: string): string | null {
		const own = openChild(place.fd, name);
		const isOwn = own >= 0;
		const fd = isOwn || place.lower < 0 ? own : openChild(place.lower, name);
		if (fd < 0) return null;
		try {
			if (this.mode(fd) !== S_IFLNK) return null;
			const buffer = Buffer.alloc(4096);
			const length = check(native.readlinkat(isOwn ? place.fd : place.lower, name, buffer), `Read the symlink ${print(name)}`);
			return buffer.toString('latin1', 0, length);
		} finally {
			native.close(fd);
		}
	}

	/** The folder `name` of this layer with the one below it; null when this layer has none. */
	private folder(place: Place, name: string, what: string): Place | null {
		const fd = native.openat2(place.fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE);
		// ELOOP: a symlink, of which O_DIRECTORY with RESOLVE_NO_SYMLINKS tells so.
		if (fd === -ENOENT || fd === -ENOTDIR || fd === -40) return null;
		check(fd, `Open the folder of ${print(what)}`);
		const isOpaque = native.getxattrFd(fd, OVERLAY_OPAQUE, Buffer.alloc(8)) > 0;
		return { fd, lower: isOpaque ? -1 : openFolder(place.lower, name) };
	}

	/** Makes a folder where there is none in this layer. `isNamed`: an entry names it, and puts it in the place of a file. */
	private makeFolder(place: Place, name: string, what: string, isNamed: boolean): Place {
		const step = `Make the folder of ${print(what)}`;
		const there = openChild(place.fd, name);
		let isHidden = false;
		if (there >= 0) {
			isHidden = this.isWhiteout(there);
			native.close(there);
			if (!isHidden && !isNamed) throw refuse(what, `${print(name)} is no folder`, 'ENOTDIR');
			removeTree(place.fd, name);
		} else if (!isNamed && place.lower >= 0) {
			const below = openChild(place.lower, name);
			if (below >= 0) {
				const mode = this.mode(below);
				native.close(below);
				if (mode !== S_IFDIR) throw refuse(what, `${print(name)} is no folder`, 'ENOTDIR');
			}
		}
		const lower = isHidden ? -1 : openFolder(place.lower, name);
		const error = native.mkdirat(place.fd, name, 0o755);
		if (error !== -EEXIST) check(error, step);
		const fd = check(native.openat2(place.fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE), step);
		if (isHidden) check(native.setxattrFd(fd, OVERLAY_OPAQUE, Buffer.from('y'), 0), step);
		if (lower >= 0) this.copyAttributes(lower, fd, name);
		else check(native.chmodFd(fd, 0o755), step);
		return { fd, lower };
	}

	/** Owner, mode, times and extended attributes. */
	private copyAttributes(from: number, to: number, name: string): void {
		const step = `Copy the attributes of ${print(name)}`;
		check(native.fstat(from, this.stat), step);
		const mode = this.stat[MODE]!;
		const [seconds, nanoseconds] = [this.stat[12]!, this.stat[13]!];
		check(native.chownFd(to, this.stat[UID]!, this.stat[GID]!), step);
		if ((mode & S_IFMT) !== S_IFLNK) {
			check(native.chmodFd(to, mode & 0o7777), step);
			const names = Buffer.alloc(65536);
			const length = native.listxattrFd(from, names);
			for (const attribute of names.toString('latin1', 0, Math.max(0, length)).split('\0')) {
				if (!attribute.startsWith('user.') && attribute !== 'security.capability' && !attribute.startsWith('system.posix_acl_')) continue;
				const value = Buffer.alloc(65536);
				const size = native.getxattrFd(from, attribute, value);
				if (size === -ENODATA) continue;
				check(native.setxattrFd(to, attribute, value.subarray(0, check(size, step)), 0), step);
			}
		}
		check(native.utimensFd(to, 0, UTIME_OMIT, seconds, nanoseconds), step);
	}

	setFolderTimes(): void {
		for (const [path, [seconds, nanoseconds]] of this.folderTimes) {
			const place = path === '' ? this.root : this.find(path.split('/'));
			if (place === null) continue;
			check(native.utimensFd(place.fd, seconds, nanoseconds, seconds, nanoseconds), `Set the times of ${print(path)}`);
			if (place !== this.root) close(place);
		}
	}

	/** A folder of this layer that an entry made, if it still is one and all of its way are folders. */
	private find(components: readonly string[]): Place | null {
		const fd = native.openat2(this.root.fd, components.join('/'), O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE);
		return fd < 0 ? null : { fd, lower: -1 };
	}
}

function check(result: number, step: string): number {
	if (result < 0) throw HostError.errno(step, -result);
	return result;
}

function close({ fd, lower }: Place): void {
	native.close(fd);
	if (lower >= 0) native.close(lower);
}

/** An O_PATH descriptor of a name in a folder, a symlink itself; or -errno. */
function openChild(folder: number, name: string): number {
	return native.openat2(folder, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH);
}

function openFolder(folder: number, name: string): number {
	if (folder < 0) return -1;
	const fd = native.openat2(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE);
	return fd < 0 ? -1 : fd;
}

/** The components of an archive's name. `..` is refused: only an archive that means harm has it. */
function split(name: string, what: string): string[] {
	const components = name.split('/').filter((component) => component !== '' && component !== '.');
	if (components.includes('..')) throw refuse(name, `${what} leaves its folder`, 'EINVAL');
	if (components.length > MAX_DEPTH) throw refuse(name, `it lies ${components.length} folders deep`, 'ENAMETOOLONG');
	return components;
}

/** Removes a name of a folder and all below it, by descriptors. It may not be there. */
export function removeTree(folder: number, name: string): void {
	const step = `Remove ${print(name)}`;
	const error = native.unlinkat(folder, name, false);
	if (error === -ENOENT || error === 0) return;
	if (error !== -EISDIR) check(error, step);
	const fd = check(native.openat2(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE), step);
	try {
		const buffer = Buffer.alloc(1 << 15);
		for (;;) {
			const length = check(native.getdents64(fd, buffer), step);
			if (length === 0) break;
			for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
				const child = buffer.toString('latin1', at + 19, buffer.indexOf(0, at + 19));
				if (child !== '.' && child !== '..') removeTree(fd, child);
			}
			native.lseek(fd, 0, 0);
		}
	} finally {
		native.close(fd);
	}
	const left = native.unlinkat(folder, name, true);
	if (left === -ENOTEMPTY) removeTree(folder, name);
	else check(left, step);
}

function writeAll(fd: number, bytes: Uint8Array, name: string): void {
	for (let done = 0; done < bytes.length; )
		done += check(native.pwrite(fd, bytes, done, Math.min(CHUNK, bytes.length - done), -1), `Write ${print(name)}`);
}

/** Linux's dev_t of mknod(2), as makedev(3) makes it. */
function makeDevice(major: number, minor: number): number {
	return ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor >>> 8) * 2 ** 20;
}

function refuse(name: string, reason: string, code: string): HostError {
	return new HostError(`Unpack ${print(name)}: ${reason}`, code);
}

function print(name: string): string {
	return JSON.stringify(Buffer.from(name, 'latin1').toString('utf8').slice(0, 200));
}
