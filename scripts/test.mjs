// `npm test`: the set-up, the checks, every test. `npm test -- dist/runtime/kernel/vfs/path-walk.test.js` runs the named files only.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { checkStepCount, runChecks } from './check.mjs';
import { setUp, setUpStepCount } from './setup.mjs';
import { main, showFailure, stateFolder } from './steps.mjs';

/** More than these didn't fail by chance. */
const MAX_FILES_AGAIN = 6;
/** Characters. */
const MAX_SHOWN = 20_000;
/** A line `not ok`, with the YAML block that explains it. */
const FAILURES = /^ *not ok .*\n(?:( *)---\n(?:.*\n)*?\1\.\.\.\n)?/gm;
const rootfsNames = ['base', 'full', 'python', 'stress', 'servers'];
const args = process.argv.slice(2);
const isWhole = args.every((arg) => arg.startsWith('-'));

await main('test', setUpStepCount + rootfsNames.length + 1 + (isWhole ? checkStepCount : 0), async (steps) => {
	await setUp(steps, ['setup', 'test'], rootfsNames);
	// Else the first run of a checkout loads the TypeScript compiler into every test's process.
	await steps.step('Setting up tap with the plugins of .taprc', () => steps.run(process.execPath, [tapProgram(), 'build']).then(() => {}));
	// The tests run all the same when a check fails: both are worth knowing.
	const failure = isWhole ? await runChecks(steps) : undefined;
	if (failure) showFailure(failure);
	let { status, failed } = await tap(steps, args);
	if (isWhole && failed.length > 0 && failed.length <= MAX_FILES_AGAIN) {
		// Host and guest are compared while all of the machine's cores are busy: what was too slow there gets the machine for itself.
		process.stdout.write('Once more, each alone:\n');
		const first = failed;
		({ status, failed } = await tap(steps, ['--jobs=1', ...args, ...first]));
		if (status === 0) process.stdout.write(`Failed beside others and passed alone: ${first.join(' ')}\n`);
	}
	if (failure) process.stdout.write(`${failure.message}\n`);
	return failure ? 1 : status;
});

/**
 * Runs tests. Off a terminal what failed is told here, from the results: the reporters draw with a terminal's means, and lose lines in a pipe.
 * @returns {Promise<{status: number, failed: string[]}>} the files that failed
 */
async function tap(steps, args) {
	const file = join(stateFolder, 'tests.tap');
	const env = process.stdout.isTTY ? {} : { CI: 'true', TAP_REPORTER: 'silent' };
	const status = await steps.runShown(process.execPath, [tapProgram(), `--output-file=${file}`, ...args], { env });
	const results = readFileSync(file, 'utf8');
	if (!process.stdout.isTTY) {
		const failures = results.match(FAILURES) ?? [];
		process.stdout.write(`${failures.join('').slice(0, MAX_SHOWN)}${results.match(/^# (\{ total|time=).*\n/gm)?.join('') ?? ''}`);
	}
	return { status, failed: [...results.matchAll(/^not ok \d+ - (\S+\.test\.m?js)/gm)].map((match) => match[1]) };
}

function tapProgram() {
	return join(dirname(createRequire(import.meta.url).resolve('tap/package.json')), 'dist/esm/run.mjs');
}
