// The seccomp listeners by the keys that JavaScript gave them, and the answers that go to them.
#pragma once

#include <cstdint>

namespace isopod {

inline constexpr int32_t kMaximumListenerKey = 16383;

// Takes over `fd` and waits for its traps from now on. 0 or -errno (EBUSY: the key is in use; EMFILE: too many); on
// failure `fd` is closed.
int AddListener(int32_t key, int fd);

// The descriptor of a listener, or -1 when the key names none (any more).
int ListenerDescriptor(int32_t key);

// Ends the trap `id` with a value, or with an errno in [-4095, -1]. 0 or -errno.
int SendAnswer(int listener_fd, uint64_t id, int64_t value);

// Lets the host run the call of the trap `id`. 0 or -errno.
int SendContinue(int listener_fd, uint64_t id);

inline uint64_t TrapId(uint32_t low, uint32_t high) { return static_cast<uint64_t>(high) << 32 | low; }

}  // namespace isopod
