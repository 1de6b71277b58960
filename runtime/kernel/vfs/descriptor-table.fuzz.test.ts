import fc from 'fast-check';
import t from 'tap';
import { EBADF, EMFILE } from '../abi/errno.js';
import { fakeTask } from '../fs/testing.js';
import { DescriptorTable } from './descriptor-table.js';
import type { FileDescription } from './file-description.js';

const { task } = fakeTask();
const RUNS = 3000;
const LIMIT = 12;

interface Fake {
	references: number;
}

function describe(all: Fake[]): FileDescription {
	const fake = {
		references: 1,
		acquire: () => {
			fake.references++;
			return fake;
		},
		release: () => fake.references--,
		flush: () => {},
	};
	all.push(fake);
	return fake as unknown as FileDescription;
}

const number = fc.nat(LIMIT + 2);
const step = fc.oneof(
	fc.record({ kind: fc.constant('add' as const), from: number, flag: fc.boolean() }),
	fc.record({ kind: fc.constant('set' as const), from: fc.nat(LIMIT - 1), flag: fc.boolean() }),
	fc.record({ kind: fc.constant('close' as const), from: number, flag: fc.boolean() }),
	fc.record({ kind: fc.constant('exec' as const), from: number, flag: fc.boolean() }),
	fc.record({ kind: fc.constant('fork' as const), from: number, flag: fc.boolean() }),
);

t.test('a descriptor table is a map of numbers, whatever is done to it; no reference is lost', async (t) => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
			const all: Fake[] = [];
			let table = new DescriptorTable();
			/** Number to close-on-exec. */
			const model = new Map<number, boolean>();
			for (const { kind, from, flag } of steps) {
				if (kind === 'add') {
					let want = from;
					while (model.has(want)) want++;
					const description = describe(all);
					const got = table.add(description, flag, LIMIT, from);
					if (got !== (want < LIMIT ? want : -EMFILE)) return false;
					if (got >= 0) model.set(got, flag);
					else description.release();
				} else if (kind === 'set') {
					table.set(from, describe(all), flag, task);
					model.set(from, flag);
				} else if (kind === 'close') {
					if (table.close(from, task) !== (model.delete(from) ? 0 : -EBADF)) return false;
				} else if (kind === 'exec') {
					table.exec(task);
					for (const [fd, isClosed] of model) if (isClosed) model.delete(fd);
				} else {
					const copy = table.copy();
					table.release(task);
					table = copy;
				}
				if (`${[...table.numbers()]}` !== `${[...model.keys()].sort((one, other) => one - other)}`) return false;
				if (table.used !== model.size) return false;
				for (const [fd, isClosed] of model) if (table.isCloseOnExec(fd) !== isClosed) return false;
				if (all.filter(({ references }) => references > 0).length !== model.size) return false;
			}
			table.release(task);
			return all.every(({ references }) => references === 0);
		}),
		{ numRuns: RUNS },
	);
	t.pass('every run agreed');
});
