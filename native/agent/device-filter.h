// Which devices a container's processes may open or make.
#pragma once

#include <vector>

#include "messages.h"

namespace isopod::agent {

// Attaches a filter to the control group: the harmless devices that every container has, its terminals, and `devices`.
// The agent's own channel is a device, too. 0 or an errno.
int AttachDeviceFilter(int cgroup_fd, const std::vector<Device>& devices);

}  // namespace isopod::agent
