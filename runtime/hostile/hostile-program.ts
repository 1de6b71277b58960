// C programs for tests: compiled statically, each the only program of a root of its own.

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerResult, checkoutRoot, runContainer } from '../testing/container.js';

/** A root folder on the host with `/bin/prog`, `/tmp`, `/proc` and `/dev` and nothing else; remove it when done. */
export interface ProgramRoot {
	readonly path: string;
	remove(): void;
}

/** Compiles `programs/NAME.c` into a root of its own. */
export function makeProgramRoot(name: string): ProgramRoot {
	const path = mkdtempSync(join(tmpdir(), 'isopod-hostile-'));
	// So that a program that gives up its ids still finds itself.
	chmodSync(path, 0o755);
	for (const folder of ['bin', 'tmp', 'proc', 'dev']) mkdirSync(join(path, folder));
	const source = join(checkoutRoot, 'runtime/hostile/programs', `${name}.c`);
	try {
		execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-static', '-pthread', '-o', join(path, 'bin/prog'), source]);
	} catch (error) {
		rmSync(path, { recursive: true, force: true });
		throw error;
	}
	return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Runs `programs/NAME.c` in the guest kernel, on a writable root that is removed afterwards. */
export async function runProgram(
	name: string,
	args: readonly string[],
	timeoutMs: number,
	capabilities: readonly string[] = [],
): Promise<ContainerResult> {
	const root = makeProgramRoot(name);
	try {
		return await runContainer({
			root: root.path,
			isReadonly: false,
			args: ['/bin/prog', ...args],
			capabilities,
			isSetIdAllowed: true,
			timeoutMs,
		});
	} finally {
		root.remove();
	}
}
