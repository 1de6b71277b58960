// The import rule of the map: imports point downward only.
//
//   bench → shim → runtime → native, proto from anyone
//   in runtime/kernel: syscalls → task, vfs, fs, tty, ipc, net, event, trap → abi
//
// and beyond that: runtime knows nothing of gRPC, shim nothing of system calls. Files that lie in runtime/kernel itself put the kernel
// together: they import all of it, and all but abi may import them. A test may import what it likes within its own top folder.

import { posix } from 'node:path';
import ts from 'typescript';

const topFolders = { bench: 3, shim: 2, runtime: 1, native: 0 };
const kernelFolders = { syscalls: 2, task: 1, vfs: 1, fs: 1, tty: 1, ipc: 1, net: 1, event: 1, trap: 1, abi: 0 };

/**
 * Finds the imports of one file that break the rule.
 * @param {string} file its path from the package's root
 * @param {string} text its text
 * @returns {string[]} one `file:line: what is wrong` for each
 */
export function findForbiddenImports(file, text) {
	const found = [];
	for (const { fileName: specifier, pos } of ts.preProcessFile(text, true, true).importedFiles) {
		const reason = reasonAgainst(file, specifier);
		if (reason !== undefined) found.push(`${file}:${text.slice(0, pos).split('\n').length}: imports ${specifier}: ${reason}`);
	}
	return found;
}

function reasonAgainst(file, specifier) {
	const [folder] = file.split('/');
	if (!specifier.startsWith('.')) {
		return folder !== 'shim' && folder !== 'bench' && /^@grpc\/|^grpc(-|$)/.test(specifier) ? 'gRPC belongs to shim/ alone' : undefined;
	}
	const target = posix.join(posix.dirname(file), specifier);
	const [targetFolder] = target.split('/');
	if (target.startsWith('..')) return 'it is outside of the package';
	if (folder !== targetFolder) {
		if (targetFolder === 'proto') return undefined;
		if (folder === 'proto') return 'proto/ imports nothing';
		if (topFolders[targetFolder] === undefined) return `${targetFolder}/ is no folder of the map`;
		if (topFolders[targetFolder] > topFolders[folder]) return `${folder}/ lies below ${targetFolder}/`;
		return folder === 'shim' && target.startsWith('runtime/kernel/') ? 'shim/ knows nothing of system calls' : undefined;
	}
	return file.endsWith('.test.ts') ? undefined : reasonAgainstInKernel(file, target);
}

function reasonAgainstInKernel(file, target) {
	const folder = kernelFolderOf(file);
	const targetFolder = kernelFolderOf(target);
	if (folder === 'abi' && targetFolder !== 'abi') return 'runtime/kernel/abi imports nothing but itself';
	if (folder === undefined || targetFolder === undefined || folder === targetFolder) return undefined;
	if (kernelFolders[folder] === undefined) return `runtime/kernel/${folder} is no folder of the map`;
	if (kernelFolders[targetFolder] === undefined) return `runtime/kernel/${targetFolder} is no folder of the map`;
	return kernelFolders[targetFolder] > kernelFolders[folder] ? `${folder}/ lies below ${targetFolder}/` : undefined;
}

/** The folder of runtime/kernel that a file lies in, or nothing when it lies outside of them. */
function kernelFolderOf(file) {
	return /^runtime\/kernel\/([^/]+)\//.exec(file)?.[1];
}
