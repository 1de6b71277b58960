import fc from 'fast-check';
import t from 'tap';
import { EAGAIN } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.js';
import { FileLocks } from './file-locks.js';
import type { Inode } from './inode.js';

const RUNS = 3000;
const BYTES = 16;
const owners = [{}, {}, {}];

const step = fc.record({
	owner: fc.nat(owners.length - 1),
	type: fc.constantFrom(F_RDLCK, F_WRLCK, F_UNLCK, null),
	start: fc.nat(BYTES - 1),
	length: fc.integer({ min: 1, max: BYTES }),
});

t.test('record locks are what a table of bytes says, whatever is locked and unlocked', async (t) => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
			const locks = new FileLocks({} as Inode);
			/** What each owner holds on each byte. */
			const model = owners.map(() => new Array<number>(BYTES).fill(F_UNLCK));
			for (const { owner, type, start, length } of steps) {
				const end = Math.min(BYTES, start + length);
				if (type === null) {
					locks.release(owners[owner]!);
					model[owner]!.fill(F_UNLCK);
				} else {
					const stands = (held: number): boolean => held !== F_UNLCK && (held === F_WRLCK || type === F_WRLCK);
					const isFree = type === F_UNLCK || !model.some((bytes, other) => other !== owner && bytes.slice(start, end).some(stands));
					const got = locks.setRecord({ owner: owners[owner]!, type, start, end, pid: 1, isOfd: false });
					if (got !== (isFree ? 0 : -EAGAIN)) return false;
					if (isFree) model[owner]!.fill(type, start, end);
				}
				const shown = owners.map(() => new Array<number>(BYTES).fill(F_UNLCK));
				for (const lock of locks.recordLocks) {
					const bytes = shown[owners.indexOf(lock.owner)]!;
					// No byte is in two locks of one owner, and no two of a type touch.
					if (bytes.slice(lock.start, lock.end).some((held) => held !== F_UNLCK)) return false;
					if (bytes[lock.start - 1] === lock.type || bytes[lock.end] === lock.type) return false;
					bytes.fill(lock.type, lock.start, lock.end);
				}
				if (`${shown}` !== `${model}`) return false;
			}
			for (const owner of owners) locks.release(owner);
			return locks.isEmpty;
		}),
		{ numRuns: RUNS },
	);
	t.pass('every run agreed');
});
