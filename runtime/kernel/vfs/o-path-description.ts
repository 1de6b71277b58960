import { EBADF } from '../abi/errno.js';
import { POLLNVAL } from '../abi/poll-constants.js';
import { FileDescription } from './file-description.js';

/** An O_PATH open: names a place in the tree, moves no bytes (open(2)). */
export class OPathDescription extends FileDescription {
	override read(): number {
		return -EBADF;
	}
	override write(): number {
		return -EBADF;
	}
	override seek(): number {
		return -EBADF;
	}
	override ioctl(): number {
		return -EBADF;
	}
	override readDirectory(): number {
		return -EBADF;
	}
	override truncate(): number {
		return -EBADF;
	}
	override sync(): number {
		return -EBADF;
	}
	override poll(): number {
		return POLLNVAL;
	}
}
