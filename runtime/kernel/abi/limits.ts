/** limits.h and friends: what bounds a guest's requests. */

export const PATH_MAX = 4096;
export const NAME_MAX = 255;
export const PIPE_BUF = 4096;
export const PAGE_SIZE = 4096;
/** Vectors per readv(2)/writev(2). */
export const IOV_MAX = 1024;
/** Most bytes one read or write moves (include/linux/fs.h, MAX_RW_COUNT). */
export const MAX_RW_COUNT = 0x7ffff000;
/** First address above a user process on amd64 with four-level page tables. */
export const TASK_SIZE = 0x7ffffffff000;
/** Most symlinks followed in one walk (MAXSYMLINKS). */
export const MAXSYMLINKS = 40;
/** NGROUPS_MAX, setgroups(2). */
export const NGROUPS_MAX = 65536;
