// Processes and threads by their ids: signals, limits, ends, what /proc says; and the clocks.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "result.h"

namespace isopod {

namespace {

int64_t Reap(Arguments& arguments) {
  const pid_t pid = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  if (pid <= 0) return -ECHILD;
  // Looked at first and collected only when it has ended: while a helper thread traces a child, wait(2) on this thread
  // would take the tracer's stops away from it.
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == -1) return -errno;
  if (info.si_pid == 0) return -EAGAIN;
  if (info.si_code != CLD_EXITED && info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED) return -EAGAIN;
  int status = 0;
  const pid_t reaped = waitpid(pid, &status, WNOHANG | __WALL);
  if (reaped == -1) return -errno;
  return reaped == 0 ? -EAGAIN : status;
}

int64_t SendSignal(Arguments& arguments) {
  const pid_t tgid = arguments.Int32(0);
  const pid_t tid = arguments.Int32(1);
  const int signal = arguments.Int32(2);
  if (!arguments.ok()) return 0;
  // kill(2) gives 0 and negative ids a meaning that no caller wants: a group, or everyone.
  if (tgid <= 0) return -EINVAL;
  return ResultOf(tid == -1 ? kill(tgid, signal) : syscall(SYS_tgkill, tgid, tid, signal));
}

int64_t QueueSignal(Arguments& arguments) {
  const pid_t tgid = arguments.Int32(0);
  const pid_t tid = arguments.Int32(1);
  const int signal = arguments.Int32(2);
  const std::span<uint8_t> raw = arguments.Bytes(3);
  if (!arguments.ok()) return 0;
  siginfo_t info;
  static_assert(sizeof(info) == 128);
  if (raw.size() < sizeof(info)) {
    arguments.ThrowRangeError("expected a siginfo of 128 bytes");
    return 0;
  }
  std::memcpy(&info, raw.data(), sizeof(info));
  if (tgid <= 0) return -EINVAL;
  if (tid == -1) return ResultOf(syscall(SYS_rt_sigqueueinfo, tgid, signal, &info));
  return ResultOf(syscall(SYS_rt_tgsigqueueinfo, tgid, tid, signal, &info));
}

int64_t PidfdOpen(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  const bool is_thread = arguments.Boolean(1);
  if (!arguments.ok()) return 0;
  return NewDescriptor(static_cast<int>(syscall(SYS_pidfd_open, tid, is_thread ? PIDFD_THREAD : 0)));
}

int64_t PidfdSendSignal(Arguments& arguments) {
  const int pidfd = arguments.Int32(0);
  const int signal = arguments.Int32(1);
  return arguments.ok() ? ResultOf(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0)) : 0;
}

// RLIM_INFINITY is -1 in JavaScript, which no double could hold exactly otherwise.
double FromLimit(rlim_t limit) { return limit == RLIM_INFINITY ? -1 : static_cast<double>(limit); }

bool ToLimit(double value, rlim_t* limit) {
  if (value == -1) {
    *limit = RLIM_INFINITY;
    return true;
  }
  if (!(value >= 0 && value <= 9007199254740992.0)) return false;
  *limit = static_cast<rlim_t>(value);
  return true;
}

int64_t GetCookie(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  rlimit64 limit;
  if (prlimit64(tid, RLIMIT_LOCKS, nullptr, &limit) == -1) return -errno;
  // A process that never got a cookie shows the largest number that travels exactly, which is no cookie.
  constexpr rlim64_t kMaximum = 1ULL << 53;
  return static_cast<int64_t>(limit.rlim_cur < kMaximum ? limit.rlim_cur : kMaximum);
}

int64_t SetCookie(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  const uint64_t cookie = arguments.Size(1);
  if (!arguments.ok()) return 0;
  // Nobody changes the hard limit, so that a guest's is this process's.
  static const rlim64_t maximum = [] {
    rlimit64 own = {};
    prlimit64(0, RLIMIT_LOCKS, nullptr, &own);
    return own.rlim_max;
  }();
  const rlimit64 limit = {cookie, maximum};
  return ResultOf(prlimit64(tid, RLIMIT_LOCKS, &limit, nullptr));
}

