import t from 'tap';
import { bounds } from '../bounds.js';
import type { Kernel } from '../kernel.js';
import { FilterHold } from './filter-hold.js';

t.test('a filter counts once as long as any process has it', async (t) => {
	const kernel = { filterInstructions: 0 } as Kernel;
	const parent = new FilterHold(kernel);
	t.ok(parent.add(1000));
	const child = parent.copy();
	t.ok(child.add(500));
	t.equal(kernel.filterInstructions, 1500);
	parent.release();
	t.equal(kernel.filterInstructions, 1500);
	child.cancel(500);
	t.equal(kernel.filterInstructions, 1000);
	child.release();
	t.equal(kernel.filterInstructions, 0);
});

t.test('there is a bound', async (t) => {
	const kernel = { filterInstructions: 0 } as Kernel;
	const hold = new FilterHold(kernel);
	t.ok(hold.add(bounds.filterInstructions));
	t.notOk(hold.add(1));
	hold.release();
	t.ok(hold.add(1));
});
