import t from 'tap';
import { POLLIN, POLLOUT } from '../abi/poll-constants.js';
import { EventFd } from '../ipc/eventfd.js';
import { AioContext, AioRequest } from './aio-context.js';

const poll = (context: AioContext, on: EventFd, told: EventFd | null, events = POLLIN) => {
	const request = new AioRequest(context, on, told, 0x1000, 1, 0, events);
	context.submitted(request);
	request.poll();
	return request;
};

t.test('a poll is done at once, or when the description is woken with what it waits for', async (t) => {
	const context = new AioContext(2);
	const eventfd = new EventFd(0, 0, 0);
	poll(context, eventfd, null, POLLOUT);
	t.equal(context.doneCount, 1);
	t.equal(context.event(0).result, POLLOUT);
	poll(context, eventfd, null);
	t.equal(context.doneCount, 1);
	t.ok(context.isFull);
	t.ok(context.find(0x1000));
	eventfd.signal();
	t.equal(context.doneCount, 2);
	t.equal(eventfd.referenceCount, 3, 'requests hold what they are about until they are taken');
	context.take(2);
	t.equal(eventfd.referenceCount, 1);
	t.notOk(context.isFull);
});

t.test('a long chain of eventfds that tell one another is no recursion', async (t) => {
	const context = new AioContext(65536);
	const chain = Array.from({ length: 20_000 }, () => new EventFd(0, 0, 0));
	for (let i = 0; i + 1 < chain.length; i++) poll(context, chain[i]!, chain[i + 1]!);
	chain[0]!.signal();
	t.equal(context.doneCount, chain.length - 1);
	t.equal(chain.at(-1)!.poll() & POLLIN, POLLIN);
	context.destroy();
	t.ok(chain.every((each) => each.referenceCount === 1));
});
