// The spawner is a fork of this process that was made before this process confined itself: a new process inherits the
// filters of the one that makes it, and with the sandbox process's own list in force a guest's call would get that
// list's errno and never become a trap. The spawner does nothing but make processes. It is undumpable, so that the
// sandbox process can't write into it; it has given back the memory that it was forked with, so it is small and forks
// fast.
//
// SAFETY: all of this runs in forked copies of a threaded process. It makes raw system calls and touches its own stack,
// the prepared request and the status page; it allocates nothing and takes no lock.

#include "spawn-child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <string_view>

#include "host-kernel.h"
#include "raw-syscall.h"

namespace isopod {

namespace {

// Values of <sys/mount.h>, which can't be included beside <linux/mount.h>.
constexpr unsigned long kMsRec = 0x4000;
constexpr unsigned long kMsPrivate = 1 << 18;
constexpr int kMntDetach = 2;

constexpr int kLastSignal = 64;

// The kernel's own layout, which the C library's differs from.
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};
static_assert(sizeof(KernelSigaction) == 32);

void Publish(SpawnStatus* status, SpawnState state) {
  status->state.store(static_cast<uint32_t>(state), std::memory_order_release);
}

void Wake(SpawnStatus* status) { Raw(SYS_futex, &status->state, FUTEX_WAKE, INT_MAX); }

[[noreturn]] void Exit(int code) {
  for (;;) Raw(SYS_exit_group, code);
}

// Ends the child when a step failed.
class Steps {
 public:
  explicit Steps(SpawnStatus* status) : status_(status) {}

  void At(SpawnStep step) { step_ = step; }

  // Returns what the call returned, if it did well.
  long Must(long result) {
    if (result >= 0) return result;
    status_->failed_step = static_cast<uint32_t>(step_);
    status_->error = static_cast<int32_t>(-result);
    Publish(status_, SpawnState::kFailed);
    Wake(status_);
    Exit(127);
  }

