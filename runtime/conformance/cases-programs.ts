// C programs of this folder, compiled once with the tree's compiler.

import type { ConformanceCase } from './cases.js';

export const programCases: readonly ConformanceCase[] = [
	{ name: 'threads', script: '/mnt/bin/threads 2>&1; echo $?; ls | wc -l; cat f199' },
	{ name: 'cancel', script: '/mnt/bin/cancel; echo $?' },
	{ name: 'pipe-timer', script: '/mnt/bin/pipe-timer; echo $?' },
	{ name: 'pipe-timer-restart', script: '/mnt/bin/pipe-timer restart; echo $?' },
	{ name: 'posix-timers', script: '/mnt/bin/posix-timers; echo $?' },
	{ name: 'timerfd', script: '/mnt/bin/timerfd; echo $?' },
	{ name: 'seccomp', script: '/mnt/bin/seccomp; echo $?' },
	{ name: 'memory-calls', script: '/mnt/bin/memory-calls; echo $?' },
	{ name: 'memfd', script: '/mnt/bin/memfd; echo $?' },
	{ name: 'pidfd', script: '/mnt/bin/pidfd; echo $?' },
	{ name: 'signalfd', script: '/mnt/bin/signalfd; echo $?' },
	{ name: 'inotify', script: '/mnt/bin/inotify; echo $?' },
	{ name: 'sysv-sem-msg', script: '/mnt/bin/sysv-sem-msg; echo $?' },
	{ name: 'sysv-shm', script: '/mnt/bin/sysv-shm; echo $?' },
	{
		name: 'ipcs',
		script:
			"ipcmk -M 5000 -S 3 -Q | sed 's/:.*//'; ipcs | awk '{print NF, $3, $4, $5, $6}'; cat /proc/sysvipc/* | awk '{print NF, $2, $3, $4}'; ipcs -u; ipcrm -a; ipcs -u",
	},
	{ name: 'posix-queues', script: '/mnt/bin/posix-queues; echo $?' },
	{ name: 'epoll-threads', script: '/mnt/bin/epoll-threads; echo $?' },
	{ name: 'futexes', script: '/mnt/bin/futexes; echo $?' },
	{ name: 'terminal', script: '/mnt/bin/terminal; echo $?' },
	{ name: 'running', script: '/mnt/bin/running; echo $?' },
	{ name: 'text-busy', script: '/mnt/bin/text-busy; echo $?' },
	{ name: 'mounts-unprivileged', script: '/mnt/bin/mounts unprivileged; echo $?' },
	{ name: 'errno-table', script: '/mnt/bin/errno-table; echo $?' },
	{ name: 'errno-order', script: '/mnt/bin/errno-order; echo $?' },
];
