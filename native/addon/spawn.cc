// Starting a container's first process.
//
// The spawner makes it (spawn-child.cc says why it isn't this process), as a child of this process. It shares this
// process's descriptor table until it has its filter: so the listener that it makes is this process's too, and its
// number travels by a plain store into shared memory. Then the new process has to leave the table with nothing in it,
// by a call that its own filter traps. This process, which waits for it, continues that one call; the next trap is the
// execve, and that one is for JavaScript.

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iterator>
#include <string>
#include <vector>

#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "listeners.h"
#include "result.h"
#include "spawn-child.h"
#include "spawner.h"

namespace isopod {

namespace {

constexpr const char* kStepNames[] = {
    "prepare",
    "clone",
    "enter the network namespace",
    "join the namespaces",
    "map ids",
    "enter the root",
    "make a process group",
    "set the death signal",
    "set limits",
    "drop capabilities",
    "reset signals",
    "install the filter",
    "close descriptors",
};
static_assert(std::size(kStepNames) == static_cast<size_t>(SpawnStep::kCount));

// A child that neither gets on nor dies is killed after so long.
constexpr int64_t kPatienceNs = 10'000'000'000;
constexpr int kTickMs = 10;
// How often a child that is about to have its filter is looked at: the call takes some 100 us.
constexpr long kGlanceNs = 20'000;

struct Failure {
  int error;
  const char* step;
};

// Reads the properties of the options object; the first that has another type than it should throws.
class OptionsReader {
 public:
  OptionsReader(Arguments& arguments, napi_value object) : arguments_(arguments), object_(object) {}

  napi_value Property(const char* name) {
    napi_value value = nullptr;
    if (napi_get_named_property(arguments_.env(), object_, name, &value) != napi_ok) {
      arguments_.ThrowTypeError("spawn: expected an object");
    }
    return value;
  }

  double Number(const char* name) { return NumberOf(Property(name)); }
  int Int(const char* name) { return static_cast<int>(Number(name)); }
  uint32_t Id(const char* name) { return static_cast<uint32_t>(Number(name)); }

  double NumberOf(napi_value value) {
    double number = 0;
    if (!arguments_.ok() || napi_get_value_double(arguments_.env(), value, &number) != napi_ok ||
        !(number >= -9007199254740992.0 && number <= 9007199254740992.0)) {
      arguments_.ThrowTypeError("spawn: expected an integer");
      return 0;
    }
    return number;
  }

  std::string StringOf(napi_value value) {
    size_t length = 0;
    if (!arguments_.ok() || napi_get_value_string_utf8(arguments_.env(), value, nullptr, 0, &length) != napi_ok) {
      arguments_.ThrowTypeError("spawn: expected a string");
      return {};
    }
    std::string text(length, '\0');
    napi_get_value_string_utf8(arguments_.env(), value, text.data(), length + 1, &length);
    if (text.find('\0') != std::string::npos) arguments_.ThrowTypeError("spawn: expected a string without NUL");
    return text;
  }

  std::vector<napi_value> ArrayOf(napi_value array) {
    uint32_t length = 0;
    if (!arguments_.ok() || napi_get_array_length(arguments_.env(), array, &length) != napi_ok) {
      arguments_.ThrowTypeError("spawn: expected an array");
      return {};
    }
    std::vector<napi_value> elements(length);
    for (uint32_t i = 0; i < length; i++) napi_get_element(arguments_.env(), array, i, &elements[i]);
    return elements;
  }

  std::vector<std::string> Strings(const char* name) {
    std::vector<std::string> strings;
    for (const napi_value element : ArrayOf(Property(name))) strings.push_back(StringOf(element));
    return strings;
  }

  std::vector<SpawnLimit> Limits(const char* name) {
    std::vector<SpawnLimit> limits;
    for (const napi_value triple : ArrayOf(Property(name))) {
      const std::vector<napi_value> fields = ArrayOf(triple);
      if (fields.size() != 3) {
        arguments_.ThrowTypeError("spawn: expected a limit of three numbers");
        return {};
      }
      limits.push_back({static_cast<uint32_t>(NumberOf(fields[0])), LimitOf(fields[1]), LimitOf(fields[2])});
    }
    return limits;
  }

  // An optional boolean, false when it is left out.
  bool Flag(const char* name) {
    napi_value value = Property(name);
    bool flag = false;
    return arguments_.ok() && napi_get_value_bool(arguments_.env(), value, &flag) == napi_ok && flag;
  }

