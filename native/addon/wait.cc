// Waiting for everything that can happen to a pod, in one thread, without an allocation.
//
// The listeners are polled beside an epoll set that holds everything else: the watched descriptors, the eventfd of the
// helper threads, and a second epoll set with the pidfds. The listeners are not in the set because of SYNC_WAKE_UP: it
// wakes whoever polls a listener on the CPU of the guest, but epoll passes the wake-up on without that wish, and when
// guest and sandbox process are in different scheduling groups (cgroups, sessions) a round trip then takes three times
// as long.
//
// The pidfds are apart because of an order: a parent that traps after it saw its child's end must not be dispatched
// before that end. A child's pidfd is readable before the parent can know, and the parent traps after that, so whoever
// receives traps first and asks for the ends afterwards has them all. The second set answers that question completely,
// however many other things are ready. The poll has answered it for traps that were there when it looked at their
// listener, because it looks at the set last; a listener's ids count up by one, so that the successor of the last trap
// that was received is known to have been there.

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
#include <vector>

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
// Each container and each exec has one; every one costs each wait some 50 ns.
constexpr size_t kMaximumListeners = 1024;
// Traps that were received but didn't fit into the batch wait here; no more are received than it holds.
constexpr size_t kTrapCapacity = 512;
// Records of a batch that traps never take, so that there is room for what sorts before them.
constexpr size_t kReservedRecords = 16;

// The word that epoll gives back: what kind of descriptor it is, its number, and the caller's key.
enum class Source : uint32_t { kWatched, kEnd, kEnds, kCompletions };

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
  // Of the ends in the last batch: they can be asked how, until the next wait.
  std::vector<Descriptor> ended;

  int32_t* batch = nullptr;
  size_t batch_capacity = 0;

  std::array<TrapRecord, kTrapCapacity> traps;
  size_t trap_count = 0;

  // What was found in this wait, until it is known how the batch is filled.
  std::array<std::pair<int32_t, uint32_t>, kEventsPerWait> ready;
  size_t ready_count = 0;

  // Descriptor + 1 by key, so that the zeroes of a fresh table mean none.
  std::array<int32_t, kMaximumListenerKey + 1> listeners;

  // What the wait polls: the listeners, with their keys beside them, and the set in the entry behind the last one.
  std::array<pollfd, kMaximumListeners + 1> polled;
  std::array<int32_t, kMaximumListeners> polled_keys;
  // Of the last trap that was received from it.
  std::array<uint64_t, kMaximumListeners> last_ids;
  size_t listener_count = 0;
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

// Waits until a listener or the set is ready. The number of ready entries, 0 after the time, or -1.
int Poll(double timeout_ns) {
  waiter.polled[waiter.listener_count] = {waiter.set, POLLIN, 0};
  timespec timeout = {};
  if (timeout_ns > 0) {
    const double bounded = std::min(timeout_ns, 1e18);
    timeout.tv_sec = static_cast<time_t>(bounded / 1e9);
    timeout.tv_nsec =
        std::clamp(static_cast<long>(bounded - static_cast<double>(timeout.tv_sec) * 1e9), 0L, 999999999L);
  }
  return ppoll(waiter.polled.data(), waiter.listener_count + 1, timeout_ns < 0 ? nullptr : &timeout, nullptr);
}

