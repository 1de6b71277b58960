import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../sandbox/launch.js';

let known: Readonly<Record<string, number>> | null = null;

/** Linux's system calls by name: what the build has written of the guest kernel's table. First asked for before the monitor is confined, when the file can be read. */
export function syscallNumbers(): Readonly<Record<string, number>> {
	known ??= JSON.parse(readFileSync(join(packageRoot(), 'dist/syscall-numbers.json'), 'utf8')) as Record<string, number>;
	return known;
}
