// The records that `wait` hands to JavaScript; native.d.ts describes them.
#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

namespace isopod {

inline constexpr size_t kRecordWords = 20;
inline constexpr size_t kStatFields = 18;

enum class EventKind : int32_t {
  kTrap = 1,
  kReady = 2,
  kEnded = 3,
  kLent = 4,
  kListenerGone = 5,
  kInterrupted = 6,
};

// A trap record is the head below and then, word for word, what the kernel says about the call from its id on.
struct TrapRecord {
  int32_t kind;
  int32_t listener;
  uint64_t id;
  uint32_t tid;
  int32_t number;
  uint64_t instruction_pointer;
  uint64_t args[6];
};
static_assert(sizeof(TrapRecord) == kRecordWords * sizeof(int32_t));
static_assert(offsetof(TrapRecord, id) == 2 * sizeof(int32_t));
static_assert(offsetof(TrapRecord, tid) == 4 * sizeof(int32_t));
static_assert(offsetof(TrapRecord, instruction_pointer) == 6 * sizeof(int32_t));
static_assert(offsetof(TrapRecord, args) == 8 * sizeof(int32_t));

}  // namespace isopod
