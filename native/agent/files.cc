#include "files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace isopod::agent {

int WriteFile(const std::string& path, std::string_view text) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return errno;
  return write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

std::string ReadFile(const std::string& path, size_t limit) {
  // What a container has put there may be a FIFO.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (file.is_open() && text.size() < limit) {
    const ssize_t length = read(file.get(), buffer, sizeof buffer);
    if (length <= 0) break;
    text.append(buffer, static_cast<size_t>(length));
  }
  return text;
}

std::string PathOf(const Descriptor& file) { return "/proc/self/fd/" + std::to_string(file.get()); }

Descriptor FindBelow(int root, const std::string& path) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const std::string relative = path.empty() ? "." : path;
  return Descriptor(static_cast<int>(syscall(SYS_openat2, root, relative.c_str(), &how, sizeof how)));
}

Descriptor OpenBelow(int root, const std::string& path, Kind kind) {
  Descriptor found = FindBelow(root, path);
  if (found.is_open() || errno != ENOENT) return found;
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return found;
  const size_t slash = path.find_last_of('/', end);
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
  const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1, end - (slash + 1) + 1);
  const Descriptor folder = OpenBelow(root, parent, Kind::kFolder);
  if (!folder.is_open()) return {};
  const int made = kind == Kind::kFolder ? mkdirat(folder.get(), name.c_str(), 0755)
                                         : mknodat(folder.get(), name.c_str(), S_IFREG | 0644, 0);
  if (made != 0 && errno != EEXIST) return {};
  return FindBelow(root, path);
}

}  // namespace isopod::agent
