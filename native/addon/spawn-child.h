// The half of `spawn` that runs in other processes: in the spawner, which makes the new ones, and in a new one until
// its execve.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace isopod {

// The step that the new process was at when it failed; spawn.cc has the names.
enum class SpawnStep : uint32_t {
  kStart,
  kClone,
  kNetworkNamespace,
  kJoin,
  kIdMaps,
  kRoot,
  kProcessGroup,
  kParentDeathSignal,
  kLimits,
  kCapabilities,
  kSignals,
  kFilter,
  kDescriptors,
  kCount,
};

enum class SpawnState : uint32_t {
  kStarting,
  // The filter comes next, and after it a wake-up is a trap: from here on the parent has to look.
  kFiltering,
  // The filter is installed; `listener` holds its descriptor in the table that parent and child share.
  kFiltered,
  // The child has left the shared table and has no descriptor; its execve comes next.
  kReady,
  kFailed,
};

struct SpawnLimit {
  uint32_t resource;
  uint64_t soft;
  uint64_t hard;
};

// What the child needs, prepared before it exists: it only reads.
struct SpawnRequest {
  // The memory that holds everything below. It is the next request's too, so the child takes a private copy.
  void* memory;
  size_t memory_size;
  size_t memory_used;
  const sock_filter* filter;
  uint16_t filter_length;
  const char* root_path;
  dev_t root_device;
  ino_t root_inode;
  const char* cwd;
  const char* path;
  const char* const* argv;
  const char* const* envp;
  std::string_view uid_map;
  std::string_view gid_map;
  uint32_t inside_uid;
  uint32_t inside_gid;
  const SpawnLimit* limits;
  size_t limit_count;
  uint64_t cookie;
  int parent_pidfd;
  int join_pidfd;
  int netns_fd;
  bool is_session;
};

// What child and parent tell each other, in a page that both map shared: with the filter installed a plain store is the
// only way to say anything.
struct SpawnStatus {
  std::atomic<uint32_t> state;
  int32_t listener;
  uint32_t failed_step;
  int32_t error;
  int32_t pid;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

// What this process asks of the spawner, one request at a time. It lies in memory that both share, at the same address;
// so does all that the request points to.
struct SpawnerChannel {
  // 0: nothing to do; 1: a request; 2: it is answered, the new process's own status follows.
  std::atomic<uint32_t> turn;
  // 0, or why no process could be made.
  int32_t error;
  // The process between, when namespaces have to be entered first: this process's child too, and it soon ends.
  int32_t intermediate_pid;
  SpawnRequest request;
  SpawnStatus status;
};

inline constexpr uint32_t kSpawnerIdle = 0;
inline constexpr uint32_t kSpawnerAsked = 1;
inline constexpr uint32_t kSpawnerAnswered = 2;

// Runs the spawner, in a fresh fork of this process that shares its descriptor table. `parent_pidfd` names this
// process.
[[noreturn]] void RunSpawner(SpawnerChannel* channel, int parent_pidfd);

}  // namespace isopod
