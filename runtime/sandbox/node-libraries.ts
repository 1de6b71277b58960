import { readFileSync } from 'node:fs';

/** Shared libraries that Node has mapped, and the interpreter that maps them: what its file system needs to have to run it again. */
export function nodeLibraries(): string[] {
	const maps = readFileSync('/proc/self/maps', 'utf8');
	const files = new Set<string>();
	for (const line of maps.split('\n')) {
		const path = /\s(\/\S+)$/.exec(line)?.[1];
		if (path !== undefined && /\/(lib[^/]*\.so[.\d]*|ld-linux[^/]*)$/.test(path)) files.add(path);
	}
	// The loader's path in the ELF header is a symlink on merged-/usr systems.
	return [...files].flatMap((file) => libraryPaths(file));
}

/** A library as it is mapped, and under the names that programs ask for. */
function libraryPaths(file: string): string[] {
	// ld.so asks for the soname: libstdc++.so.6 for libstdc++.so.6.0.30.
	const paths = [file, file.replace(/(\.so\.\d+)[.\d]*$/, '$1')];
	if (/\/ld-linux-x86-64\.so\.2$/.test(file)) paths.push('/lib64/ld-linux-x86-64.so.2');
	return [...new Set(paths)];
}
