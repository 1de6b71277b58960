// Small files, and paths below a root that nobody who writes there can lead out of.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "../addon/descriptor.h"

namespace isopod::agent {

// Writes a whole small file; 0 or an errno.
int WriteFile(const std::string& path, std::string_view text);
// The text of a small file (the first `limit` bytes); empty when it can't be read.
std::string ReadFile(const std::string& path, size_t limit = 64 << 10);

// A number that /proc has for a descriptor: a path for mount(2).
std::string PathOf(const Descriptor& file);

enum class Kind { kFile, kFolder };

// Opens `path` below `root` (O_PATH), symlinks resolved as a process that has it as its root would, and makes what
// lacks. Not open, with errno set, when that fails.
Descriptor OpenBelow(int root, const std::string& path, Kind kind);
// The same for what must be there.
Descriptor FindBelow(int root, const std::string& path);

}  // namespace isopod::agent
