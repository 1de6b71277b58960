// Compiles a filter, given as words, to classic BPF for seccomp. Nothing here depends on Node, so that it can be
// fuzzed.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace isopod {

static_assert(sizeof(struct sock_filter) == 8);

// What a word of the rules means as an action. `kSignal` is SIGSYS.
enum class FilterAction : uint32_t {
  kNative = 0,
  kTrap = 1,
  kErrno = 2,
  kKillProcess = 3,
  kKillThread = 4,
  kSignal = 5
};

enum class FilterCondition : uint32_t {
  kMaskedEqual = 0,
  kMaskedNotEqual = 1,
  kAtLeast = 2,
  kBelow = 3,
  kInstructionPointerEqual = 4,
};

// Compiles `rules` (laid out as native.d.ts says) into `program`. 0, -EINVAL for words that are no rules, or -E2BIG.
int CompileFilter(std::span<const uint32_t> rules, uint32_t default_action, std::vector<sock_filter>* program);

}  // namespace isopod
