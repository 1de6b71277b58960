// Waiting for everything that can happen to a pod, in one thread, without an allocation.
//
// There are two epoll sets. The outer one holds the listeners, the watched descriptors, the eventfd of the helper threads
// and the inner one; the inner one holds the pidfds. They are apart because of an order: a parent that traps after it saw
// its child's end must not be dispatched before that end. A child's pidfd is readable before the parent can know, and the
// parent traps after that, so whoever receives traps first and asks for the ends afterwards has them all. The inner set
// answers that question completely, however many other things are ready.

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "completions.h"
#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "listeners.h"
#include "record.h"
#include "result.h"

namespace isopod {

namespace {

constexpr int kEventsPerWait = 128;
// Traps that were received but didn't fit into the batch wait here; no more are received than it holds.
constexpr size_t kTrapCapacity = 512;
// Records of a batch that traps never take, so that there is room for what sorts before them.
constexpr size_t kReservedRecords = 16;

// The word that epoll gives back: what kind of descriptor it is, its number, and the caller's key.
enum class Source : uint32_t { kListener, kWatched, kEnd, kEnds, kCompletions };

uint64_t Tag(Source source, int fd, int32_t key) {
  return static_cast<uint64_t>(source) << 56 | static_cast<uint64_t>(fd & 0xffffff) << 32 | static_cast<uint32_t>(key);
}
Source SourceOf(uint64_t tag) { return static_cast<Source>(tag >> 56); }
int DescriptorOf(uint64_t tag) { return static_cast<int>(tag >> 32 & 0xffffff); }
int32_t KeyOf(uint64_t tag) { return static_cast<int32_t>(tag); }

struct Waiter {
  int set = -1;
  int ends_set = -1;
  size_t watched_ends = 0;
  bool has_pwait2 = true;

  int32_t* batch = nullptr;
  size_t batch_capacity = 0;

  std::array<TrapRecord, kTrapCapacity> traps;
  size_t trap_count = 0;

  // Keys of what was found in this wait, until it is known how the batch is filled.
  std::array<int32_t, kEventsPerWait> gone;
  size_t gone_count = 0;
  std::array<std::pair<int32_t, uint32_t>, kEventsPerWait> ready;
  size_t ready_count = 0;

