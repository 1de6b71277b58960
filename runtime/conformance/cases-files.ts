// Locks, attributes and the calls that move bytes between files: C programs and what the tools show.

import type { ConformanceCase } from './cases.js';

export const fileCases: readonly ConformanceCase[] = [
	{ name: 'locks', script: '/mnt/bin/file-locks; echo $?' },
	{ name: 'calls', script: '/mnt/bin/file-calls; echo $?' },
	{ name: 'splice', script: '/mnt/bin/splice; echo $?' },
	{
		name: 'proc-locks',
		script: `exec 9>held; flock -x 9; sed 's/ [0-9]* [0-9a-f]*:[0-9a-f]*:[0-9]* / PID FILE /' /proc/locks | grep -c 'FLOCK  ADVISORY  WRITE PID FILE 0 EOF'
grep -c '^lock:.*FLOCK  ADVISORY  WRITE' /proc/self/fdinfo/9`,
	},
];
