import t from 'tap';
import { findForbiddenImports } from './check-imports.mjs';

t.test('imports that point downward are allowed', async (t) => {
	const allowed = [
		['bench/main.ts', '../shim/cli/main.js'],
		['shim/cli/run.ts', '../../runtime/sandbox/sandbox.js'],
		['shim/cri/runtime-service.ts', '@grpc/grpc-js'],
		['runtime/native.ts', '../native/native.js'],
		['runtime/sandbox/control.ts', '../../proto/control.js'],
		['runtime/sandbox/process/main.ts', '../../kernel/kernel.js'],
		['runtime/kernel/kernel.ts', './syscalls/table.js'],
		['runtime/kernel/syscalls/file-open.ts', '../vfs/path-walk.js'],
		['runtime/kernel/syscalls/file-open.ts', '../abi/errno.js'],
		['runtime/kernel/task/task.ts', '../vfs/descriptor-table.js'],
		['runtime/kernel/vfs/inode.ts', '../task/credentials.js'],
		['runtime/kernel/task/task.ts', '../kernel.js'],
		['runtime/kernel/abi/stat.ts', './errno.js'],
		['runtime/kernel/vfs/inode.test.ts', '../syscalls/table.js'],
		['runtime/oci/config.ts', 'node:fs'],
	];
	for (const [file, specifier] of allowed)
		t.same(findForbiddenImports(file, `import { x } from '${specifier}';`), [], `${file} → ${specifier}`);
});

t.test('imports that point upward are found', async (t) => {
	const forbidden = [
		['native/addon/test-guests.ts', '../../runtime/native.js'],
		['runtime/sandbox/sandbox.ts', '../../shim/cli/main.js'],
		['runtime/sandbox/sandbox.ts', '@grpc/grpc-js'],
		['shim/cli/run.ts', '../../runtime/kernel/kernel.js'],
		['shim/cli/run.ts', '../../bench/main.js'],
		['proto/cri.ts', '../runtime/native.js'],
		['runtime/kernel/vfs/inode.ts', '../syscalls/table.js'],
		['runtime/kernel/abi/errno.ts', '../vfs/inode.js'],
		['runtime/kernel/abi/errno.ts', '../kernel.js'],
		['runtime/kernel/abi/errno.ts', '../../native.js'],
		['runtime/kernel/utils/bits.ts', '../vfs/inode.js'],
		['runtime/kernel/vfs/inode.test.ts', '../../../shim/cli/main.js'],
		['runtime/oci/config.ts', '../../scripts/steps.mjs'],
		['runtime/oci/config.ts', '../../../elsewhere.js'],
	];
	for (const [file, specifier] of forbidden) {
		t.equal(findForbiddenImports(file, `import { x } from '${specifier}';`).length, 1, `${file} → ${specifier}`);
	}
});

t.test('every form of import counts, and its line is told', async (t) => {
	const forms = [
		"import type { X } from '../syscalls/table.js';",
		"import '../syscalls/table.js';",
		"export { x } from '../syscalls/table.js';",
		"export * from '../syscalls/table.js';",
		"const x = await import('../syscalls/table.js');",
		"type X = typeof import('../syscalls/table.js');",
	];
	for (const form of forms) {
		t.match(findForbiddenImports('runtime/kernel/vfs/inode.ts', `// A comment.\n\n${form}\n`), [
			'runtime/kernel/vfs/inode.ts:3: imports ../syscalls/table.js: vfs/ lies below syscalls/',
		]);
	}
});