  std::vector<sock_filter> Filter(const char* name) {
    napi_value value = Property(name);
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (!arguments_.ok() ||
        napi_get_typedarray_info(arguments_.env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array || length % sizeof(sock_filter) != 0 || length > USHRT_MAX * sizeof(sock_filter)) {
      arguments_.ThrowTypeError("spawn: expected a filter program");
      return {};
    }
    std::vector<sock_filter> filter(length / sizeof(sock_filter));
    if (length > 0) std::memcpy(filter.data(), data, length);
    return filter;
  }

 private:
  uint64_t LimitOf(napi_value value) {
    const double number = NumberOf(value);
    return number < 0 ? RLIM_INFINITY : static_cast<uint64_t>(number);
  }

  Arguments& arguments_;
  napi_value object_;
};

// The options, decoded, and what has to live as long as the request points to it.
struct Options {
  int32_t listener;
  std::vector<sock_filter> filter;
  int root_fd;
  std::string cwd, path;
  std::vector<std::string> argv, envp;
  uint32_t inside_uid, inside_gid;
  std::vector<SpawnLimit> limits;
  pid_t join_pid;
  int netns_fd;
  uint64_t cookie;
  bool is_session;

  explicit Options(OptionsReader& reader)
      : listener(reader.Int("listener")),
        filter(reader.Filter("filter")),
        root_fd(reader.Int("rootFd")),
        cwd(reader.StringOf(reader.Property("cwd"))),
        path(reader.StringOf(reader.Property("path"))),
        argv(reader.Strings("argv")),
        envp(reader.Strings("envp")),
        inside_uid(reader.Id("insideUid")),
        inside_gid(reader.Id("insideGid")),
        limits(reader.Limits("limits")),
        join_pid(reader.Int("joinPid")),
        netns_fd(reader.Int("netnsFd")),
        cookie(static_cast<uint64_t>(reader.Number("cookie"))),
        is_session(reader.Flag("isSession")) {}
};

// The memory that a request is put into: the channel, then a bounded heap that never frees. Its pages are given back to
// the host after each request.
class RequestMemory {
 public:
  // 0 or -errno.
  int Map() {
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void* channel = mmap(nullptr, sizeof(SpawnerChannel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || channel == MAP_FAILED) return -ENOMEM;
    memory_ = static_cast<uint8_t*>(memory);
    // Fresh pages are zero, which is an idle channel.
    channel_ = static_cast<SpawnerChannel*>(channel);
    return 0;
  }

  SpawnerChannel* channel() const { return channel_; }

  void Clear() {
    used_ = 0;
    is_full_ = false;
    madvise(memory_, kSize, MADV_REMOVE);
  }

  // A copy of `count` elements, or null when there is no room.
  template <typename T>
  T* Copy(const T* elements, size_t count) {
    const size_t size = (count * sizeof(T) + 15) / 16 * 16;
    if (size > kSize - used_) {
      is_full_ = true;
      return nullptr;
    }
    auto* copy = reinterpret_cast<T*>(memory_ + used_);
    if (count > 0) std::memcpy(static_cast<void*>(copy), elements, count * sizeof(T));
    used_ += size;
    return copy;
  }

  const char* Copy(const std::string& text) { return Copy(text.c_str(), text.size() + 1); }

  const char* const* Copy(const std::vector<std::string>& strings) {
    std::vector<const char*> pointers;
    for (const std::string& text : strings) pointers.push_back(Copy(text));
    pointers.push_back(nullptr);
    return Copy(pointers.data(), pointers.size());
  }

  // Tells the request where it lies. False when something had no room.
  bool Seal(SpawnRequest* request) const {
    request->memory = memory_;
    request->memory_size = kSize;
    request->memory_used = used_;
    return !is_full_;
  }

 private:
  // Linux refuses arguments and environment of more than 2 MiB in its default limits.
  static constexpr size_t kSize = 4 << 20;

  uint8_t* memory_ = nullptr;
  SpawnerChannel* channel_ = nullptr;
  size_t used_ = 0;
  bool is_full_ = false;
};

RequestMemory request_memory;
pid_t spawner_pid = 0;
// Names this process for those that must not outlive it. It stays open: they use it in the shared table.
int own_pidfd = -1;

// Handlers of this process must not run in a child before it has reset them.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t old_;
};

SpawnState StateOf(const SpawnStatus* status) {
  return static_cast<SpawnState>(status->state.load(std::memory_order_acquire));
}

bool HasEnded(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == -1 || info.si_pid != 0;
}

// Hands the request to the spawner and waits until it has made a process. 0 or -errno.
int AskSpawner(SpawnerChannel* channel) {
  channel->turn.store(kSpawnerAsked, std::memory_order_release);
  syscall(SYS_futex, &channel->turn, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  while (channel->turn.load(std::memory_order_acquire) != kSpawnerAnswered) {
    const timespec tick = {0, kTickMs * 1'000'000L};
    syscall(SYS_futex, &channel->turn, FUTEX_WAIT, kSpawnerAsked, &tick, nullptr, 0);
    if (HasEnded(spawner_pid)) return -ECHILD;
  }
  channel->turn.store(kSpawnerIdle, std::memory_order_relaxed);
  if (channel->error != 0) return -channel->error;
  if (channel->intermediate_pid == 0) return 0;
  while (waitpid(channel->intermediate_pid, nullptr, __WALL) == -1 && errno == EINTR) {
  }
  return channel->status.pid == 0 && StateOf(&channel->status) != SpawnState::kFailed ? -ECHILD : 0;
}

// Continues the call by which the child leaves the shared table, and nothing else.
void ContinueClose(int listener) {
  struct seccomp_notif notification;
  std::memset(&notification, 0, sizeof(notification));
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) == -1) return;
  const bool is_expected = notification.data.nr == SYS_close_range && notification.data.args[0] == 0 &&
                           static_cast<uint32_t>(notification.data.args[1]) == ~0u &&
                           notification.data.args[2] == CLOSE_RANGE_UNSHARE;
  if (is_expected) {
    SendContinue(listener, notification.id);
  } else {
    SendAnswer(listener, notification.id, -EPERM);
  }
}

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Waits until the child is ready, has failed or is dead.
SpawnState AwaitReady(SpawnStatus* status) {
  const int64_t deadline_ns = NowNs() + kPatienceNs;
  while (NowNs() < deadline_ns) {
    const SpawnState state = StateOf(status);
    switch (state) {
      case SpawnState::kReady:
      case SpawnState::kFailed:
        return state;
      case SpawnState::kStarting: {
        const timespec tick = {0, kTickMs * 1'000'000L};
        syscall(SYS_futex, &status->state, FUTEX_WAIT, static_cast<uint32_t>(state), &tick, nullptr, 0);
        break;
      }
      case SpawnState::kFiltering: {
        const timespec glance = {0, kGlanceNs};
        nanosleep(&glance, nullptr);
        break;
      }
      case SpawnState::kFiltered: {
        pollfd listener = {status->listener, POLLIN, 0};
        // A filter that allows the call gives no trap: then only the state changes.
        if (poll(&listener, 1, kTickMs) <= 0) break;
        // The child may have got on meanwhile, and then this trap is its execve.
        if ((listener.revents & POLLIN) != 0 && StateOf(status) == state) ContinueClose(status->listener);
        break;
      }
    }
    if (StateOf(status) == state && HasEnded(status->pid)) return SpawnState::kFailed;
  }
  return SpawnState::kStarting;
}

// Ends what is left of a failed attempt.
Failure GiveUp(SpawnStatus* status, SpawnState state) {
  Failure failure = {static_cast<int>(status->error), kStepNames[status->failed_step]};
  if (failure.error == 0) failure = {state == SpawnState::kStarting ? ETIMEDOUT : ECHILD, "start"};
  if (status->pid > 0) {
    kill(status->pid, SIGKILL);
    int unused;
    while (waitpid(status->pid, &unused, __WALL) == -1 && errno == EINTR) {
    }
  }
  if (status->listener > 0) close(status->listener);
  return failure;
}

// The pid, or -errno with the failing step.
int64_t Spawn(const Options& options, const char** failed_step) {
  const auto fail = [&](int error, const char* step) {
    *failed_step = step;
    return -error;
  };
  *failed_step = nullptr;
  if (options.listener < 0 || options.listener > kMaximumListenerKey || ListenerDescriptor(options.listener) >= 0) {
    return fail(EINVAL, "check the listener's key");
  }

  if (const int error = StartSpawner(); error != 0) return fail(-error, "start the spawner");
  SpawnerChannel* const channel = request_memory.channel();
  SpawnStatus* const status = &channel->status;
  SpawnRequest& request = channel->request;
  request_memory.Clear();
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  std::memset(static_cast<void*>(status), 0, sizeof(*status));
  channel->error = channel->intermediate_pid = 0;

  std::string root_path = "/";
  if (options.join_pid == 0) {
    struct stat root;
    if (fstat(options.root_fd, &root) == -1) return fail(errno, "look at the root");
    char link[32];
    char target[PATH_MAX];
    std::snprintf(link, sizeof(link), "/proc/self/fd/%d", options.root_fd);
    const ssize_t length = readlink(link, target, sizeof(target));
    if (length == -1) return fail(errno, "look at the root");
    root_path.assign(target, static_cast<size_t>(length));
    request.root_device = root.st_dev;
    request.root_inode = root.st_ino;
  }
  Descriptor joined;
  if (options.join_pid != 0) {
    joined = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, options.join_pid, 0)));
    if (!joined.is_open()) return fail(errno, "find the process to join");
  }
  const std::string uid_map = std::to_string(options.inside_uid) + " " + std::to_string(geteuid()) + " 1\n";
  const std::string gid_map = std::to_string(options.inside_gid) + " " + std::to_string(getegid()) + " 1\n";
  request.filter = request_memory.Copy(options.filter.data(), options.filter.size());
  request.filter_length = static_cast<uint16_t>(options.filter.size());
  request.root_path = request_memory.Copy(root_path);
  request.cwd = request_memory.Copy(options.cwd);
  request.path = request_memory.Copy(options.path);
  request.argv = request_memory.Copy(options.argv);
  request.envp = request_memory.Copy(options.envp);
  request.uid_map = {request_memory.Copy(uid_map), uid_map.size()};
  request.gid_map = {request_memory.Copy(gid_map), gid_map.size()};
  request.inside_uid = options.inside_uid;
  request.inside_gid = options.inside_gid;
  request.limits = request_memory.Copy(options.limits.data(), options.limits.size());
  request.limit_count = options.limits.size();
  request.cookie = options.cookie;
  request.parent_pidfd = own_pidfd;
  request.join_pidfd = joined.get();
  request.netns_fd = options.netns_fd;
  request.is_session = options.is_session;
  if (!request_memory.Seal(&request)) return fail(E2BIG, "copy the arguments");

  if (const int error = AskSpawner(channel); error != 0) return fail(-error, "clone");
  const SpawnState state = AwaitReady(status);
  if (state != SpawnState::kReady) {
    const Failure failure = GiveUp(status, state);
    return fail(failure.error, failure.step);
  }
  // A listener on one of the standard numbers would be lost with the next program that inherits them.
  const int listener = static_cast<int>(NewDescriptor(status->listener));
  status->listener = -1;
  const int error = listener < 0 ? listener : AddListener(options.listener, listener);
  if (error != 0) {
    GiveUp(status, SpawnState::kFailed);
    return fail(-error, "watch the listener");
  }
  return status->pid;
}

