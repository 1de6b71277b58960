/** What uname(2) and /proc/version say of this kernel. */
export const UTS_SYSNAME = 'Linux';
export const UTS_RELEASE = '6.12.0-isopod';
export const UTS_VERSION = '#1 SMP PREEMPT_DYNAMIC Isopod';
export const UTS_MACHINE = 'x86_64';
