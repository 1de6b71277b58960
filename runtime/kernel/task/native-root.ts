import { native } from '../../native.js';
import { EEXIST, ENOENT, ENOTDIR } from '../abi/errno.js';
import { bounds } from '../bounds.js';

/** Where guests' native working directory lies: deep, so that "../" in a relative path stays below the root. */
export const NATIVE_CWD = '/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16';
const LOADER = '/x';

/**
 * The native root of the guests: a small tmpfs in which whatever path an `execve` names is made to lead to the loader before the host looks
 * (facts/traps.md 18). Nothing else is ever in it, so a path that is changed meanwhile leads to the loader or nowhere.
 */
export class NativeRoot {
	/** Paths that exist, oldest first: Map keeps insertion order. */
	private readonly made = new Map<string, true>();

	constructor(readonly fd: number) {
		this.directories(NATIVE_CWD.slice(1).split('/'), NATIVE_CWD.length);
	}

	/** Makes `path`, as a guest gave it to execve, lead to the loader. 0, or -errno of the host (the tmpfs is full). */
	ensure(path: string): number {
		const parts = nativeParts(path);
		const key = parts.join('/');
		if (this.made.delete(key)) {
			this.made.set(key, true);
			return 0;
		}
		if (key === '' || `/${key}` === LOADER || NATIVE_CWD.startsWith(`/${key}/`) || `/${key}` === NATIVE_CWD) return 0;
		if (this.made.size >= bounds.nativePaths) this.evict();
		let error = this.link(parts, key);
		// What stands in the way is an older path (a file where a folder is needed, or the other way round): all of it can be made again.
		if (error === -ENOTDIR || error === -EEXIST || error === -ENOENT) {
			this.clear();
			error = this.link(parts, key);
		}
		if (error < 0) return error;
		this.made.set(key, true);
		return 0;
	}

	private link(parts: readonly string[], key: string): number {
		let error = native.symlinkat(LOADER, this.fd, key);
		if (error === -ENOENT) {
			error = this.directories(parts, parts.length - 1);
			if (error >= 0) error = native.symlinkat(LOADER, this.fd, key);
		}
		return error;
	}

	private directories(parts: readonly string[], count: number): number {
		let path = '';
		for (let i = 0; i < Math.min(count, parts.length); i++) {
			path += (i === 0 ? '' : '/') + parts[i]!;
			const error = native.mkdirat(this.fd, path, 0o755);
			if (error < 0 && error !== -EEXIST) return error;
		}
		return 0;
	}

	private evict(): void {
		for (const key of this.made.keys()) {
			native.unlinkat(this.fd, key, false);
			this.made.delete(key);
			this.prune(key);
			return;
		}
	}

	private clear(): void {
		for (const key of this.made.keys()) {
			native.unlinkat(this.fd, key, false);
			this.prune(key);
		}
		this.made.clear();
	}

	/** Removes the folders that have become empty; the ones in use refuse. */
	private prune(key: string): void {
		for (let end = key.lastIndexOf('/'); end > 0; end = key.lastIndexOf('/', end - 1)) {
			const folder = key.slice(0, end);
			if (NATIVE_CWD.startsWith(`/${folder}/`) || native.unlinkat(this.fd, folder, true) < 0) return;
		}
	}
}

/** The components under the native root that the host would walk: it has no symlinks but the final ones. */
function nativeParts(path: string): string[] {
	const parts = path.startsWith('/') ? [] : NATIVE_CWD.slice(1).split('/');
	for (const part of path.split('/')) {
		if (part === '' || part === '.') continue;
		if (part === '..') parts.pop();
		else parts.push(part);
	}
	return parts;
}
