import fc from 'fast-check';
import t from 'tap';
import { EAGAIN } from '../abi/errno.js';
import { O_NONBLOCK } from '../abi/fcntl.js';
import { makePipe } from './pipe.js';
import { reading, TestProcess, writing } from './testing.js';

const RUNS = 3000;
const CAPACITY = 65536;
/** What a write of no more is: whole, or not at all; pipe(7). */
const PIPE_BUF = 4096;

const length = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 90_000 }));
const step = fc.record({ isWrite: fc.boolean(), length });

t.test('a pipe is a queue of bytes that is never more than full', async (t) => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
			const process = new TestProcess();
			const task = process.task();
			const [out, into] = makePipe(task, O_NONBLOCK);
			// Kept ones would count against their user, whose further pipes then are smaller.
			const end = (isSo: boolean): boolean => {
				out.release();
				into.release();
				return isSo;
			};
			let queue = '';
			let next = 0;
			for (const { isWrite, length } of steps) {
				if (isWrite) {
					const bytes = String.fromCharCode(...Array.from({ length: 251 }, () => next++ & 0xff))
						.repeat(Math.ceil(length / 251))
						.slice(0, length);
					const got = process.call(task, writing(into, bytes));
					const space = CAPACITY - queue.length;
					if (got === -EAGAIN) {
						if (space >= Math.min(length, PIPE_BUF)) return end(false);
						continue;
					}
					if (got <= 0 || got > space || (length <= PIPE_BUF && got !== length)) return end(false);
					queue += bytes.slice(0, got);
				} else {
					const buffer = Buffer.alloc(length);
					const got = process.call(task, reading(out, length, buffer));
					if (got !== (queue === '' ? -EAGAIN : Math.min(length, queue.length))) return end(false);
					if (got > 0 && buffer.latin1Slice(0, got) !== queue.slice(0, got)) return end(false);
					if (got > 0) queue = queue.slice(got);
				}
			}
			return end(true);
		}),
		{ numRuns: RUNS },
	);
	t.pass('every run agreed');
});
