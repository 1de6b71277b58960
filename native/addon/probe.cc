// What the host's kernel can do, found by doing it. Each probe runs in a child or on throw-away descriptors; together
// they take some 100 ms, nearly all of it the signal storm.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "listeners.h"
#include "raw-syscall.h"

namespace isopod {

namespace {

// A number that no kernel knows; the probe's filter traps it alone.
constexpr long kProbeCall = 0x1500;
constexpr long kStormCalls = 4000;
constexpr long kStormPeriodUs = 200;
constexpr int kPatienceMs = 200;

constexpr uint64_t ExpectedAnswer(uint64_t argument) { return argument * 3 + 1; }

// A reason, or the empty string for a probe that did well.
using Reason = std::string;

Reason Failed(const char* what, int error) {
  const char* name = strerrorname_np(error);
  return std::string(what) + ": " + (name == nullptr ? "unknown error" : name);
}

// What the child of a probe and its parent share.
struct ProbePage {
  std::atomic<int> listener;
  std::atomic<int> error;
  std::atomic<bool> is_wait_killable;
  std::atomic<long> lost;
  std::atomic<bool> is_done;
};

class SharedPage {
 public:
  SharedPage() {
    void* page = mmap(nullptr, sizeof(ProbePage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) page_ = static_cast<ProbePage*>(page);
  }
  ~SharedPage() {
    if (page_ != nullptr) munmap(page_, sizeof(ProbePage));
  }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;
  ProbePage* get() const { return page_; }

 private:
  ProbePage* page_ = nullptr;
};

// A child that is killed and collected at the end of its scope.
class Child {
 public:
  // The descriptor table is shared with `CLONE_FILES`; the child is 0 in `pid()`.
  explicit Child(unsigned long flags)
      : pid_(static_cast<pid_t>(Raw(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, 0))) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Collect();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int error() const { return pid_ < 0 ? -pid_ : 0; }

 private:
  void Collect() const {
    while (waitpid(pid_, nullptr, __WALL) == -1 && errno == EINTR) {
    }
  }

  pid_t pid_;
};

void CountNothing(int) {}

// The guest of the notification probe: installs a filter, makes calls, counts the answers that aren't what they should
// be.
[[noreturn]] void RunGuest(ProbePage* page) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kProbeCall, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {4, instructions};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  constexpr unsigned long kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  page->is_wait_killable = true;
  long listener = Raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
  if (listener == -EINVAL) {
    page->is_wait_killable = false;
    listener = Raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program);
  }
  if (listener < 0) page->error = static_cast<int>(-listener);
  page->listener = static_cast<int>(listener);
  Raw(SYS_futex, &page->listener, FUTEX_WAKE, 1);
  if (listener < 0) Raw(SYS_exit_group, 1);

  long lost = 0;
  if (Raw(kProbeCall, 0) != static_cast<long>(ExpectedAnswer(0))) page->error = ENODATA;
  struct sigaction action = {};
  action.sa_handler = CountNothing;
  action.sa_flags = SA_RESTART;
  sigset_t none;
  sigemptyset(&none);
  sigaction(SIGALRM, &action, nullptr);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const itimerval storm = {{0, kStormPeriodUs}, {0, kStormPeriodUs}};
  setitimer(ITIMER_REAL, &storm, nullptr);
  for (long call = 1; call <= kStormCalls; call++) {
    if (Raw(kProbeCall, call) != static_cast<long>(ExpectedAnswer(static_cast<uint64_t>(call)))) lost++;
  }
  page->lost = lost;
  page->is_done = true;
  for (;;) Raw(SYS_exit_group, 0);
}

struct Notifications {
  Reason user_notification, wait_killable, wait_killable_is_safe, sync_wake_up, add_fd;

  explicit Notifications(Reason same)
      : user_notification(same), wait_killable(same), wait_killable_is_safe(same), sync_wake_up(same), add_fd(same) {}
};

Reason TryAddFd(int listener, uint64_t id) {
  const Descriptor source(eventfd(0, EFD_CLOEXEC));
  struct seccomp_notif_addfd request = {};
  request.id = id;
  request.srcfd = static_cast<uint32_t>(source.get());
  request.newfd_flags = O_CLOEXEC;
  // The child shares this process's table, so the new descriptor is closed here.
  const Descriptor added(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request));
  return added.is_open() ? "" : Failed("SECCOMP_IOCTL_NOTIF_ADDFD", errno);
}

// Answers the guest's calls until it is done. True when it was.
bool Serve(int listener, const ProbePage* page, Notifications* result) {
  while (!page->is_done) {
    pollfd ready = {listener, POLLIN, 0};
    const int found = poll(&ready, 1, kPatienceMs);
    if (found == -1 && errno == EINTR) continue;
    if (found <= 0 || (ready.revents & POLLIN) == 0) break;
    struct seccomp_notif notification;
    std::memset(&notification, 0, sizeof(notification));
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) == -1) continue;
    const uint64_t argument = notification.data.args[0];
    if (argument == 0) result->add_fd = TryAddFd(listener, notification.id);
    SendAnswer(listener, notification.id, static_cast<int64_t>(ExpectedAnswer(argument)));
  }
  return page->is_done;
}

