// A program of a container: the first one or an exec's, with its streams.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "../addon/descriptor.h"

namespace isopod::agent {

// A stream from the guest to the monitor.
struct Output {
  Descriptor file;
  uint64_t watch = 0;
  // Bytes that may be sent before the monitor gives more.
  uint32_t credit = 0;
  // Bytes that were there when the program ended and are still to be sent; what comes later is not the program's.
  size_t left = 0;
};

// The stream from the monitor to the guest.
struct Input {
  Descriptor file;
  uint64_t watch = 0;
  std::string pending;
  bool is_ended = false;
};

struct RunningProgram {
  uint32_t number = 0;
  std::string container_id;
  // Of the process once it is known; 0 before.
  pid_t pid = 0;
  // Of the helper that makes an exec's process; 0 for a container's first one.
  pid_t helper_pid = 0;
  // Not a container's first program.
  bool is_exec = false;
  // Where a process that was not executed yet reports.
  Descriptor report;
  uint64_t report_watch = 0;
  bool is_ready = false;
  // The call that waits for the next report; 0: none.
  uint32_t waiting_call = 0;
  bool has_terminal = false;
  Descriptor terminal;
  Input input;
  // stdout (or the terminal), stderr.
  Output outputs[2];
  bool has_ended = false;
  bool is_exit_sent = false;
  // It runs or ran its program; before that an end is a failure of the making.
  bool is_started = false;
  uint32_t status = 0;
};

}  // namespace isopod::agent