int64_t PrLimit(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  const int resource = arguments.Int32(1);
  const bool is_read_only = arguments.IsNull(2);
  const std::span<double> limit = is_read_only ? std::span<double>() : arguments.Float64s(2, 2);
  const std::span<double> old = arguments.Float64s(3, 2);
  if (!arguments.ok()) return 0;
  rlimit64 wanted = {};
  if (!is_read_only && (!ToLimit(limit[0], &wanted.rlim_cur) || !ToLimit(limit[1], &wanted.rlim_max))) return -EINVAL;
  rlimit64 previous;
  if (prlimit64(tid, static_cast<__rlimit_resource>(resource), is_read_only ? nullptr : &wanted, &previous) == -1) {
    return -errno;
  }
  old[0] = FromLimit(previous.rlim_cur);
  old[1] = FromLimit(previous.rlim_max);
  return 0;
}

int64_t GetPGid(Arguments& arguments) {
  const pid_t pid = arguments.Int32(0);
  return arguments.ok() ? ResultOf(getpgid(pid)) : 0;
}

int64_t GetSid(Arguments& arguments) {
  const pid_t pid = arguments.Int32(0);
  return arguments.ok() ? ResultOf(getsid(pid)) : 0;
}

// The kernel's own layout (sched/types.h), which C libraries before glibc 2.41 don't have.
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};
static_assert(sizeof(SchedulingAttributes) == 48);

int64_t SetScheduler(Arguments& arguments) {
  const pid_t pid = arguments.Int32(0);
  const int policy = arguments.Int32(1);
  const int nice = arguments.Int32(2);
  const int flags = arguments.Int32(3);
  if (!arguments.ok()) return 0;
  SchedulingAttributes attributes = {};
  attributes.size = sizeof(attributes);
  attributes.policy = static_cast<uint32_t>(policy);
  attributes.flags = static_cast<uint64_t>(flags);
  attributes.nice = nice;
  // 0 would be this process.
  return pid <= 0 ? -EINVAL : ResultOf(syscall(SYS_sched_setattr, pid, &attributes, 0));
}

int64_t SetIoPriority(Arguments& arguments) {
  constexpr int kWhoProcess = 1;
  const pid_t pid = arguments.Int32(0);
  const int priority = arguments.Int32(1);
  if (!arguments.ok()) return 0;
  return pid <= 0 ? -EINVAL : ResultOf(syscall(SYS_ioprio_set, kWhoProcess, pid, priority));
}

int64_t OpenNamespace(Arguments& arguments) {
  const pid_t pid = arguments.Int32(0);
  const Path kind(arguments, 1);
  if (!arguments.ok()) return 0;
  if (kind.error() != 0) return -kind.error();
  const size_t length = std::strspn(kind.c_str(), "abcdefghijklmnopqrstuvwxyz_");
  if (length == 0 || length > 32 || kind.c_str()[length] != '\0') return -EINVAL;
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/ns/%.32s", pid, kind.c_str());
  return NewDescriptor(open(path, O_RDONLY | O_CLOEXEC));
}

// The last id of a "NSpid:" line, which lists the ids from this process's namespace down to the task's own.
int64_t InnermostPid(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/status", pid);
  const Descriptor fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return errno == ENOENT ? -ESRCH : -errno;
  char text[4096];
  const ssize_t length = read(fd.get(), text, sizeof(text) - 1);
  if (length < 0) return -errno;
  text[length] = '\0';
  const char* line = std::strstr(text, "\nNSpid:");
  if (line == nullptr) return -ENOTTY;
  int64_t last = -ESRCH;
  for (const char* at = line + 7; *at != '\n' && *at != '\0';) {
    char* end;
    const long id = std::strtol(at, &end, 10);
    if (end == at) break;
    last = id;
    at = end;
  }
  return last;
}

int64_t EnterNetworkNamespace(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? ResultOf(setns(fd, CLONE_NEWNET)) : 0;
}

