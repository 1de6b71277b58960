// `npm run format`: lays out what `npm run check` would complain of, and mends what Biome can mend safely. `npm run format -- FILE…`
// does so for some files only.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { list } from './files.mjs';
import { main } from './steps.mjs';

const args = process.argv.slice(2);
const isC = (file) => /\.(cc|c|h)$/.test(file);

await main('format', 2, async (steps) => {
	const native = args.length > 0 ? args.filter(isC) : list('native', (file) => isC(file) && !file.startsWith('native/build/'));
	const others = args.filter((file) => !isC(file));
	const biome = join(dirname(createRequire(import.meta.url).resolve('@biomejs/biome/package.json')), 'bin/biome');
	await steps.step('C and C++ (clang-format)', async () => {
		if (native.length > 0) await steps.run('clang-format', ['-i', ...native]);
	});
	await steps.step('TypeScript (biome)', async () => {
		if (args.length === 0 || others.length > 0) await steps.run(process.execPath, [biome, 'check', '--write', '--colors=off', ...others]);
	});
});
