// What belongs to the machine as a whole: its file systems at boot, its identity, its end.
#pragma once

#include <string>

#include "../addon/descriptor.h"
#include "messages.h"

namespace isopod::agent {

// Mounts what an init has to mount, loads the modules of /modules/order, and moves to a root that can be pivoted from.
void SetUpMachine();
// Opens the channel's port once its driver has found it; waits for that. Not open when it never comes.
Descriptor OpenPort();
// Gives this machine its own identity; empty, or what failed.
std::string ConfigureMachine(const Configure& configure);
// Makes all memory that nothing uses zero; empty, or what failed.
std::string SettleMemory();
[[noreturn]] void PowerOff();

}  // namespace isopod::agent
