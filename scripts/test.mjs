// `npm test`: the set-up, the checks, every test. `npm test -- dist/runtime/kernel/vfs/path-walk.test.js` runs the named files only.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { checkStepCount, runChecks } from './check.mjs';
import { setUp, setUpStepCount } from './setup.mjs';
import { main, showFailure } from './steps.mjs';

const rootfsNames = ['base', 'full', 'python'];
const args = process.argv.slice(2);
const isWhole = args.every((arg) => arg.startsWith('-'));

await main('test', setUpStepCount + rootfsNames.length + (isWhole ? checkStepCount : 0), async (steps) => {
	await setUp(steps, ['setup', 'test'], rootfsNames);
	// The tests run all the same when a check fails: both are worth knowing.
	const failure = isWhole ? await runChecks(steps) : undefined;
	if (failure) showFailure(failure);
	const tap = join(dirname(createRequire(import.meta.url).resolve('tap/package.json')), 'dist/esm/run.mjs');
	// Off a terminal: only what fails, and no cursor movement (the reporters look at CI for that).
	const env = process.stdout.isTTY ? {} : { CI: 'true', TAP_REPORTER: 'terse' };
	const status = await steps.runShown(process.execPath, [tap, ...args], { env });
	if (failure) process.stdout.write(`${failure.message}\n`);
	return failure ? 1 : status;
});
