// What runs in a new process between its birth and the first instruction of its program.
#pragma once

#include "../addon/descriptor.h"
#include "messages.h"

namespace isopod::agent {

// Kinds of message that a new process sends the agent on a SOCK_SEQPACKET socket; the text follows.
enum class Report : char {
  // The terminal's master comes along.
  kTerminal = 'T',
  // Of an exec: its pid (text), from the helper that made it.
  kPid = 'P',
  // It waits for the agent's word to go on.
  kReady = 'R',
  // What failed; the process ends.
  kError = 'E',
};

// What a new process has, and where it reports. Without a terminal the streams are its standard streams.
struct Birth {
  int report_fd = -1;
  int streams[3] = {-1, -1, -1};
};

// Sends a report; 0 or an errno.
int SendReport(int fd, Report kind, const std::string& text, int attached_fd = -1);

// Becomes the container's first program, in new namespaces (pid, mount, UTS) and the container's control group.
// `pids_fd`, `names_fd`: processes whose PID or UTS namespace it joins, -1 for its own. Never returns.
[[noreturn]] void RunContainer(const CreateContainer& spec, int pids_fd, int names_fd, const Birth& birth);
// Joins the container whose first process is `pidfd`, makes the program's process there as a child of the agent, and
// ends. Never returns.
[[noreturn]] void RunExec(const Program& program, int pidfd, const Birth& birth);

}  // namespace isopod::agent
