// Compiles proto/*.proto to static JavaScript with types (protobufjs-cli): no reflection at start-up.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './steps.mjs';

/** 64-bit integers are numbers, as the types say: where the package long happens to be installed protobufjs would make objects of them. */
const NUMBERS_ONLY = '$protobuf.util.Long = null;\n$protobuf.configure();';

/** Generates proto/generated/NAME.js and .d.ts for each proto/NAME.proto that is newer, and puts the JavaScript where the compiled code looks for it. */
export async function buildProtocols() {
	const folder = join(root, 'proto/generated');
	const output = join(root, 'dist/proto/generated');
	mkdirSync(folder, { recursive: true });
	mkdirSync(output, { recursive: true });
	for (const file of readdirSync(join(root, 'proto')).filter((name) => name.endsWith('.proto'))) {
		const source = join(root, 'proto', file);
		const target = join(folder, file.replace(/\.proto$/, '.js'));
		const types = join(folder, file.replace(/\.proto$/, '.d.ts'));
		const newest = Math.max(...[source, import.meta.filename].map((name) => statSync(name).mtimeMs));
		if (!existsSync(types) || statSync(types).mtimeMs < newest) {
			const { pbjs, pbts } = await import('protobufjs-cli');
			const left = ['--no-verify', '--no-convert', '--no-typeurl', '--no-delimited', '--no-service'];
			// A root of its own, so that files which import the same messages don't replace each other's.
			const options = ['-t', 'static-module', '-w', 'es6', ...left, '--force-number', '--root', file.replace(/\.proto$/, '')];
			await promisify(pbjs.main)([...options, '-o', target, source]);
			const code = readFileSync(target, 'utf8');
			const [statement] = /^import \$protobuf from .*$/m.exec(code) ?? [];
			if (statement === undefined) throw new Error(`${target}: protobufjs-cli writes its import in another way`);
			writeFileSync(target, code.replace(statement, `${statement}\n${NUMBERS_ONLY}`));
			await promisify(pbts.main)(['-o', types, target]);
			writeFileSync(types, `// Generated from proto/${file}.\n${readFileSync(types, 'utf8')}`);
		}
		copyFileSync(target, join(output, file.replace(/\.proto$/, '.js')));
	}
}
