import { randomUUID } from 'node:crypto';
import { ProcDirectory } from '../proc-directory.js';
import type { ProcFileSystem } from '../proc-file-system.js';
import { SysctlFile } from './sysctl-file.js';

/** One boot is one sandbox. */
const BOOT_ID = randomUUID();
/** Bits in the pool of a current kernel, which is always full. */
const POOL_BITS = 256;

/** /proc/sys/kernel/random, random(4). */
export function randomDirectory(fs: ProcFileSystem): ProcDirectory {
	return new ProcDirectory(fs)
		.add('boot_id', new SysctlFile(fs, () => `${BOOT_ID}\n`, 0o444))
		.add('entropy_avail', new SysctlFile(fs, () => `${POOL_BITS}\n`, 0o444))
		.add('poolsize', new SysctlFile(fs, () => `${POOL_BITS}\n`, 0o444))
		.add('urandom_min_reseed_secs', new SysctlFile(fs, () => '60\n'))
		.add('uuid', new SysctlFile(fs, () => `${randomUUID()}\n`, 0o444))
		.add('write_wakeup_threshold', new SysctlFile(fs, () => `${POOL_BITS}\n`));
}
