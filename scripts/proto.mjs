// Compiles proto/*.proto to static JavaScript with types (protobufjs-cli): no reflection at start-up.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './steps.mjs';

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
		if (!existsSync(types) || statSync(types).mtimeMs < statSync(source).mtimeMs) {
			const { pbjs, pbts } = await import('protobufjs-cli');
			const left = ['--no-verify', '--no-convert', '--no-typeurl', '--no-delimited', '--no-service'];
			// A root of its own, so that files which import the same messages don't replace each other's.
			const options = ['-t', 'static-module', '-w', 'es6', ...left, '--force-number', '--root', file.replace(/\.proto$/, '')];
			await promisify(pbjs.main)([...options, '-o', target, source]);
			await promisify(pbts.main)(['-o', types, target]);
			writeFileSync(types, `// Generated from proto/${file}.\n${readFileSync(types, 'utf8')}`);
		}
		copyFileSync(target, join(output, file.replace(/\.proto$/, '.js')));
	}
}