Notifications ProbeNotifications() {
  const SharedPage shared;
  ProbePage* page = shared.get();
  if (page == nullptr) return Notifications(Failed("mmap", ENOMEM));
  page->listener = -1;
  const Child child(CLONE_FILES);
  if (child.pid() == 0) RunGuest(page);
  if (child.error() != 0) return Notifications(Failed("clone", child.error()));
  for (int i = 0; page->listener == -1 && page->error == 0 && i < kPatienceMs; i++) {
    const timespec tick = {0, 1'000'000};
    syscall(SYS_futex, &page->listener, FUTEX_WAIT, -1, &tick, nullptr, 0);
  }
  if (page->error != 0) return Notifications(Failed("seccomp", page->error));
  if (page->listener < 0) return Notifications("seccomp: no listener in time");
  const Descriptor listener(page->listener);

  Notifications result("");
  if (ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == -1) {
    result.sync_wake_up = Failed("SECCOMP_IOCTL_NOTIF_SET_FLAGS", errno);
  }
  if (!page->is_wait_killable) {
    result.wait_killable = Failed("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", EINVAL);
    result.wait_killable_is_safe = result.wait_killable;
  }
  const bool is_done = Serve(listener.get(), page, &result);
  if (page->error != 0) result.user_notification = "an answer got lost";
  if (!is_done) result.user_notification = "the calls stopped";
  if (result.wait_killable_is_safe.empty() && (page->lost != 0 || !is_done)) {
    result.wait_killable_is_safe =
        std::to_string(page->lost) + " of " + std::to_string(kStormCalls) + " answers got lost under signals";
  }
  return result;
}

Reason ProbeOpenAt2() {
  struct open_how how = {};
  how.flags = O_PATH | O_CLOEXEC | O_DIRECTORY;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const Descriptor fd(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how))));
  return fd.is_open() ? "" : Failed("openat2", errno);
}

Reason ProbePidfdThread() {
  const Descriptor fd(static_cast<int>(syscall(SYS_pidfd_open, gettid(), PIDFD_THREAD)));
  return fd.is_open() ? "" : Failed("pidfd_open PIDFD_THREAD", errno);
}

// A detached tmpfs, mapped by the user namespace of a child.
Reason ProbeIdmappedMounts() {
  const Child child(CLONE_NEWUSER);
  if (child.pid() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) pause();
  }
  if (child.error() != 0) return Failed("clone CLONE_NEWUSER", child.error());
  char path[64];
  for (const char* file : {"uid_map", "gid_map"}) {
    std::snprintf(path, sizeof(path), "/proc/%d/%s", child.pid(), file);
    const Descriptor map(open(path, O_WRONLY | O_CLOEXEC));
    if (!map.is_open() || write(map.get(), "0 0 1\n", 6) == -1) return Failed(file, errno);
  }
  std::snprintf(path, sizeof(path), "/proc/%d/ns/user", child.pid());
  const Descriptor user_namespace(open(path, O_RDONLY | O_CLOEXEC));
  if (!user_namespace.is_open()) return Failed("open the user namespace", errno);
  const Descriptor context(static_cast<int>(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!context.is_open()) return Failed("fsopen", errno);
  if (syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == -1) {
    return Failed("fsconfig", errno);
  }
  const Descriptor mount(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!mount.is_open()) return Failed("fsmount", errno);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace.get());
  if (syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == -1) {
    return Failed("mount_setattr", errno);
  }
  return "";
}

Reason ProbeUserNamespaces() {
  const Child child(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
  if (child.pid() == 0) {
    for (;;) Raw(SYS_exit_group, 0);
  }
  return child.error() == 0 ? "" : Failed("clone", child.error());
}

Reason ProbePidNamespaceIoctl() {
  const Descriptor pid_namespace(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  if (!pid_namespace.is_open()) return Failed("open /proc/self/ns/pid", errno);
  const int inside = ioctl(pid_namespace.get(), NS_GET_TGID_IN_PIDNS, getpid());
  if (inside == -1) return Failed("NS_GET_TGID_IN_PIDNS", errno);
  return inside == getpid() ? "" : "NS_GET_TGID_IN_PIDNS: another id";
}

Reason ProbeProcessVm() {
  uint64_t word = 0x15090d;
  const Child child(0);
  if (child.pid() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) pause();
  }
  if (child.error() != 0) return Failed("clone", child.error());
  uint64_t copy = 0;
  const iovec local = {&copy, sizeof(copy)};
  const iovec remote = {&word, sizeof(word)};
  if (process_vm_readv(child.pid(), &local, 1, &remote, 1, 0) == -1) return Failed("process_vm_readv", errno);
  return copy == word ? "" : "process_vm_readv: wrong bytes";
}

napi_value ProbeHost(Arguments& arguments) {
  const Notifications notifications = ProbeNotifications();
  const struct {
    const char* name;
    Reason reason;
  } results[] = {
      {"userNotification", notifications.user_notification},
      {"waitKillable", notifications.wait_killable},
      {"waitKillableIsSafe", notifications.wait_killable_is_safe},
      {"syncWakeUp", notifications.sync_wake_up},
      {"addFd", notifications.add_fd},
      {"openat2", ProbeOpenAt2()},
      {"pidfdThread", ProbePidfdThread()},
      {"idmappedMounts", ProbeIdmappedMounts()},
      {"userNamespaces", ProbeUserNamespaces()},
      {"pidNamespaceIoctl", ProbePidNamespaceIoctl()},
      {"processVm", ProbeProcessVm()},
  };
  napi_env env = arguments.env();
  napi_value probe;
  napi_create_object(env, &probe);
  for (const auto& result : results) {
    napi_value reason;
    if (result.reason.empty()) {
      napi_get_null(env, &reason);
    } else {
      napi_create_string_utf8(env, result.reason.c_str(), result.reason.size(), &reason);
    }
    napi_set_named_property(env, probe, result.name, reason);
  }
  return probe;
}

constexpr Export kExports[] = {{"probeHost", Valued<ProbeHost>}};

}  // namespace

std::span<const Export> ProbeExports() { return kExports; }

}  // namespace isopod
