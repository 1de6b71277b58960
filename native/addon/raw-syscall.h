// System calls without the C library, for code that runs in a forked child of a threaded process: no errno, no locks,
// no thread-local storage. Errors come back as -errno.
#pragma once

#include <cstdint>
#include <type_traits>

namespace isopod {

inline long RawSyscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
long Word([[maybe_unused]] T value) {
  if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}

// The same with arguments of any scalar type.
template <typename... T>
long Raw(long number, T... arguments) {
  return RawSyscall(number, Word(arguments)...);
}

}  // namespace isopod
