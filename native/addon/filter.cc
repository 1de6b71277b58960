// A filter is a binary search for the call's number that ends in the number's own rules. seccomp evaluates a filter
// once a number when it is installed and remembers the numbers that are allowed whatever the arguments, so the search
// costs only the calls that trap or have conditions.
//
// A conditional BPF jump reaches 255 instructions ahead. The search takes its long branches with an unconditional jump,
// which reaches everywhere; inside one rule nothing is far, because the number of its conditions is bounded.

#include "filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>

namespace isopod {

namespace {

constexpr size_t kMaximumInstructions = 4096;
constexpr size_t kWordsPerRule = 3;
constexpr size_t kWordsPerCondition = 6;
// A condition takes at most 7 instructions, so that a failed one can always jump over the rest of its rule.
constexpr uint32_t kMaximumConditions = 16;
constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kAllBits = 0xffffffff;

struct Condition {
  FilterCondition kind;
  uint32_t argument;
  uint32_t mask_low, mask_high;
  uint32_t value_low, value_high;
};

struct Rule {
  uint32_t number;
  uint32_t action;
  std::span<const uint32_t> condition_words;
};

bool ActionOf(uint32_t word, uint32_t* bpf_return) {
  const uint32_t data = word >> 16;
  switch (static_cast<FilterAction>(word & 0xffff)) {
    case FilterAction::kNative:
      *bpf_return = SECCOMP_RET_ALLOW;
      return data == 0;
    case FilterAction::kTrap:
      *bpf_return = SECCOMP_RET_USER_NOTIF;
      return data == 0;
    case FilterAction::kErrno:
      *bpf_return = SECCOMP_RET_ERRNO | data;
      return data < 4096;
    case FilterAction::kKillProcess:
      *bpf_return = SECCOMP_RET_KILL_PROCESS;
      return data == 0;
    case FilterAction::kKillThread:
      *bpf_return = SECCOMP_RET_KILL_THREAD;
      return data == 0;
    case FilterAction::kSignal:
      *bpf_return = SECCOMP_RET_TRAP;
      return data == 0;
  }
  return false;
}

bool ConditionOf(std::span<const uint32_t> words, Condition* condition) {
  *condition = {static_cast<FilterCondition>(words[0]), words[1], words[2], words[3], words[4], words[5]};
  switch (condition->kind) {
    case FilterCondition::kMaskedEqual:
    case FilterCondition::kMaskedNotEqual:
    case FilterCondition::kAtLeast:
    case FilterCondition::kBelow:
      return condition->argument < 6;
    case FilterCondition::kInstructionPointerEqual:
      condition->mask_low = condition->mask_high = kAllBits;
      return true;
  }
  return false;
}

class Compiler {
 public:
  Compiler(std::vector<sock_filter>* program, uint32_t default_return)
      : program_(*program), default_return_(default_return) {}

  void EmitPrologue() {
    Load(offsetof(seccomp_data, arch));
    Emit(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    Return(SECCOMP_RET_ERRNO | ENOSYS);
    Load(offsetof(seccomp_data, nr));
    // Every number from the x32 bit up, -1 included: no call of x86-64 lies there.
    Emit(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1);
    Return(SECCOMP_RET_ERRNO | ENOSYS);
  }

  // `rules` is sorted by number and never empty. The depth is the logarithm of the number of rules.
  void EmitSearch(std::span<const Rule> rules) {
    if (program_.size() > kMaximumInstructions) return;
    const uint32_t first = rules.front().number;
    if (first == rules.back().number) {
      Emit(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0);
      Return(default_return_);
      EmitRules(rules);
      return;
    }
    size_t middle = rules.size() / 2;
    while (middle > 0 && rules[middle - 1].number == rules[middle].number) middle--;
    if (middle == 0) {
      while (rules[middle].number == first) middle++;
    }
    Emit(BPF_JMP | BPF_JGE | BPF_K, rules[middle].number, 0, 1);
    const size_t far_jump = program_.size();
    Emit(BPF_JMP | BPF_JA, 0, 0, 0);
    EmitSearch(rules.first(middle));
    program_[far_jump].k = static_cast<uint32_t>(program_.size() - far_jump - 1);
    EmitSearch(rules.subspan(middle));
  }

  void Return(uint32_t value) { Emit(BPF_RET | BPF_K, value, 0, 0); }

 private:
  // A jump whose target is known only when the end of the rule is.
  struct Pending {
    size_t instruction;
    bool is_true_branch;
  };

  void Emit(uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false) {
    program_.push_back({code, if_true, if_false, k});
  }

  void Load(size_t offset) { Emit(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset), 0, 0); }

