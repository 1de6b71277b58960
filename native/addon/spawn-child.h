// The half of `spawn` that runs in the new process.
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
  kNone,
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

// Makes the new process and stores its pid; the caller is its parent, or its sibling with `is_sibling`. Only the new
// process doesn't come back. 0 or -errno.
int CloneSpawned(const SpawnRequest& request, SpawnStatus* status, bool is_sibling);

// Runs in a process of its own, which is a child of the spawning one: enters the namespaces that the request names, then
// makes the new process as its own sibling, and ends.
[[noreturn]] void RunIntermediate(const SpawnRequest& request, SpawnStatus* status);

}  // namespace isopod