// Receives one trap. It may have vanished since the listener was readable (its task was killed): that is no error.
// True when another may have come in its place since then.
bool Receive(size_t place) {
  const int32_t key = waiter.polled_keys[place];
  struct seccomp_notif notification;
  std::memset(&notification, 0, sizeof(notification));
  if (ioctl(waiter.polled[place].fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == -1) return false;
  const bool is_successor = notification.id == waiter.last_ids[place] + 1;
  waiter.last_ids[place] = notification.id;
  TrapRecord& record = waiter.traps[waiter.trap_count++];
  record.kind = static_cast<int32_t>(EventKind::kTrap);
  record.listener = key;
  record.id = notification.id;
  record.tid = notification.pid;
  record.number = notification.data.nr;
  record.instruction_pointer = notification.data.instruction_pointer;
  std::copy_n(notification.data.args, 6, record.args);
  return !is_successor;
}

// Receives one trap of each listener that was ready. Whether there are more is asked with everything else, when these
// are answered: to ask each time costs every trap as much as a call of its own. True when one may have come after the
// poll.
bool ReceiveAll(size_t maximum) {
  bool is_late = false;
  for (size_t i = 0; i < waiter.listener_count && waiter.trap_count < maximum; i++) {
    if ((waiter.polled[i].revents & POLLIN) != 0 && Receive(i)) is_late = true;
  }
  return is_late;
}

// Takes a listener out of what is polled, by its place there, and closes it.
void CloseListener(size_t place) {
  const int32_t key = waiter.polled_keys[place];
  close(waiter.polled[place].fd);
  waiter.listeners[static_cast<size_t>(key)] = 0;
  waiter.listener_count--;
  waiter.polled[place] = waiter.polled[waiter.listener_count];
  waiter.polled_keys[place] = waiter.polled_keys[waiter.listener_count];
  waiter.last_ids[place] = waiter.last_ids[waiter.listener_count];
}

// Writes one record without arguments.
void Put(size_t* count, EventKind kind, int32_t key, int32_t value, int32_t high = 0) {
  int32_t* record = waiter.batch + *count * kRecordWords;
  record[0] = static_cast<int32_t>(kind);
  record[1] = key;
  record[2] = value;
  record[3] = high;
  (*count)++;
}

// Puts every end into the batch, up to `limit` records. True when there may be more.
bool PutEnds(size_t* count, size_t limit) {
  while (waiter.watched_ends > 0) {
    if (*count >= limit) return true;
    epoll_event events[kEventsPerWait];
    const int wanted = static_cast<int>(std::min<size_t>(limit - *count, kEventsPerWait));
    const int found = epoll_wait(waiter.ends_set, events, wanted, 0);
    if (found <= 0) return false;
    for (int i = 0; i < found; i++) {
      const int pidfd = DescriptorOf(events[i].data.u64);
      epoll_ctl(waiter.ends_set, EPOLL_CTL_DEL, pidfd, nullptr);
      waiter.ended.emplace_back(pidfd);
      waiter.watched_ends--;
      Put(count, EventKind::kEnded, KeyOf(events[i].data.u64), 0);
    }
    if (found < wanted) return false;
  }
  return false;
}

// The same for what helper threads finished. True when none is left.
bool PutCompletions(size_t* count, size_t limit, EventKind kind) {
  Completion completion;
  while (*count < limit) {
    if (!TakeCompletion(kind, &completion)) return true;
    Put(count, kind, completion.key, completion.result, completion.high);
  }
  return false;
}

// Asks the set what is ready in it. True for each of the two kinds that are found by asking further.
void LookIntoSet(bool* has_ends, bool* has_completions) {
  epoll_event events[kEventsPerWait];
  // What an edge-triggered watch reports is reported once, so no more is asked for than the batch has room for.
  const size_t wanted = std::min<size_t>(waiter.batch_capacity - kReservedRecords, kEventsPerWait);
  const int found = epoll_wait(waiter.set, events, static_cast<int>(wanted), 0);
  // The ends may be among what had no room.
  if (found == static_cast<int>(wanted)) *has_ends = true;
  for (int i = 0; i < found; i++) {
    const uint64_t tag = events[i].data.u64;
    switch (SourceOf(tag)) {
      case Source::kWatched:
        waiter.ready[waiter.ready_count++] = {KeyOf(tag), uint32_t{events[i].events}};
        break;
      case Source::kCompletions:
        *has_completions = true;
        break;
      case Source::kEnds:
      case Source::kEnd:
        *has_ends = true;
        break;
    }
  }
}

int64_t Wait(double timeout_ns) {
  waiter.ended.clear();
  // Traps that are left from the last batch don't wait, and neither do those that arrived meanwhile.
  if (waiter.trap_count > 0) timeout_ns = 0;
  const int ready = Poll(timeout_ns);
  if (ready == -1) {
    // A signal of the sandbox process itself: JavaScript gets a chance to see it.
    return errno == EINTR ? 0 : -errno;
  }
  if (ready == 0 && waiter.trap_count == 0) return 0;

  // The traps come first, whatever else is ready.
  const bool is_late = ReceiveAll(std::min(waiter.batch_capacity - kReservedRecords, kTrapCapacity));

  bool has_ends = false;
  bool has_completions = false;
  waiter.ready_count = 0;
  if ((waiter.polled[waiter.listener_count].revents & POLLIN) != 0) LookIntoSet(&has_ends, &has_completions);

  size_t count = 0;
  bool are_ends_left = false;
  // Ends and completions can stay where they are; what was reported once has its room kept.
  const size_t room = waiter.batch_capacity - waiter.ready_count;
  if (has_ends || is_late) are_ends_left = PutEnds(&count, room);
  for (size_t place = waiter.listener_count; place > 0 && count < room; place--) {
    const pollfd& polled = waiter.polled[place - 1];
    if ((polled.revents & (POLLIN | POLLHUP)) != POLLHUP) continue;
    Put(&count, EventKind::kListenerGone, waiter.polled_keys[place - 1], 0);
    CloseListener(place - 1);
  }
  // A completion may be older than a trap of the same task that was received just now.
  const size_t before_completions = count;
  if ((has_completions || waiter.trap_count > 0) && PutCompletions(&count, room, EventKind::kLent) &&
      PutCompletions(&count, room, EventKind::kInterrupted) && (has_completions || count > before_completions)) {
    SettleCompletions();
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
  Descriptor pidfd(
      static_cast<int>(NewDescriptor(static_cast<int>(syscall(SYS_pidfd_open, tid, is_thread ? PIDFD_THREAD : 0)))));
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

int64_t EndStatus(Arguments& arguments) {
  const int pidfd = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  PidfdInfo info = {};
  info.mask = kPidfdInfoExit;
  if (ioctl(pidfd, kPidfdGetInfo, &info) == -1 || (info.mask & kPidfdInfoExit) == 0) return -1;
  return info.exit_code;
}

constexpr Export kExports[] = {
    {"endStatus", Numeric<EndStatus>},
    {"setBatch", Numeric<SetBatch>},
    {"wait", WaitBinding},
    {"answer", Answer},
    {"continueTrap", ContinueTrap},
    {"isTrapValid", IsTrapValid},
    {"watch", Numeric<Watch>},
    {"unwatch", Numeric<Unwatch>},
    {"watchEnd", Numeric<WatchEnd>},
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
  if (waiter.listener_count == kMaximumListeners) return -EMFILE;
  // The woken guest runs on the CPU of whoever answers, which more than halves a round trip; hosts before 6.6 refuse.
  ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  waiter.polled[waiter.listener_count] = {fd, POLLIN, 0};
  waiter.last_ids[waiter.listener_count] = 0;
  waiter.polled_keys[waiter.listener_count++] = key;
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
