#include "loop.h"

namespace isopod::agent {

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

uint64_t Loop::Watch(int fd, uint32_t events, std::function<void(uint32_t)> on_ready) {
  const uint64_t key = next_key_++;
  epoll_event event = {.events = events, .data = {.u64 = key}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return 0;
  watched_[key] = {fd, std::move(on_ready)};
  return key;
}

void Loop::Unwatch(uint64_t* key) {
  const auto found = watched_.find(*key);
  *key = 0;
  if (found == watched_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watched_.erase(found);
}

void Loop::Run() {
  constexpr int kEvents = 64;
  epoll_event events[kEvents];
  const int count = epoll_wait(epoll_.get(), events, kEvents, -1);
  for (int i = 0; i < count; i++) {
    const auto found = watched_.find(events[i].data.u64);
    // One that was ready before may have taken it off.
    if (found == watched_.end()) continue;
    // A copy: it may take itself off.
    const auto on_ready = found->second.on_ready;
    on_ready(events[i].events);
  }
}

}  // namespace isopod::agent
