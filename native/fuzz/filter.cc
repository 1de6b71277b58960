// A fuzz target for the filter compiler. Any words give an error or a program that the kernel's own rules would take:
// every jump lands inside, and every path ends in a return.

#include "../addon/filter.h"

#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

bool IsSound(const std::vector<sock_filter>& program) {
  for (size_t at = 0; at < program.size(); at++) {
    const sock_filter& instruction = program[at];
    const size_t left = program.size() - at - 1;
    if (BPF_CLASS(instruction.code) == BPF_RET) continue;
    if (left == 0) return false;
    if (BPF_CLASS(instruction.code) != BPF_JMP) continue;
    if (BPF_OP(instruction.code) == BPF_JA ? instruction.k >= left : instruction.jt >= left || instruction.jf >= left) {
      return false;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint32_t> words(size / sizeof(uint32_t));
  if (!words.empty()) std::memcpy(words.data(), data, words.size() * sizeof(uint32_t));
  const uint32_t default_action = words.empty() ? 0 : words.back();
  std::vector<sock_filter> program;
  if (isopod::CompileFilter(words, default_action & 3, &program) == 0 && !IsSound(program)) std::abort();
  return 0;
}
