// Results of host calls: a value, or an errno as a negative number, the form in which the addon hands them to
// JavaScript.
#pragma once

#include <cerrno>
#include <cstdint>

namespace isopod {

// Turns the C library's -1 and errno into -errno.
inline int64_t ResultOf(int64_t returned) { return returned == -1 ? -static_cast<int64_t>(errno) : returned; }

}  // namespace isopod
