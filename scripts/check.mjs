// `npm run check`: types, lint and layout, and the import rule. All of them run, also when one fails.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { list } from './files.mjs';
import { buildProtocols } from './proto.mjs';
import { main, root, StepError, stateFolder } from './steps.mjs';

/** How many steps {@link runChecks} takes. */
export const checkStepCount = 5;

/** Runs every check, also when one fails. Returns what failed, nothing when all is well. */
export async function runChecks(steps) {
	const failures = [];
	const check = async (title, action) => {
		try {
			await steps.step(title, action);
		} catch (error) {
			if (!(error instanceof StepError)) throw error;
			failures.push(new StepError(`${title}: failed`, { output: error.output || error.message }));
		}
	};
	await check('Checking types', checkTypes);
	await check('Checking lint and layout of TypeScript (biome)', checkBiome);
	await check('Checking layout of C and C++ (clang-format)', checkClangFormat);
	await check('Checking the import rule', checkImports);
	await check('Checking COMPATIBILITY.md against the table', checkCompatibility);
	if (failures.length === 0) return undefined;
	const output = failures.map((error) => error.output.trimEnd()).join('\n\n');
	return new StepError(failures.map((error) => error.message).join('\n'), { output });
}

const require = createRequire(import.meta.url);

async function checkTypes(steps) {
	await buildProtocols();
	const buildInfo = join(stateFolder, 'check.tsbuildinfo');
	await steps.run(process.execPath, [
		require.resolve('typescript/bin/tsc'),
		'--noEmit',
		'--pretty',
		'false',
		'--tsBuildInfoFile',
		buildInfo,
	]);
}

/** The page is made from the compiled table: a checkout that was never built has none to compare. */
async function checkCompatibility(steps) {
	if (!existsSync(join(root, 'dist/runtime/kernel/syscalls/table.js'))) return 'not built';
	await steps.run(process.execPath, [join(root, 'scripts/compatibility.mjs'), '--check']);
}

async function checkBiome(steps) {
	const biome = join(dirname(require.resolve('@biomejs/biome/package.json')), 'bin/biome');
	await steps.run(process.execPath, [biome, 'check', '--error-on-warnings', '--max-diagnostics=100', '--colors=off']);
}

async function checkClangFormat(steps) {
	const files = list('native', (file) => /\.(cc|c|h)$/.test(file) && !file.startsWith('native/build/'));
	// clang-format shows each place with two lines of source; the files are enough, `npm run format` does the rest.
	const { status, output } = await steps.run('clang-format', ['--dry-run', '-Werror', ...files], { allowFailure: true });
	if (status === 0) return;
	const places = [...output.matchAll(/^(\S+?):(\d+):\d+: error: /gm)].map(([, file, line]) => ({ file, line }));
	const wrong = [...new Set(places.map(({ file }) => file))].map((file) => {
		const lines = new Set(places.filter((place) => place.file === file).map(({ line }) => line));
		return `${file}:${[...lines][0]}: ${lines.size} lines are laid out otherwise; npm run format mends them`;
	});
	throw new StepError('Check the layout of C and C++', { output: wrong.join('\n') || output });
}

async function checkImports() {
	const { findForbiddenImports } = await import('./check-imports.mjs');
	const files = ['bench', 'shim', 'runtime', 'native', 'proto'].flatMap((folder) => list(folder, (file) => file.endsWith('.ts')));
	const forbidden = files.flatMap((file) => findForbiddenImports(file, readFileSync(join(root, file), 'utf8')));
	if (forbidden.length > 0) throw new StepError(`The import rule is broken ${forbidden.length} times`, { output: forbidden.join('\n') });
}

if (process.argv[1] === import.meta.filename) {
	await main('check', checkStepCount, async (steps) => {
		const failure = await runChecks(steps);
		if (failure) throw failure;
	});
}