napi_value SpawnBinding(Arguments& arguments) {
  OptionsReader reader(arguments, arguments.value(0));
  const Options options(reader);
  if (!arguments.ok()) return nullptr;
  const char* failed_step = nullptr;
  const int64_t pid = Spawn(options, &failed_step);
  napi_env env = arguments.env();
  napi_value result;
  napi_value step;
  napi_create_object(env, &result);
  if (failed_step == nullptr) {
    napi_get_null(env, &step);
  } else {
    napi_create_string_utf8(env, failed_step, NAPI_AUTO_LENGTH, &step);
  }
  napi_set_named_property(env, result, "pid", ToNumber(env, pid));
  napi_set_named_property(env, result, "failedStep", step);
  return result;
}

constexpr Export kExports[] = {{"spawn", Valued<SpawnBinding>}};

}  // namespace

int StartSpawner() {
  if (spawner_pid != 0) return 0;
  if (const int error = request_memory.Map(); error != 0) return error;
  own_pidfd = static_cast<int>(NewDescriptor(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0))));
  if (own_pidfd < 0) return own_pidfd;
  const BlockedSignals blocked;
  const long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (pid == 0) RunSpawner(request_memory.channel(), own_pidfd);
  if (pid == -1) return -errno;
  spawner_pid = static_cast<pid_t>(pid);
  return 0;
}

std::span<const Export> SpawnExports() { return kExports; }

}  // namespace isopod
