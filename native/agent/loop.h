// What the agent waits for: descriptors, each with what is to be done when it is ready.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "../addon/descriptor.h"

namespace isopod::agent {

class Loop {
 public:
  Loop();

  // Watches a descriptor, which stays the caller's; EPOLL* bits, level-triggered. Returns a key for Unwatch.
  uint64_t Watch(int fd, uint32_t events, std::function<void(uint32_t)> on_ready);
  // 0 is nobody's key.
  void Unwatch(uint64_t* key);
  // Waits once and calls whoever is ready.
  void Run();

 private:
  struct Watched {
    int fd;
    std::function<void(uint32_t)> on_ready;
  };

  Descriptor epoll_;
  uint64_t next_key_ = 1;
  std::unordered_map<uint64_t, Watched> watched_;
};

}  // namespace isopod::agent
