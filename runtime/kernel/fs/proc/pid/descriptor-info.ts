import { ENOENT } from '../../../abi/errno.js';
import { O_CLOEXEC } from '../../../abi/fcntl.js';
import type { ThreadGroup } from '../../../task/thread-group.js';
import { anonymousMount } from '../../../vfs/anonymous-path.js';
import { descriptorLocksText } from '../locks.js';

/** /proc/PID/fdinfo/N, proc_pid_fdinfo(5). */
export function descriptorInfo(group: ThreadGroup, fd: number): string | number {
	const description = group.isDead ? null : group.files.get(fd);
	if (description === null) return -ENOENT;
	const flags = description.flags | (group.files.isCloseOnExec(fd) ? O_CLOEXEC : 0);
	const mount = description.path?.mount ?? anonymousMount(description.inode);
	const locks = descriptorLocksText(group.container, description, group);
	return `pos:\t${description.offset}\nflags:\t0${(flags >>> 0).toString(8)}\nmnt_id:\t${mount.id}\nino:\t${description.inode.ino}\n${locks}${description.infoText}`;
}