int64_t TranslatePid(Arguments& arguments) {
  const int namespace_fd = arguments.Int32(0);
  const pid_t id = arguments.Int32(1);
  const bool is_thread = arguments.Boolean(2);
  const bool is_to_inside = arguments.Boolean(3);
  if (!arguments.ok()) return 0;
  unsigned long request = is_thread ? NS_GET_PID_FROM_PIDNS : NS_GET_TGID_FROM_PIDNS;
  if (is_to_inside) request = is_thread ? NS_GET_PID_IN_PIDNS : NS_GET_TGID_IN_PIDNS;
  const int64_t result = ResultOf(ioctl(namespace_fd, request, id));
  if (result == -ENOTTY && is_to_inside) return InnermostPid(id);
  return result == 0 ? -ESRCH : result;
}

// Opens a file of this process's own /proc; -errno.
Descriptor OpenProc(const Path& path, uint64_t flags, int* error) {
  // Beneath it nothing leads out. Never closed.
  static const Descriptor proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  Descriptor file;
  if (proc.is_open()) {
    file = Descriptor(static_cast<int>(syscall(SYS_openat2, proc.get(), path.c_str(), &how, sizeof(how))));
  }
  if (!file.is_open()) *error = -errno;
  return file;
}

int64_t OpenProcFile(Arguments& arguments) {
  const Path path(arguments, 0);
  const bool is_writable = arguments.Boolean(1);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  int error = 0;
  Descriptor file = OpenProc(path, is_writable ? O_RDWR : O_RDONLY, &error);
  return file.is_open() ? NewDescriptor(file.Release()) : error;
}

int64_t ReadProcFile(Arguments& arguments) {
  const Path path(arguments, 0);
  const std::span<uint8_t> buffer = arguments.Bytes(1);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  int error = 0;
  const Descriptor file = OpenProc(path, O_RDONLY, &error);
  if (!file.is_open()) return error;
  size_t length = 0;
  while (length < buffer.size()) {
    const ssize_t got = read(file.get(), buffer.data() + length, buffer.size() - length);
    if (got < 0) return -errno;
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  return static_cast<int64_t>(length);
}

int64_t MonotonicNs(Arguments&) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

int64_t ClockGetTime(Arguments& arguments) {
  const clockid_t clock = arguments.Int32(0);
  const std::span<double> out = arguments.Float64s(1, 2);
  if (!arguments.ok()) return 0;
  timespec now;
  if (clock_gettime(clock, &now) == -1) return -errno;
  out[0] = static_cast<double>(now.tv_sec);
  out[1] = static_cast<double>(now.tv_nsec);
  return 0;
}

int64_t SetDumpable(Arguments& arguments) {
  const bool is_dumpable = arguments.Boolean(0);
  return arguments.ok() ? ResultOf(prctl(PR_SET_DUMPABLE, is_dumpable ? 1 : 0, 0, 0, 0)) : 0;
}

int64_t GetUid(Arguments&) { return getuid(); }

constexpr Export kExports[] = {
    {"reap", Numeric<Reap>},
    {"sendSignal", Numeric<SendSignal>},
    {"queueSignal", Numeric<QueueSignal>},
    {"pidfdOpen", Numeric<PidfdOpen>},
    {"pidfdSendSignal", Numeric<PidfdSendSignal>},
    {"getCookie", Numeric<GetCookie>},
    {"setCookie", Numeric<SetCookie>},
    {"prlimit", Numeric<PrLimit>},
    {"getpgid", Numeric<GetPGid>},
    {"getsid", Numeric<GetSid>},
    {"setScheduler", Numeric<SetScheduler>},
    {"setIoPriority", Numeric<SetIoPriority>},
    {"openNamespace", Numeric<OpenNamespace>},
    {"enterNetworkNamespace", Numeric<EnterNetworkNamespace>},
    {"translatePid", Numeric<TranslatePid>},
    {"readProcFile", Numeric<ReadProcFile>},
    {"openProcFile", Numeric<OpenProcFile>},
    {"monotonicNs", Numeric<MonotonicNs>},
    {"clockGetTime", Numeric<ClockGetTime>},
    {"setDumpable", Numeric<SetDumpable>},
    {"getuid", Numeric<GetUid>},
};

}  // namespace

std::span<const Export> ProcessExports() { return kExports; }

}  // namespace isopod
