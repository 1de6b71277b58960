// A connection to a server in this machine that listens for this machine alone.
#pragma once

#include <cstdint>

#include "container-setup.h"

namespace isopod::agent {

// Connects to `port` of 127.0.0.1, or else of ::1, carries bytes between that and the first two streams until the
// server has said all, and ends. It stays out of the container's namespaces: nobody there sees it. Never returns.
[[noreturn]] void RunDial(uint32_t port, const Birth& birth);

}  // namespace isopod::agent
