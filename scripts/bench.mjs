// `npm run bench`: the set-up, then the harness; what follows `--` goes to it.

import { setUp, setUpStepCount } from './setup.mjs';
import { main } from './steps.mjs';

const rootfsNames = ['base'];

await main('bench', setUpStepCount + rootfsNames.length, async (steps) => {
	await setUp(steps, ['setup', 'bench'], rootfsNames);
	return steps.runShown(process.execPath, ['dist/bench/main.js', ...process.argv.slice(2)]);
});
