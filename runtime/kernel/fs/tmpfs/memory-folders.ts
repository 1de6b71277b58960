import { native } from '../../../native.js';
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, O_RDWR, O_TMPFILE } from '../../abi/fcntl.js';

const AT_FDCWD = -100;

/**
 * One tmpfs of the host's by two mounts, in which the contents of guests' tmpfs files lie. Whether a mapping may become executable (mmap, and mprotect later, which
 * is native) the host asks of the mount that a file was opened by, so a file that is mapped from a noexec mount of the guest's is opened by the noexec one. A memfd
 * has no second way to it.
 */
export class MemoryFolders {
	/** Names that were given out; a name lives for the length of one call. */
	private names = 0;

	/** Directory descriptors of the two mounts, for good. */
	constructor(
		private readonly fd: number,
		private readonly noExecFd: number,
	) {}

	/** The folders at these paths of the sandbox process's own root. Throws Error if there are none. */
	static open(path: string, noExecPath: string): MemoryFolders {
		const [fd, noExecFd] = [path, noExecPath].map((each) => {
			const opened = native.openat2(AT_FDCWD, each, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0);
			if (opened < 0) throw new Error(`open folder for memory files ${each}: errno ${-opened}`);
			return opened;
		});
		return new MemoryFolders(fd!, noExecFd!);
	}

	/** A new file without a name: its descriptor, the caller's, or -errno. */
	create(): number {
		return native.openat2(this.fd, '.', O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600, 0);
	}

	/**
	 * The file of `fd`, which `create` gave, by the noexec mount: a descriptor, the caller's, or -errno. Once only for each file, as the host gives a name to
	 * one that had one no more; more descriptors come from the one that was given.
	 */
	openNoExec(fd: number): number {
		const name = `${++this.names}`;
		const error = native.linkFd(fd, this.fd, name);
		if (error < 0) return error;
		const opened = native.openat2(this.noExecFd, name, O_RDWR | O_CLOEXEC, 0, 0);
		native.unlinkat(this.fd, name, false);
		return opened;
	}
}

let folders: MemoryFolders | null = null;

/** From now on tmpfs files lie there. Without (in tests of single objects) they lie in memfds, and a noexec mapping can become executable. */
export function useMemoryFolders(used: MemoryFolders): void {
	folders = used;
}

/** Where tmpfs files lie; null: in memfds. */
export function memoryFolders(): MemoryFolders | null {
	return folders;
}
