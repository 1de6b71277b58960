import type { ReplyFields } from '../methods.js';

type Event = ReplyFields<'GetContainerEvents'>;

/** Events that a client may be behind; one that is further is cut off, and lists what there is when it comes back. */
const MAX_BEHIND = 1000;

/** What one client has not read yet. */
interface Queue {
	readonly events: Event[];
	isCutOff: boolean;
	wake(): void;
}

/** What happens to containers and pods, told to all clients that listen. */
export class ContainerEvents {
	private readonly queues = new Set<Queue>();

	publish(event: Event): void {
		for (const queue of this.queues) {
			if (queue.events.length < MAX_BEHIND) queue.events.push(event);
			else {
				// It may be stuck where it can't see this: nothing is kept for it any longer.
				queue.isCutOff = true;
				queue.events.length = 0;
				this.queues.delete(queue);
			}
			queue.wake();
		}
	}

	/** Events from now on. */
	async *listen(signal: AbortSignal): AsyncGenerator<Event> {
		const queue: Queue = { events: [], isCutOff: false, wake: () => undefined };
		this.queues.add(queue);
		const wake = (): void => queue.wake();
		signal.addEventListener('abort', wake);
		try {
			while (!signal.aborted && !queue.isCutOff) {
				const next = queue.events.shift();
				if (next !== undefined) yield next;
				else
					await new Promise<void>((resolve) => {
						queue.wake = resolve;
					});
			}
		} finally {
			signal.removeEventListener('abort', wake);
			this.queues.delete(queue);
		}
	}
}
