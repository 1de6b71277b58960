// Constants and structures of the host's kernel that the C library's headers may be too old to have (Debian 12 carries
// those of Linux 6.1). Each names the kernel header it was taken from and the release that brought it.
#pragma once

#include <linux/seccomp.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

// include/uapi/linux/seccomp.h, Linux 5.19.
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

// include/uapi/linux/seccomp.h, Linux 6.6.
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

// include/uapi/linux/pidfd.h, Linux 6.9: the same bit as O_EXCL.
#ifndef PIDFD_THREAD
#define PIDFD_THREAD 0200
#endif

// include/uapi/linux/pidfd.h, Linux 6.13; how a process ended since 6.15. The structure as it was first: later kernels
// take it.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroup_id;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
inline constexpr uint64_t kPidfdInfoExit = 1 << 3;
inline constexpr unsigned long kPidfdGetInfo = _IOWR(0xff, 11, PidfdInfo);
static_assert(sizeof(PidfdInfo) == 64);

// include/uapi/linux/nsfs.h, Linux 6.11.
#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int)
#define NS_GET_TGID_FROM_PIDNS _IOR(0xb7, 0x7, int)
#define NS_GET_PID_IN_PIDNS _IOR(0xb7, 0x8, int)
#define NS_GET_TGID_IN_PIDNS _IOR(0xb7, 0x9, int)
#endif

// arch/x86/entry/syscalls/syscall_64.tbl, Linux 6.6.
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

// include/linux/errno.h: what a call returns inside the kernel when a signal ends it; never seen by a program.
inline constexpr int kErestartsys = 512;
inline constexpr int kErestartnointr = 513;
inline constexpr int kErestartnohand = 514;
inline constexpr int kErestartRestartblock = 516;

// The structures that are shared with the kernel have the sizes that its interface promises.
static_assert(sizeof(struct seccomp_data) == 64);
static_assert(sizeof(struct seccomp_notif) == 80);
static_assert(sizeof(struct seccomp_notif_resp) == 24);
static_assert(sizeof(struct seccomp_notif_addfd) == 24);
