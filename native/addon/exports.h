// What each facility exports; module.cc puts them together.
#pragma once

#include <span>

#include "arguments.h"

namespace isopod {

std::span<const Export> ChannelExports();
std::span<const Export> ConfineExports();
std::span<const Export> DeviceExports();
std::span<const Export> FileExports();
std::span<const Export> FilterExports();
std::span<const Export> InstallFilterExports();
std::span<const Export> LendExports();
std::span<const Export> MemoryExports();
std::span<const Export> MountExports();
std::span<const Export> ProbeExports();
std::span<const Export> ProcessExports();
std::span<const Export> RunCallExports();
std::span<const Export> SocketExports();
std::span<const Export> SpawnExports();
std::span<const Export> UnderMaskExports();
std::span<const Export> WaitExports();

}  // namespace isopod
