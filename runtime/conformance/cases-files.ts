// Locks, attributes and the calls that move bytes between files: C programs and what the tools show.

import type { ConformanceCase } from './cases.js';

export const fileCases: readonly ConformanceCase[] = [
	{ name: 'locks', script: '/mnt/bin/file-locks; echo $?' },
	{ name: 'calls', script: '/mnt/bin/file-calls; echo $?' },
	{ name: 'aio', script: '/mnt/bin/aio; echo $?' },
	{ name: 'splice', script: '/mnt/bin/splice; echo $?' },
	{
		name: 'proc-locks',
		script: `exec 9>held; flock -x 9; sed 's/ [0-9]* [0-9a-f]*:[0-9a-f]*:[0-9]* / PID FILE /' /proc/locks | grep -c 'FLOCK  ADVISORY  WRITE PID FILE 0 EOF'
grep -c '^lock:.*FLOCK  ADVISORY  WRITE' /proc/self/fdinfo/9`,
	},
	{
		name: 'system-tools',
		// What is of the machine, and must be the same outside and inside.
		script: `nproc; nproc --all; lscpu | grep -E '^(Architecture|CPU\\(s\\)|On-line|Thread|Core|Socket|Vendor|Model name|NUMA)' | tr -s ' '
getconf _NPROCESSORS_ONLN; lsblk >/dev/null 2>&1; uptime | grep -c 'load average'; vmstat | wc -l
cat /sys/devices/system/cpu/online /sys/devices/system/cpu/cpu0/topology/thread_siblings_list /sys/devices/system/node/online`,
	},
	{
		name: 'processes',
		script: `sleep 60 & p=$!
ps -o stat=,comm=,args= -p $p; ps -o nlwp= -p $p; [ "$(ps -o ppid= -p $p | tr -d ' ')" = $$ ] && echo parent
cat /proc/$p/comm; tr '\\0' ' ' </proc/$p/cmdline; echo; readlink /proc/$p/exe
grep -E '^(Name|State|Threads|Uid)' /proc/$p/status; [ "$(pgrep -P $$ -x sleep)" = $p ] && echo found
grep -q "$p " /proc/$$/task/$$/children && echo child
top -bn1 -p $p | grep -c 'sleep$'; kill $p; wait $p 2>/dev/null; [ -e /proc/$p ] || echo gone
od -An -tx8 /proc/self/auxv | awk '{print $1}' | sort | uniq | tr '\\n' ' ' | grep -c 0000000000000003
grep -c '\\[rollup\\]' /proc/self/smaps_rollup; wc -l </proc/self/io; wc -w </proc/self/schedstat; cat /proc/self/timerslack_ns`,
	},
	{ name: 'free', script: `free | awk '/^Mem/ { print ($2 > 0), ($3 <= $2), ($4 <= $2), ($7 <= $2) }'` },
];
