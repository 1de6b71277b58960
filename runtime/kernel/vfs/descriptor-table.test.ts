import t from 'tap';
import { EBADF, EMFILE } from '../abi/errno.js';
import { fakeTask } from '../fs/testing.js';
import { DescriptorTable, LENT_CURRENT, LENT_NONE, LENT_STALE } from './descriptor-table.js';
import type { FileDescription } from './file-description.js';

const { task } = fakeTask();

/** A description as far as a table looks at one: it counts its references. */
function fakeDescription(): { description: FileDescription; references(): number } {
	let references = 1;
	const fake = {
		acquire() {
			references++;
			return fake;
		},
		release: () => references--,
		flush: () => {},
	};
	return { description: fake as unknown as FileDescription, references: () => references };
}

t.test('add() gives the lowest free number, up to the limit', async (t) => {
	const table = new DescriptorTable();
	const add = (limit = 10, from = 0) => table.add(fakeDescription().description, false, limit, from);
	t.strictSame([add(), add(), add()], [0, 1, 2]);
	t.equal(table.close(1, task), 0);
	t.equal(table.close(1, task), -EBADF);
	t.equal(add(10, 5), 5);
	t.strictSame([add(), add()], [1, 3]);
	t.equal(add(4), -EMFILE);
	t.strictSame([...table.numbers()], [0, 1, 2, 3, 5]);
	t.equal(table.used, 5);
});

t.test('a copy has references of its own; exec closes what is to be closed; the last release closes all', async (t) => {
	const table = new DescriptorTable();
	const [kept, closed] = [fakeDescription(), fakeDescription()];
	table.add(kept.description, false, 10);
	table.add(closed.description, true, 10);
	const copy = table.copy();
	t.strictSame([kept.references(), closed.references()], [2, 2]);
	copy.exec(task);
	t.strictSame([...copy.numbers()], [0]);
	t.strictSame([kept.references(), closed.references()], [2, 1]);
	table.acquire();
	table.release(task);
	t.equal(kept.references(), 2);
	table.release(task);
	copy.release(task);
	t.strictSame([kept.references(), closed.references()], [0, 0]);
});

t.test('a lent descriptor is stale once its number has another description', async (t) => {
	const table = new DescriptorTable();
	table.set(40, fakeDescription().description, false, task);
	t.equal(table.lentState(40), LENT_NONE);
	table.setLentState(40, LENT_CURRENT);
	t.equal(table.copy().lentState(40), LENT_CURRENT);
	table.set(40, fakeDescription().description, false, task);
	t.equal(table.lentState(40), LENT_STALE);
	table.exec(task);
	t.equal(table.lentState(40), LENT_NONE);
});
