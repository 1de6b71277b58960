import fc from 'fast-check';
import t from 'tap';
import { isopod } from '../../../proto/generated/agent.js';
import { native } from '../../native.js';
import { AgentClient } from './agent-client.js';
import { HostLoop } from './host-loop.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);
const HEADER = 4;
const PROGRAM = 1;

const loop = new HostLoop();
setImmediate(() => loop.run());
// The loop waits for its own events alone: the test's are to come, too.
const tick = (): void => void loop.after(1, tick);
tick();

function pair(): [number, number] {
	const ends = new Int32Array(2);
	if (native.socketPair(ends) < 0) throw new Error('Make a socket pair');
	native.setNonBlocking(ends[1]!, true);
	return [ends[0]!, ends[1]!];
}

function frame(body: Uint8Array): Buffer {
	const bytes = Buffer.alloc(HEADER + body.length);
	bytes.writeUInt32LE(body.length);
	bytes.set(body, HEADER);
	return bytes;
}

/** A client with a call and a program, and a hostile agent's end of its channel. */
class Case {
	readonly client: AgentClient;
	readonly agentFd: number;
	/** What the program was told. */
	readonly told: string[] = [];
	/** How the call ended: by promises, in their own time. */
	readonly answers: string[] = [];

	constructor() {
		const [fd, agentFd] = pair();
		this.agentFd = agentFd;
		this.client = new AgentClient(loop, fd);
		this.client.addProgram({
			onData: (stream, bytes, isEnd) => this.told.push(`data ${stream} ${bytes.length} ${isEnd}`),
			onCredit: (bytes) => this.told.push(`credit ${bytes}`),
			onExit: (status) => this.told.push(`exit ${status}`),
		});
		this.client.call({ settle: {} }).then(
			() => this.answers.push('answered'),
			(error: Error) => this.answers.push(error.message),
		);
	}

	/** Sends `bytes` in pieces of `sizes` (the last one's again and again), and closes the channel: why the client says that it ended. */
	async send(bytes: Uint8Array, sizes: readonly number[]): Promise<string> {
		for (let at = 0, i = 0; at < bytes.length; i++) {
			const end = Math.min(bytes.length, at + (sizes[Math.min(i, sizes.length - 1)] ?? bytes.length));
			const count = native.pwrite(this.agentFd, bytes, at, end - at, -1);
			// EAGAIN: its turn; EPIPE: it has heard enough.
			if (count < 0 && count !== -11) break;
			at += Math.max(0, count);
			await new Promise((then) => setImmediate(then));
		}
		native.close(this.agentFd);
		return this.client.closed;
	}
}

const message = fc
	.record(
		{
			id: fc.constantFrom(0, 1, 2, 0xffffffff),
			error: fc.string(),
			hello: fc.record({ version: fc.nat(), kernelRelease: fc.string() }),
			exited: fc.record({ number: fc.constantFrom(0, PROGRAM, 7), status: fc.nat() }),
			data: fc.record({ number: fc.constantFrom(0, PROGRAM, 7), stream: fc.nat(), bytes: fc.uint8Array(), isEnd: fc.boolean() }),
			credit: fc.record({ number: fc.constantFrom(0, PROGRAM, 7), bytes: fc.nat() }),
			outOfMemory: fc.record({ containerId: fc.string(), count: fc.nat() }),
		},
		{ requiredKeys: [] },
	)
	.map((fields) => isopod.agent.Message.encode(isopod.agent.Message.create(fields)).finish());
const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 });
const ENDS = /^(the machine has closed its channel|the agent sent what it must not: .*)$/s;

t.test('whatever an agent sends ends its channel at most, and every call', async (t) => {
	const junk = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }).map(frame), message.map(frame));
	await fc.assert(
		fc.asyncProperty(fc.array(junk, { maxLength: 8 }), sizes, async (parts, pieces) => {
			const one = new Case();
			const why = await one.send(Buffer.concat(parts), pieces);
			await new Promise((then) => setImmediate(then));
			return ENDS.test(why) && one.answers.length === 1;
		}),
		{ numRuns: RUNS },
	);
	t.end();
});

t.test('messages mean the same however they are cut', async (t) => {
	await fc.assert(
		fc.asyncProperty(fc.array(message, { maxLength: 8 }), sizes, async (messages, pieces) => {
			const bytes = Buffer.concat(messages.map(frame));
			const [whole, cut] = [new Case(), new Case()];
			const ends = [await whole.send(bytes, [bytes.length]), await cut.send(bytes, pieces)];
			await new Promise((then) => setImmediate(then));
			return ends[0] === ends[1] && whole.told.join() === cut.told.join() && whole.answers.join() === cut.answers.join();
		}),
		{ numRuns: RUNS },
	);
	t.end();
});

t.test('a frame that is too long is refused by its head, before its body is held', async (t) => {
	for (const length of [(4 << 20) - 3, 0x7fffffff, 0x80000000, 0xffffffff]) {
		const head = Buffer.alloc(HEADER);
		head.writeUInt32LE(length);
		t.match(await new Case().send(head, [HEADER]), /^the agent sent what it must not: a frame of \d+ bytes$/);
	}
});

t.test('an agent that never answers has its machine ended', async (t) => {
	const [fd, agentFd] = pair();
	const client = new AgentClient(loop, fd);
	await t.rejects(client.call({ settle: {} }, 20), /the machine has ended/);
	t.match(await client.closed, /did not answer for 0.02 s/);
	native.close(agentFd);
	await t.rejects(client.call({ settle: {} }), /the machine has ended/);
});

t.teardown(() => setTimeout(() => process.exit(), 100).unref());
