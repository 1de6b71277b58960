import { EINVAL, ENXIO } from '../abi/errno.js';
import { O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR } from '../abi/fcntl.js';
import type { Task } from '../task/task.js';
import type { FileDescription } from '../vfs/file-description.js';
import type { Inode } from '../vfs/inode.js';
import type { Path } from '../vfs/path.js';
import { Pipe, PipeDescription } from './pipe.js';

/** The pipes behind named pipes, by what identifies the node. */
const pipes = new WeakMap<object, Pipe>();

/** A task that waits in open(2): what it saw at its first run. Keeps the node's key alive, and so its pipe. */
class FifoOpening {
	constructor(
		readonly key: object,
		readonly pipe: Pipe,
		/** How often the other side had been opened. */
		readonly opensSeen: number,
	) {}
}

/**
 * Opens a named pipe, fifo(7): to read, when a writer has it open or comes; to write, when a reader has or comes; O_RDWR at once.
 * One that waits counts as open for a peer that arrives: both then go on, whichever runs first.
 * Errors: ENXIO (O_NONBLOCK for writing, without a reader), EINVAL (access mode 3). BLOCKED while it waits.
 */
export function openFifo(key: object, path: Path, inode: Inode, flags: number, task: Task): FileDescription | number {
	const { trap } = task;
	const opening = trap.state instanceof FifoOpening && trap.state.key === key ? trap.state : null;
	const pipe = opening?.pipe ?? pipeOf(key);
	const mode = flags & O_ACCMODE;
	if (mode > O_RDWR) return -EINVAL;
	if (mode !== O_RDWR) {
		const isReading = mode === O_RDONLY;
		const isNonBlocking = (flags & O_NONBLOCK) !== 0;
		const peers = isReading ? pipe.writers : pipe.readers;
		const peerOpens = isReading ? pipe.writerOpens : pipe.readerOpens;
		const hasPeer =
			peers > 0 || !(isReading ? pipe.writeOpeners : pipe.readOpeners).isEmpty || (opening !== null && opening.opensSeen !== peerOpens);
		if (!hasPeer && !isNonBlocking) {
			if (opening === null) trap.state = new FifoOpening(key, pipe, peerOpens);
			return task.blockOn(isReading ? pipe.readOpeners : pipe.writeOpeners);
		}
		if (!hasPeer && !isReading) return -ENXIO;
	}
	return new PipeDescription(pipe, path, inode, flags, task.credentials.uid);
}

function pipeOf(key: object): Pipe {
	let pipe = pipes.get(key);
	if (pipe === undefined) {
		pipe = new Pipe();
		pipes.set(key, pipe);
	}
	return pipe;
}
