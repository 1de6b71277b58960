// The package's own files, by folder.

import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './steps.mjs';

/** Files below `folder` that `isWanted` picks, as paths from the package's root, sorted. None when the folder isn't there. */
export function list(folder, isWanted) {
	if (!existsSync(join(root, folder))) return [];
	return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
		.filter(isWanted)
		.sort();
}
