import type { FileLocks } from './file-locks.js';
import type { Watch } from './watches.js';

/**
 * What the guest kernel knows of a file beyond its bytes and attributes. Most files have none. A host file that several containers of the pod (or several
 * mounts of one) have is an inode in each of them, and one state for all: a lock, a watch, a bound socket and a fifo's pipe are of the file. The last two are known
 * by it where sockets and fifos are.
 */
export class FileState {
	/** Who is told of what is done to it (inotify); null without any. Replaced, never changed. */
	watches: readonly Watch[] | null = null;
	/** Advisory locks, from the first one on. */
	locks: FileLocks | null = null;
	/** Descriptions that were opened for writing: nobody executes it meanwhile (ETXTBSY). Mappings that outlive theirs aren't counted. */
	writers = 0;
	/** Processes that run the program in it, and execs under way: nobody opens it for writing meanwhile (ETXTBSY). */
	runners = 0;
}
