import { EINVAL, ENOSYS } from '../abi/errno.js';
import { MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_HUGETLB, MFD_NOEXEC_SEAL } from '../abi/fcntl.js';
import { MemoryFile, memfdMode } from '../fs/tmpfs/memory-file.js';
import type { Task } from '../task/task.js';
import { copyInString } from '../trap/guest-memory.js';
import type { Trap } from '../trap/trap.js';
import { install } from './install.js';

/** NAME_MAX without "memfd:", with the NUL (mm/memfd.c, MFD_NAME_MAX_LEN). */
const MAX_NAME_BYTES = 250;

/** memfd_create(2). Huge pages are the host's: ENOSYS, as of a kernel without them. */
export function sysMemfdCreate(task: Task, trap: Trap): number {
	const flags = trap.uint(1);
	if ((flags & MFD_HUGETLB) !== 0) return -ENOSYS;
	if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) !== 0) return -EINVAL;
	if ((flags & (MFD_EXEC | MFD_NOEXEC_SEAL)) === (MFD_EXEC | MFD_NOEXEC_SEAL)) return -EINVAL;
	const name = copyInString(task.tid, trap.size(0), MAX_NAME_BYTES, -EINVAL);
	if (typeof name === 'number') return name;
	const { fsuid, fsgid } = task.credentials;
	const file = MemoryFile.create('guest', flags, memfdMode(flags), fsuid, fsgid);
	if (typeof file === 'number') return file;
	return install(task, file.openNew(`/memfd:${name} (deleted)`), (flags & MFD_CLOEXEC) !== 0);
}
