import type { ReplyFields } from '../methods.js';

type Event = ReplyFields<'GetContainerEvents'>;

/** Events that a client may be behind; one that is further is cut off, and lists what there is when it comes back. */
const MAX_BEHIND = 1000;

/** What happens to containers and pods, told to all clients that listen. */
export class ContainerEvents {
	private readonly queues = new Set<{ readonly events: Event[]; wake: () => void }>();

	publish(event: Event): void {
		for (const queue of this.queues) {
			queue.events.push(event);
			queue.wake();
		}
	}

	/** Events from now on. */
	async *listen(signal: AbortSignal): AsyncGenerator<Event> {
		const queue = { events: [] as Event[], wake: (): void => undefined };
		this.queues.add(queue);
		try {
			while (!signal.aborted && queue.events.length <= MAX_BEHIND) {
				const next = queue.events.shift();
				if (next !== undefined) yield next;
				else
					await new Promise<void>((resolve) => {
						queue.wake = resolve;
						signal.addEventListener('abort', () => resolve(), { once: true });
					});
			}
		} finally {
			this.queues.delete(queue);
		}
	}
}
