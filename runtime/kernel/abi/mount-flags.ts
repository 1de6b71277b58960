// mount(2), umount2(2): bits beside those that a mount keeps, which are in vfs/mount.ts.

export const MS_REMOUNT = 32;
export const MS_BIND = 4096;
export const MS_MOVE = 8192;
export const MS_REC = 16384;
export const MS_SILENT = 32768;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_STRICTATIME = 1 << 24;
export const MS_NOUSER = 1 << 31;
/** What the flags' upper half said when there were few flags: such callers get no bit of it. */
export const MS_MGC_VAL = 0xc0ed;

export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const MNT_EXPIRE = 4;
export const UMOUNT_NOFOLLOW = 8;
