// The guest's network: addresses and routes of the pod's namespace on the host, set by rtnetlink(7).
#pragma once

#include <string>

#include "messages.h"

namespace isopod::agent {

// Brings the loopback device up and sets up what `configure` has. Empty, or what failed.
std::string ConfigureNetwork(const Configure& configure);

}  // namespace isopod::agent