  // Rules of one number, in order: the first whose conditions hold decides.
  void EmitRules(std::span<const Rule> rules) {
    for (const Rule& rule : rules) {
      failures_.clear();
      for (size_t at = 0; at < rule.condition_words.size(); at += kWordsPerCondition) {
        Condition condition;
        ConditionOf(rule.condition_words.subspan(at, kWordsPerCondition), &condition);
        EmitCondition(condition);
      }
      uint32_t bpf_return;
      ActionOf(rule.action, &bpf_return);
      Return(bpf_return);
      Land(failures_);
      if (rule.condition_words.empty()) return;  // It always holds: later rules are never reached.
    }
    Return(default_return_);
  }

  void EmitCondition(const Condition& condition) {
    holds_.clear();
    size_t low = offsetof(seccomp_data, args) + condition.argument * 8;
    if (condition.kind == FilterCondition::kInstructionPointerEqual) low = offsetof(seccomp_data, instruction_pointer);
    const size_t high = low + 4;
    switch (condition.kind) {
      case FilterCondition::kMaskedEqual:
      case FilterCondition::kInstructionPointerEqual:
        LoadMasked(high, condition.mask_high);
        Jump(BPF_JEQ, condition.value_high, Target::kNext, Target::kFails);
        LoadMasked(low, condition.mask_low);
        Jump(BPF_JEQ, condition.value_low, Target::kNext, Target::kFails);
        break;
      case FilterCondition::kMaskedNotEqual:
        LoadMasked(high, condition.mask_high);
        Jump(BPF_JEQ, condition.value_high, Target::kNext, Target::kHolds);
        LoadMasked(low, condition.mask_low);
        Jump(BPF_JEQ, condition.value_low, Target::kFails, Target::kNext);
        break;
      case FilterCondition::kAtLeast:
        Load(high);
        Jump(BPF_JGT, condition.value_high, Target::kHolds, Target::kNext);
        Jump(BPF_JEQ, condition.value_high, Target::kNext, Target::kFails);
        Load(low);
        Jump(BPF_JGE, condition.value_low, Target::kNext, Target::kFails);
        break;
      case FilterCondition::kBelow:
        Load(high);
        Jump(BPF_JGT, condition.value_high, Target::kFails, Target::kNext);
        Jump(BPF_JEQ, condition.value_high, Target::kNext, Target::kHolds);
        Load(low);
        Jump(BPF_JGE, condition.value_low, Target::kFails, Target::kNext);
        break;
    }
    Land(holds_);
  }

  enum class Target { kNext, kHolds, kFails };

  void Jump(uint16_t comparison, uint32_t k, Target if_true, Target if_false) {
    Await(if_true, true);
    Await(if_false, false);
    Emit(BPF_JMP | comparison | BPF_K, k, 0, 0);
  }

  void Await(Target target, bool is_true_branch) {
    if (target == Target::kHolds) holds_.push_back({program_.size(), is_true_branch});
    if (target == Target::kFails) failures_.push_back({program_.size(), is_true_branch});
  }

  void Land(const std::vector<Pending>& jumps) {
    for (const Pending& jump : jumps) {
      const auto distance = static_cast<uint8_t>(program_.size() - jump.instruction - 1);
      sock_filter& instruction = program_[jump.instruction];
      (jump.is_true_branch ? instruction.jt : instruction.jf) = distance;
    }
  }

  void LoadMasked(size_t offset, uint32_t mask) {
    Load(offset);
    if (mask != kAllBits) Emit(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
  }

  std::vector<sock_filter>& program_;
  uint32_t default_return_;
  std::vector<Pending> holds_;
  std::vector<Pending> failures_;
};

}  // namespace

int CompileFilter(std::span<const uint32_t> rules, uint32_t default_action, std::vector<sock_filter>* program) {
  uint32_t default_return;
  if (!ActionOf(default_action, &default_return)) return -EINVAL;
  std::vector<Rule> sorted;
  while (!rules.empty()) {
    if (rules.size() < kWordsPerRule) return -EINVAL;
    const uint32_t condition_count = rules[2];
    uint32_t unused;
    if (rules[0] >= kX32Bit || !ActionOf(rules[1], &unused) || condition_count > kMaximumConditions) return -EINVAL;
    const size_t words = condition_count * kWordsPerCondition;
    if (rules.size() - kWordsPerRule < words) return -EINVAL;
    const Rule rule = {rules[0], rules[1], rules.subspan(kWordsPerRule, words)};
    for (size_t at = 0; at < words; at += kWordsPerCondition) {
      Condition condition;
      if (!ConditionOf(rule.condition_words.subspan(at, kWordsPerCondition), &condition)) return -EINVAL;
    }
    sorted.push_back(rule);
    rules = rules.subspan(kWordsPerRule + words);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Rule& a, const Rule& b) { return a.number < b.number; });

  program->clear();
  Compiler compiler(program, default_return);
  compiler.EmitPrologue();
  if (sorted.empty()) {
    compiler.Return(default_return);
  } else {
    compiler.EmitSearch(sorted);
  }
  return program->size() > kMaximumInstructions ? -E2BIG : 0;
}

}  // namespace isopod
