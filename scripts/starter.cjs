// Copied to dist/ by the build as NAME-start.cjs: runs NAME.cjs beside it with the code that V8 compiled when it was built (NAME.cache), as
// compiling is most of what loading a bundle takes. V8 checks the cache against the source, its own version and its flags, and compiles anew
// when they don't fit.
'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');

const bundle = __filename.replace(/-start\.cjs$/, '');
const file = `${bundle}.cjs`;
// The bundler writes ASCII: one byte is one character.
const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'latin1')}\n})`;
let cachedData;
try {
	cachedData = readFileSync(`${bundle}.cache`);
} catch {
	// Without it, it takes longer.
}
const script = new Script(source, { filename: file, cachedData });
if (process.env.ISOPOD_CODE_CACHE !== undefined) {
	// The build asks: with the file to write, or with '' whether the cache fits.
	const { writeFileSync } = require('node:fs');
	const run = script.runInThisContext();
	if (typeof run !== 'function') throw new Error(`${file} is no bundle`);
	if (process.env.ISOPOD_CODE_CACHE !== '') writeFileSync(process.env.ISOPOD_CODE_CACHE, script.createCachedData());
	else process.exit(script.cachedDataRejected === false ? 0 : 1);
} else {
	script.runInThisContext()(exports, require, module, file, __dirname);
}