  // Descriptor + 1 by key, so that the zeroes of a fresh table mean none.
  std::array<int32_t, kMaximumListenerKey + 1> listeners;
};

Waiter waiter;

// Makes both sets when they are first needed: a front end that loads the addon for other things has none.
int Prepare() {
  if (waiter.set >= 0) return 0;
  Descriptor set(epoll_create1(EPOLL_CLOEXEC));
  Descriptor ends_set(epoll_create1(EPOLL_CLOEXEC));
  if (!set.is_open() || !ends_set.is_open()) return -errno;
  const int completions = CompletionDescriptor();
  if (completions < 0) return completions;
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = Tag(Source::kEnds, ends_set.get(), 0);
  if (epoll_ctl(set.get(), EPOLL_CTL_ADD, ends_set.get(), &event) == -1) return -errno;
  event.data.u64 = Tag(Source::kCompletions, completions, 0);
  if (epoll_ctl(set.get(), EPOLL_CTL_ADD, completions, &event) == -1) return -errno;
  waiter.set = set.Release();
  waiter.ends_set = ends_set.Release();
  return 0;
}

int EpollWait(epoll_event* events, int count, double timeout_ns) {
  if (waiter.has_pwait2) {
    timespec timeout = {};
    if (timeout_ns > 0) {
      const double seconds = std::floor(std::min(timeout_ns, 1e18) / 1e9);
      timeout.tv_sec = static_cast<time_t>(seconds);
      timeout.tv_nsec = std::clamp(static_cast<long>(std::min(timeout_ns, 1e18) - seconds * 1e9), 0L, 999999999L);
    }
    const int found = epoll_pwait2(waiter.set, events, count, timeout_ns < 0 ? nullptr : &timeout, nullptr);
    if (found >= 0 || errno != ENOSYS) return found;
    waiter.has_pwait2 = false;
  }
  const int timeout_ms = timeout_ns < 0 ? -1 : static_cast<int>(std::min(std::ceil(timeout_ns / 1e6), 2147483647.0));
  return epoll_wait(waiter.set, events, count, timeout_ms);
}

// Receives one trap. It may have vanished since the listener was readable (its task was killed): that is no error.
void Receive(int32_t key, int fd) {
  struct seccomp_notif notification;
  std::memset(&notification, 0, sizeof(notification));
  if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == -1) return;
  TrapRecord& record = waiter.traps[waiter.trap_count++];
  record.kind = static_cast<int32_t>(EventKind::kTrap);
  record.listener = key;
  record.id = notification.id;
  record.tid = notification.pid;
  record.number = notification.data.nr;
  record.instruction_pointer = notification.data.instruction_pointer;
  std::copy_n(notification.data.args, 6, record.args);
}

// Receives what is ready, one trap of each listener in turn, so that a busy container doesn't starve the others.
void ReceiveAll(const epoll_event* events, int found, size_t maximum) {
  std::array<pollfd, kEventsPerWait> open;
  std::array<int32_t, kEventsPerWait> keys;
  size_t open_count = 0;
  for (int i = 0; i < found; i++) {
    if (SourceOf(events[i].data.u64) != Source::kListener || (events[i].events & EPOLLIN) == 0) continue;
    keys[open_count] = KeyOf(events[i].data.u64);
    open[open_count++] = {DescriptorOf(events[i].data.u64), POLLIN, POLLIN};
  }
  while (open_count > 0) {
    size_t still_open = 0;
    for (size_t i = 0; i < open_count; i++) {
      if ((open[i].revents & POLLIN) == 0) continue;
      if (waiter.trap_count >= maximum) return;
      Receive(keys[i], open[i].fd);
      keys[still_open] = keys[i];
      open[still_open++] = open[i];
    }
    open_count = still_open;
    if (open_count > 0 && poll(open.data(), open_count, 0) <= 0) return;
  }
}

void CloseListener(int32_t key) {
  const int fd = waiter.listeners[key] - 1;
  waiter.listeners[key] = 0;
  epoll_ctl(waiter.set, EPOLL_CTL_DEL, fd, nullptr);
  close(fd);
}

// Writes one record without arguments.
void Put(size_t* count, EventKind kind, int32_t key, int32_t value) {
  int32_t* record = waiter.batch + *count * kRecordWords;
  record[0] = static_cast<int32_t>(kind);
  record[1] = key;
  record[2] = value;
  (*count)++;
}

// Puts every end into the batch that there is room for. True when there may be more.
bool PutEnds(size_t* count) {
  while (waiter.watched_ends > 0) {
    const size_t room = waiter.batch_capacity - *count;
    if (room == 0) return true;
    epoll_event events[kEventsPerWait];
    const int wanted = static_cast<int>(std::min<size_t>(room, kEventsPerWait));
    const int found = epoll_wait(waiter.ends_set, events, wanted, 0);
    if (found <= 0) return false;
    for (int i = 0; i < found; i++) {
      const int pidfd = DescriptorOf(events[i].data.u64);
      epoll_ctl(waiter.ends_set, EPOLL_CTL_DEL, pidfd, nullptr);
      close(pidfd);
      waiter.watched_ends--;
      Put(count, EventKind::kEnded, KeyOf(events[i].data.u64), 0);
    }
    if (found < wanted) return false;
  }
  return false;
}

bool PutCompletions(size_t* count, EventKind kind) {
  Completion completion;
  while (*count < waiter.batch_capacity) {
    if (!TakeCompletion(kind, &completion)) return true;
    Put(count, kind, completion.key, completion.result);
  }
  return false;
}

int64_t Wait(double timeout_ns) {
  // Traps that are left from the last batch don't wait, and neither do those that arrived meanwhile.
  if (waiter.trap_count > 0) timeout_ns = 0;
  epoll_event events[kEventsPerWait];
  // What an edge-triggered watch reports is reported once, so no more is asked for than fits.
  const int wanted =
      static_cast<int>(std::clamp<size_t>(waiter.batch_capacity - kReservedRecords, 1, size_t{kEventsPerWait}));
  int found = EpollWait(events, wanted, timeout_ns);
  if (found == -1) {
    if (errno != EINTR) return -errno;
    found = 0;  // A signal of the sandbox process itself: JavaScript gets a chance to see it.
  }

  bool has_completions = false;
  bool has_ends = false;
  waiter.gone_count = waiter.ready_count = 0;
  for (int i = 0; i < found; i++) {
    const uint64_t tag = events[i].data.u64;
    switch (SourceOf(tag)) {
      case Source::kListener:
        if ((events[i].events & EPOLLIN) == 0) waiter.gone[waiter.gone_count++] = KeyOf(tag);
        break;
      case Source::kWatched:
        waiter.ready[waiter.ready_count++] = {KeyOf(tag), uint32_t{events[i].events}};
        break;
      case Source::kCompletions:
        has_completions = true;
        break;
      case Source::kEnds:
      case Source::kEnd:
        has_ends = true;
        break;
    }
  }
  const size_t other = waiter.gone_count + waiter.ready_count + kReservedRecords / 2;
  const size_t room = waiter.batch_capacity > other ? waiter.batch_capacity - other : 1;
  ReceiveAll(events, found, std::min(room, kTrapCapacity));

  size_t count = 0;
  bool are_ends_left = false;
  // Room for what must not be lost is kept from the ends: those stay in their set.
  const size_t full_capacity = waiter.batch_capacity;
  waiter.batch_capacity -= std::min(full_capacity - 1, waiter.gone_count + waiter.ready_count);
  if (has_ends || waiter.trap_count > 0) are_ends_left = PutEnds(&count);
  waiter.batch_capacity = full_capacity;
  for (size_t i = 0; i < waiter.gone_count; i++) {
    CloseListener(waiter.gone[i]);
    Put(&count, EventKind::kListenerGone, waiter.gone[i], 0);
  }
  if (has_completions) {
    waiter.batch_capacity -= waiter.ready_count;
    const bool are_drained = PutCompletions(&count, EventKind::kLent) && PutCompletions(&count, EventKind::kInterrupted);
    waiter.batch_capacity = full_capacity;
    if (are_drained) SettleCompletions();
  }
  for (size_t i = 0; i < waiter.ready_count; i++) {
    Put(&count, EventKind::kReady, waiter.ready[i].first, static_cast<int32_t>(waiter.ready[i].second));
  }
  // A trap is not shown before the ends that came before it.
  if (!are_ends_left && waiter.trap_count > 0) {
    const size_t shown = std::min(waiter.trap_count, waiter.batch_capacity - count);
    std::memcpy(waiter.batch + count * kRecordWords, waiter.traps.data(), shown * sizeof(TrapRecord));
    count += shown;
    waiter.trap_count -= shown;
    std::copy_n(waiter.traps.begin() + shown, waiter.trap_count, waiter.traps.begin());
  }
  return static_cast<int64_t>(count);
}

napi_value WaitBinding(napi_env env, napi_callback_info info) {
  size_t argument_count = 1;
  napi_value argument;
  double timeout_ns = 0;
  napi_get_cb_info(env, info, &argument_count, &argument, nullptr, nullptr);
  if (napi_get_value_double(env, argument, &timeout_ns) != napi_ok || waiter.batch == nullptr) {
    napi_throw_type_error(env, nullptr, "expected a number, after setBatch");
    return nullptr;
  }
  if (const int error = Prepare(); error != 0) return ToNumber(env, error);
  return ToNumber(env, Wait(timeout_ns));
}

int64_t SetBatch(Arguments& arguments) {
  const std::span<int32_t> batch = arguments.Int32s(0);
  if (!arguments.ok()) return 0;
  const size_t capacity = batch.size() / kRecordWords;
  if (capacity < 2 * kReservedRecords) {
    arguments.ThrowRangeError("the batch is too short: at least 32 records");
    return 0;
  }
  // The reference is never deleted: the batch is written to until the process ends.
  napi_ref reference;
  napi_create_reference(arguments.env(), arguments.value(0), 1, &reference);
  waiter.batch = batch.data();
  waiter.batch_capacity = capacity;
  return 0;
}

// The three hottest functions decode by hand: one call into Node for all arguments and one for each.
struct TrapArguments {
  int fd = -1;
  uint64_t id = 0;
  bool is_ok = false;

