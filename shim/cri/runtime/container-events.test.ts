import t from 'tap';
import { ContainerEvents } from './container-events.js';

t.test('each client is told of what happens from when it comes until it goes', async (t) => {
	const events = new ContainerEvents();
	const stop = new AbortController();
	const seen: (string | null | undefined)[] = [];
	events.publish({ containerId: 'before' });
	const listening = (async () => {
		for await (const { containerId } of events.listen(stop.signal)) {
			seen.push(containerId);
			if (containerId === 'c') stop.abort();
		}
	})();
	for (const containerId of ['a', 'b', 'c', 'd']) {
		// A client begins to listen when it is asked for its first event.
		await Promise.resolve();
		events.publish({ containerId });
	}
	await listening;
	t.same(seen, ['a', 'b', 'c']);
});

t.test('a client that goes while nothing happens is let go', async (t) => {
	const events = new ContainerEvents();
	const stop = new AbortController();
	const next = events.listen(stop.signal).next();
	stop.abort();
	t.same(await next, { done: true, value: undefined });
});

t.test('one that does not read is cut off, and others are not', async (t) => {
	const events = new ContainerEvents();
	const { signal } = new AbortController();
	const slow = events.listen(signal);
	const first = slow.next();
	const quick = events.listen(signal);
	let count = 0;
	for (let at = 0; at < 3000; at++) {
		const next = quick.next();
		events.publish({ containerId: `${at}` });
		t.equal((await next).value?.containerId, `${at}`);
		count++;
	}
	t.equal(count, 3000);
	t.equal((await first).value?.containerId, '0');
	t.same(await slow.next(), { done: true, value: undefined });
});
