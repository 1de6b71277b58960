// A call that a traced task is made to run in place of the one it was in.
#pragma once

#include <array>

#include "host-kernel.h"
#include "tracee.h"

namespace isopod {

inline constexpr size_t kCallArguments = 6;

struct OtherCall {
  uint64_t number = 0;
  std::array<uint64_t, kCallArguments> arguments = {};
};

// By what the last two arguments of a call that needs at most four tell a guest's own filter (guest-filter.ts) that it
// is not the guest's call. Zero until it is set: no guest has a filter yet. Set by the main thread, read by helpers
// that get their jobs from it later.
struct CallMark {
  uint64_t fifth = 0;
  uint64_t sixth = 0;
};
inline CallMark call_mark;

struct OtherResult {
  // 0, or -errno when the task can't be told what to do any more.
  int error = 0;
  // False when something else came first: `stop` says what.
  bool has_run = false;
  int64_t value = 0;
  Stop stop = {};
};

inline void SetCall(user_regs_struct* registers, const OtherCall& call) {
  registers->rax = call.number;
  // No call to restart: the kernel must not move the instruction pointer a second time.
  registers->orig_rax = ~0ULL;
  registers->rdi = call.arguments[0];
  registers->rsi = call.arguments[1];
  registers->rdx = call.arguments[2];
  registers->r10 = call.arguments[3];
  registers->r8 = call.arguments[4];
  registers->r9 = call.arguments[5];
}

// Runs `call` to its end. `original`: the registers of the stop right after the instruction that the task was in a call
// by.
inline OtherResult RunOther(Tracee& tracee, const user_regs_struct& original, const OtherCall& call) {
  OtherResult result;
  user_regs_struct other = original;
  other.rip -= kSyscallInstructionSize;
  SetCall(&other, call);
  result.error = tracee.Set(other);
  if (result.error != 0) return result;
  result.stop = tracee.RunToSyscall(kLongPatienceNs);
  if (result.stop.error == 0 && result.stop.signal == kSyscallStop) {
    result.stop = tracee.RunToSyscall(kLongPatienceNs);
    result.has_run = result.stop.error == 0 && result.stop.signal == kSyscallStop;
  }
  result.error = result.stop.error;
  if (result.error != 0 || !result.has_run) return result;
  user_regs_struct after;
  result.error = tracee.Get(&after);
  if (result.error != 0) return result;
  result.value = static_cast<int64_t>(after.rax);
  // A signal that comes before the other call's own trap was received ends it with a restart code.
  if (result.value <= -kErestartsys && result.value >= -kErestartRestartblock) result.has_run = false;
  return result;
}

}  // namespace isopod
