import { ESPIPE } from '../../kernel/abi/errno.js';
import { EPOLLERR, EPOLLIN, EPOLLPRI } from '../../kernel/abi/poll-constants.js';
import type { Kernel } from '../../kernel/kernel.js';
import { native } from '../../native.js';

const buffer = Buffer.alloc(512);

/** Listens to a control group running out of memory: to an eventfd (v1) or to memory.events (v2). */
export class MemoryEvents {
	private readonly key: number;

	constructor(
		private readonly kernel: Kernel,
		/** Owned. */
		private readonly fd: number,
		then: () => void,
	) {
		this.key = kernel.endpoints.add({
			onEvent: () => {
				this.read();
				then();
			},
		});
		this.read();
		native.watch(fd, this.key, EPOLLIN | EPOLLPRI | EPOLLERR);
	}

	/** What was read is not told again. */
	private read(): void {
		if (native.pread(this.fd, buffer, 0, buffer.length, 0) === -ESPIPE) native.pread(this.fd, buffer, 0, buffer.length, -1);
	}

	close(): void {
		native.unwatch(this.fd);
		this.kernel.endpoints.remove(this.key);
		native.close(this.fd);
	}
}
