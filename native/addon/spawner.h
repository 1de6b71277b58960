// The process that makes a sandbox process's guests.
#pragma once

namespace isopod {

// Forks the spawner if there is none yet: at the first spawn, or before this process confines itself. 0 or -errno.
int StartSpawner();

}  // namespace isopod