  TrapArguments(napi_env env, napi_value* values) {
    int32_t listener = 0;
    uint32_t low = 0;
    uint32_t high = 0;
    is_ok = napi_get_value_int32(env, values[0], &listener) == napi_ok &&
            napi_get_value_uint32(env, values[1], &low) == napi_ok &&
            napi_get_value_uint32(env, values[2], &high) == napi_ok;
    if (!is_ok) {
      napi_throw_type_error(env, nullptr, "expected numbers");
      return;
    }
    id = TrapId(low, high);
    fd = ListenerDescriptor(listener);
  }
};

napi_value Answer(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value values[4];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  const TrapArguments trap(env, values);
  if (!trap.is_ok) return nullptr;
  double value = 0;
  if (napi_get_value_double(env, values[3], &value) != napi_ok || !(std::abs(value) <= 9007199254740992.0)) {
    napi_throw_type_error(env, nullptr, "expected an integer of at most 2^53 as the value");
    return nullptr;
  }
  return ToNumber(env, trap.fd < 0 ? -ENOENT : SendAnswer(trap.fd, trap.id, static_cast<int64_t>(value)));
}

napi_value ContinueTrap(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  const TrapArguments trap(env, values);
  if (!trap.is_ok) return nullptr;
  return ToNumber(env, trap.fd < 0 ? -ENOENT : SendContinue(trap.fd, trap.id));
}

napi_value IsTrapValid(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  TrapArguments trap(env, values);
  if (!trap.is_ok) return nullptr;
  if (trap.fd < 0) return ToNumber(env, -ENOENT);
  return ToNumber(env, ResultOf(ioctl(trap.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &trap.id)));
}

int64_t Watch(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int32_t key = arguments.Int32(1);
  const uint32_t events = arguments.Uint32(2);
  if (!arguments.ok()) return 0;
  if (const int error = Prepare(); error != 0) return error;
  epoll_event event = {};
  event.events = events | EPOLLET;
  event.data.u64 = Tag(Source::kWatched, fd, key);
  if (epoll_ctl(waiter.set, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
  if (errno != EEXIST) return -errno;
  return ResultOf(epoll_ctl(waiter.set, EPOLL_CTL_MOD, fd, &event));
}

int64_t Unwatch(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  return ResultOf(epoll_ctl(waiter.set, EPOLL_CTL_DEL, fd, nullptr));
}

int64_t WatchEnd(Arguments& arguments) {
  const int tid = arguments.Int32(0);
  const int32_t key = arguments.Int32(1);
  const bool is_thread = arguments.Boolean(2);
  if (!arguments.ok()) return 0;
  if (const int error = Prepare(); error != 0) return error;
  Descriptor pidfd(static_cast<int>(
      NewDescriptor(static_cast<int>(syscall(SYS_pidfd_open, tid, is_thread ? PIDFD_THREAD : 0)))));
  if (!pidfd.is_open()) return pidfd.Release();
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = Tag(Source::kEnd, pidfd.get(), key);
  if (epoll_ctl(waiter.ends_set, EPOLL_CTL_ADD, pidfd.get(), &event) == -1) return -errno;
  waiter.watched_ends++;
  return pidfd.Release();
}

int64_t UnwatchEnd(Arguments& arguments) {
  const int pidfd = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  // Only a descriptor that the set knows is closed: the caller may be late, and the number another's by now.
  if (epoll_ctl(waiter.ends_set, EPOLL_CTL_DEL, pidfd, nullptr) == -1) return -errno;
  waiter.watched_ends--;
  close(pidfd);
  return 0;
}

constexpr Export kExports[] = {
    {"setBatch", Numeric<SetBatch>},     {"wait", WaitBinding},
    {"answer", Answer},                  {"continueTrap", ContinueTrap},
    {"isTrapValid", IsTrapValid},        {"watch", Numeric<Watch>},
    {"unwatch", Numeric<Unwatch>},       {"watchEnd", Numeric<WatchEnd>},
    {"unwatchEnd", Numeric<UnwatchEnd>},
};

}  // namespace

int ListenerDescriptor(int32_t key) {
  return key < 0 || key > kMaximumListenerKey ? -1 : waiter.listeners[static_cast<size_t>(key)] - 1;
}

int AddListener(int32_t key, int fd) {
  Descriptor owned(fd);
  if (const int error = Prepare(); error != 0) return error;
  if (ListenerDescriptor(key) >= 0) return -EBUSY;
  // The woken guest runs on the CPU of whoever answers, which more than halves a round trip; hosts before 6.6 refuse.
  ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = Tag(Source::kListener, fd, key);
  if (epoll_ctl(waiter.set, EPOLL_CTL_ADD, fd, &event) == -1) return -errno;
  waiter.listeners[static_cast<size_t>(key)] = owned.Release() + 1;
  return 0;
}

int SendAnswer(int listener_fd, uint64_t id, int64_t value) {
  struct seccomp_notif_resp response = {};
  response.id = id;
  if (value < 0 && value >= -4095) {
    response.error = static_cast<int32_t>(value);
  } else {
    response.val = value;
  }
  return static_cast<int>(ResultOf(ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &response)));
}

int SendContinue(int listener_fd, uint64_t id) {
  struct seccomp_notif_resp response = {};
  response.id = id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  return static_cast<int>(ResultOf(ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &response)));
}

std::span<const Export> WaitExports() { return kExports; }

}  // namespace isopod