 private:
  SpawnStatus* status_;
  SpawnStep step_ = SpawnStep::kStart;
};

void WriteFile(Steps& steps, const char* path, std::string_view text) {
  const long fd = steps.Must(Raw(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
  const long written = Raw(SYS_write, fd, text.data(), text.size());
  // Closed before the error is reported: the descriptor is the parent's too.
  Raw(SYS_close, fd);
  steps.Must(written);
}

// Puts a private copy of the request in the place of the shared one: what execve names is read there, and by the
// sandbox process before that, when another request may long be on its way.
void OwnRequest(Steps& steps, const SpawnRequest& request) {
  const long copy = steps.Must(Raw(SYS_mmap, nullptr, request.memory_size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  void* to = reinterpret_cast<void*>(copy);
  const void* from = request.memory;
  size_t length = request.memory_used;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
  steps.Must(
      Raw(SYS_mremap, copy, request.memory_size, request.memory_size, MREMAP_MAYMOVE | MREMAP_FIXED, request.memory));
}

// One user and one group exist in the new user namespace. Group lists are frozen (the kernel demands it of a writer
// without privilege over the outer ids).
void MapIds(Steps& steps, const SpawnRequest& request) {
  steps.At(SpawnStep::kIdMaps);
  WriteFile(steps, "/proc/self/setgroups", "deny");
  WriteFile(steps, "/proc/self/uid_map", request.uid_map);
  WriteFile(steps, "/proc/self/gid_map", request.gid_map);
  // A caller whose real ids differ from its effective ones would leave some unmapped. Not called without need: a change
  // of ids makes a process undumpable, and then its memory can't be read at its first trap.
  if (Raw(SYS_getuid) != static_cast<long>(request.inside_uid)) {
    steps.Must(Raw(SYS_setresuid, request.inside_uid, request.inside_uid, request.inside_uid));
  }
  if (Raw(SYS_getgid) != static_cast<long>(request.inside_gid)) {
    steps.Must(Raw(SYS_setresgid, request.inside_gid, request.inside_gid, request.inside_gid));
  }
}

// Makes the root folder, bound read-only, the only mount there is.
void EnterRoot(Steps& steps, const SpawnRequest& request) {
  steps.At(SpawnStep::kRoot);
  steps.Must(Raw(SYS_mount, nullptr, "/", nullptr, kMsRec | kMsPrivate, nullptr));
  // By its path: the caller's descriptor names the folder in the mount namespace that was left. What lies at that path
  // now must be the same folder.
  steps.Must(Raw(SYS_chdir, request.root_path));
  struct stat here;
  steps.Must(Raw(SYS_newfstatat, AT_FDCWD, ".", &here, AT_SYMLINK_NOFOLLOW));
  if (here.st_dev != request.root_device || here.st_ino != request.root_inode) steps.Must(-ESTALE);

  const long tree = steps.Must(Raw(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  long result = Raw(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
  if (result >= 0) result = Raw(SYS_move_mount, tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH);
  if (result >= 0) result = Raw(SYS_fchdir, tree);
  Raw(SYS_close, tree);
  steps.Must(result);
  // The old root comes to lie on the new one and is taken off there.
  steps.Must(Raw(SYS_pivot_root, ".", "."));
  steps.Must(Raw(SYS_umount2, ".", kMntDetach));
}

void SetLimits(Steps& steps, const SpawnRequest& request) {
  steps.At(SpawnStep::kLimits);
  struct rlimit64 limit;
  for (size_t i = 0; i < request.limit_count; i++) {
    const SpawnLimit& wanted = request.limits[i];
    steps.Must(Raw(SYS_prlimit64, 0, wanted.resource, nullptr, &limit));
    if (wanted.hard < limit.rlim_max) limit.rlim_max = wanted.hard;
    limit.rlim_cur = wanted.soft < limit.rlim_max ? wanted.soft : limit.rlim_max;
    steps.Must(Raw(SYS_prlimit64, 0, wanted.resource, &limit, nullptr));
  }
  steps.Must(Raw(SYS_prlimit64, 0, RLIMIT_LOCKS, nullptr, &limit));
  limit.rlim_cur = request.cookie;
  steps.Must(Raw(SYS_prlimit64, 0, RLIMIT_LOCKS, &limit, nullptr));
}

// No capability now, none to be had from an exec as the namespace's root, and none by any other way.
void DropCapabilities(Steps& steps) {
  steps.At(SpawnStep::kCapabilities);
  for (long capability = 0; capability < 64; capability++) {
    const long result = Raw(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (result == -EINVAL) break;  // Past the last one that the host knows.
    steps.Must(result);
  }
  constexpr long kBits = SECURE_ALL_BITS & ~issecure_mask(SECURE_KEEP_CAPS);
  steps.Must(Raw(SYS_prctl, PR_SET_SECUREBITS, kBits | SECURE_ALL_LOCKS, 0, 0, 0));
  steps.Must(Raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  steps.Must(Raw(SYS_capset, &header, none));
  steps.Must(Raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

void ResetSignals(Steps& steps) {
  steps.At(SpawnStep::kSignals);
  const KernelSigaction action = {SIG_DFL, 0, nullptr, 0};
  for (int signal = 1; signal <= kLastSignal; signal++) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    steps.Must(Raw(SYS_rt_sigaction, signal, &action, nullptr, sizeof(uint64_t)));
  }
  const uint64_t empty = 0;
  steps.Must(Raw(SYS_rt_sigprocmask, SIG_SETMASK, &empty, nullptr, sizeof(empty)));
}

// False when the parent is dead already.
bool DieWithParent(int parent_pidfd) {
  if (Raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return false;
  pollfd parent = {parent_pidfd, POLLIN, 0};
  return Raw(SYS_poll, &parent, 1, 0) == 0;
}

long InstallFilter(const SpawnRequest& request) {
  const sock_fprog program = {request.filter_length, const_cast<sock_filter*>(request.filter)};
  constexpr unsigned long kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  const long listener =
      Raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
  if (listener != -EINVAL) return listener;
  return Raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program);
}

[[noreturn]] void RunSpawned(const SpawnRequest& request, SpawnStatus* status) {
  Steps steps(status);
  steps.At(SpawnStep::kStart);
  OwnRequest(steps, request);
  // The spawner isn't dumpable. The new process has to be: only then are its id maps its own to write and its memory
  // the sandbox process's to read.
  steps.Must(Raw(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
  if (request.join_pidfd < 0) {
    MapIds(steps, request);
    EnterRoot(steps, request);
  }
  steps.At(SpawnStep::kRoot);
  steps.Must(Raw(SYS_chdir, request.cwd));
  // A terminal of the caller must not send its signals here. A group is enough for that; a session of its own, which a
  // controlling terminal takes, is also a scheduling group of its own (autogroup), and then a trap's round trip takes
  // three times as long.
  steps.At(SpawnStep::kProcessGroup);
  if (request.is_session) {
    steps.Must(Raw(SYS_setsid));
  } else {
    steps.Must(Raw(SYS_setpgid, 0, 0));
  }
  SetLimits(steps, request);
  DropCapabilities(steps);
  // After the credentials: a change of them takes the death signal away.
  steps.At(SpawnStep::kParentDeathSignal);
  if (!DieWithParent(request.parent_pidfd)) steps.Must(-ESRCH);
  ResetSignals(steps);

  steps.At(SpawnStep::kFilter);
  Publish(status, SpawnState::kFiltering);
  Wake(status);
  status->listener = static_cast<int32_t>(steps.Must(InstallFilter(request)));
  Publish(status, SpawnState::kFiltered);
  // From here on every call may be a trap. The parent continues the next one itself: it polls the listener.
  steps.At(SpawnStep::kDescriptors);
  steps.Must(Raw(SYS_close_range, 0u, ~0u, CLOSE_RANGE_UNSHARE));
  Publish(status, SpawnState::kReady);
  Raw(SYS_execve, request.path, request.argv, request.envp);
  Exit(127);
}

// Makes the new process as a sibling, a child of the sandbox process, and stores its pid. Only the new process doesn't
// come back. 0 or -errno.
int CloneSpawned(const SpawnRequest& request, SpawnStatus* status) {
  unsigned long flags = CLONE_FILES | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD;
  if (request.join_pidfd < 0) {
    flags |= CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    if (request.netns_fd < 0) flags |= CLONE_NEWNET;
  }
  const long pid = Raw(SYS_clone, flags, nullptr, &status->pid, nullptr, 0);
  if (pid == 0) RunSpawned(request, status);
  return pid < 0 ? static_cast<int>(pid) : 0;
}

// Enters the namespaces that the request names, in a process of its own, which then makes the new process and ends.
[[noreturn]] void RunIntermediate(const SpawnRequest& request, SpawnStatus* status) {
  Steps steps(status);
  if (request.netns_fd >= 0) {
    steps.At(SpawnStep::kNetworkNamespace);
    steps.Must(Raw(SYS_setns, request.netns_fd, CLONE_NEWNET));
  }
  if (request.join_pidfd >= 0) {
    steps.At(SpawnStep::kJoin);
    const unsigned long kinds = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    long result = request.netns_fd >= 0 ? -EPERM : Raw(SYS_setns, request.join_pidfd, kinds | CLONE_NEWNET);
    if (result == -EPERM) {
      // The container's network namespace is one that this process has no power over. Joining it natively would give
      // nothing anyway, so the newcomer gets an empty one.
      result = Raw(SYS_setns, request.join_pidfd, kinds);
      if (result >= 0 && request.netns_fd < 0) result = Raw(SYS_unshare, CLONE_NEWNET);
    }
    steps.Must(result);
  }
  steps.At(SpawnStep::kClone);
  steps.Must(CloneSpawned(request, status));
  Exit(0);
}

// One line of /proc/self/maps, as far as it matters.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t inode = 0;
  // The first letter of the name in brackets, or 0: 'h' is the heap, 's' the stack, 'v' the kernel's own pages.
  char kind = 0;
};

Mapping ParseMapping(const char* at, const char* end) {
  Mapping mapping;
  const auto number = [&](uint64_t base) {
    uint64_t value = 0;
    for (; at < end; at++) {
      uint64_t digit = base;
      if (*at >= '0' && *at <= '9') digit = static_cast<uint64_t>(*at - '0');
      if (*at >= 'a' && *at <= 'f') digit = static_cast<uint64_t>(*at - 'a') + 10;
      if (digit >= base) break;
      value = value * base + digit;
    }
    return value;
  };
  const auto skip_field = [&] {
    while (at < end && *at != ' ') at++;
    while (at < end && *at == ' ') at++;
  };
  mapping.start = number(16);
  at++;
  mapping.end = number(16);
  for (int field = 0; field < 4; field++) skip_field();  // The end's rest, permissions, offset, device.
  mapping.inode = number(10);
  skip_field();
  if (at + 1 < end && *at == '[') mapping.kind = at[1];
  return mapping;
}

// Gives back the memory that only the sandbox process needs: the heaps, which would otherwise be kept twice as soon as
// it writes to them. What stays are the files (all of the code is in them), this stack, and the thread's own block.
void DropMemory(uint64_t stack_address) {
  uint64_t thread_block = 0;
  constexpr int kArchGetFs = 0x1003;
  if (Raw(SYS_arch_prctl, kArchGetFs, &thread_block) < 0) return;
  const long fd = Raw(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char text[8192];
  size_t kept = 0;
  for (;;) {
    const long got = Raw(SYS_read, fd, text + kept, sizeof(text) - kept);
    if (got <= 0) break;
    const char* const end = text + kept + got;
    const char* line = text;
    for (const char* at = text; at < end; at++) {
      if (*at != '\n') continue;
      const Mapping mapping = ParseMapping(line, at);
      line = at + 1;
      const auto holds = [&](uint64_t address) { return address >= mapping.start && address < mapping.end; };
      const bool is_anonymous = mapping.inode == 0 && (mapping.kind == 0 || mapping.kind == 'h' || mapping.kind == 'a');
      if (!is_anonymous || holds(stack_address) || holds(thread_block)) continue;
      Raw(SYS_munmap, mapping.start, mapping.end - mapping.start);
    }
    kept = static_cast<size_t>(end - line);
    for (size_t i = 0; i < kept; i++) const_cast<volatile char*>(text)[i] = line[i];
  }
  Raw(SYS_close, fd);
}

void Answer(SpawnerChannel* channel, long result) {
  channel->error = result < 0 ? static_cast<int32_t>(-result) : 0;
  channel->turn.store(kSpawnerAnswered, std::memory_order_release);
  Raw(SYS_futex, &channel->turn, FUTEX_WAKE, INT_MAX);
}

}  // namespace

void RunSpawner(SpawnerChannel* channel, int parent_pidfd) {
  // All signals stay blocked, as they were when it was forked; what kills it is the death of its parent.
  if (!DieWithParent(parent_pidfd)) Exit(1);
  Raw(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
  DropMemory(reinterpret_cast<uint64_t>(&parent_pidfd));
  for (;;) {
    const uint32_t turn = channel->turn.load(std::memory_order_acquire);
    if (turn != kSpawnerAsked) {
      Raw(SYS_futex, &channel->turn, FUTEX_WAIT, turn, nullptr, nullptr, 0);
      continue;
    }
    const SpawnRequest& request = channel->request;
    if (request.join_pidfd < 0 && request.netns_fd < 0) {
      Answer(channel, CloneSpawned(request, &channel->status));
      continue;
    }
    const unsigned long flags = CLONE_FILES | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD;
    const long intermediate = Raw(SYS_clone, flags, nullptr, &channel->intermediate_pid, nullptr, 0);
    if (intermediate == 0) RunIntermediate(request, &channel->status);
    Answer(channel, intermediate);
  }
}

}  // namespace isopod
