// Files of a mount that is noexec: no mapping of them becomes executable, at once or later, and no program of it runs.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { rootfsPath, runContainer } from '../testing/container.js';

const PROGRAM = `
import ctypes, mmap, os, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
for folder in ("/mnt", "/media"):
    fd = os.open(folder + "/script", os.O_RDONLY)
    mapped = libc.mmap(None, 4096, 5, 2, fd, 0)
    print(folder, "mmap", "ok" if mapped != 2**64 - 1 else errno.errorcode[ctypes.get_errno()])
    mapped = libc.mmap(None, 4096, 1, 2, fd, 0)
    print(folder, "mprotect", "ok" if libc.mprotect(mapped, 4096, 5) == 0 else errno.errorcode[ctypes.get_errno()])
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(folder + "/script", ["script"])
        except OSError as error:
            os._exit(error.errno)
    print(folder, "exec", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test('mmap(), mprotect() and execve() of a noexec mount', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'isopod-noexec-'));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	writeFileSync(join(folder, 'script'), '#!/bin/sh\nexit 3\n', { mode: 0o755 });
	const { status, stdout, stderr, log } = await runContainer({
		root: rootfsPath('full'),
		isReadonly: true,
		args: ['python3', '-c', PROGRAM],
		env: ['PATH=/usr/bin:/bin'],
		mounts: [
			{ destination: '/mnt', type: 'bind', source: folder, options: ['bind', 'noexec'] },
			{ destination: '/media', type: 'bind', source: folder, options: ['bind'] },
		],
		timeoutMs: 30_000,
	});
	t.same(
		stdout.toString().trim().split('\n'),
		['/mnt mmap EPERM', '/mnt mprotect EACCES', '/mnt exec 13', '/media mmap ok', '/media mprotect ok', '/media exec 3'],
		`status ${status}: ${stderr}${log}`,
	);
});
