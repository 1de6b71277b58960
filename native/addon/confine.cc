// The seccomp allow-list of this process itself.

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exports.h"
#include "filter.h"
#include "result.h"
#include "spawner.h"

namespace isopod {

namespace {

// Installs an allow-list for all threads, and what `before` does first. 0 or -errno.
template <typename Action>
int64_t Install(std::span<uint32_t> rules, uint32_t default_errno, Action before) {
  const uint32_t default_action = default_errno == 0
                                      ? static_cast<uint32_t>(FilterAction::kKillProcess)
                                      : default_errno << 16 | static_cast<uint32_t>(FilterAction::kErrno);
  std::vector<sock_filter> filter;
  if (const int error = CompileFilter(rules, default_action, &filter); error != 0) return error;
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  if (const int error = before(); error != 0) return error;
  // no_new_privs is a thread's own; TSYNC gives it to the others together with the filter.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) return -errno;
  const unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  return ResultOf(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

int64_t Confine(Arguments& arguments) {
  const std::span<uint32_t> rules = arguments.Uint32s(0);
  const uint32_t default_errno = arguments.Uint32(1);
  if (!arguments.ok()) return 0;
  // What makes guests must not be bound by the list: guests would inherit it, and its errno outranks a trap.
  return Install(rules, default_errno, StartSpawner);
}

int64_t ConfineTo(Arguments& arguments) {
  const Path root(arguments, 0, Path::Encoding::kUtf8);
  const std::span<uint32_t> rules = arguments.Uint32s(1);
  const uint32_t default_errno = arguments.Uint32(2);
  if (!arguments.ok()) return 0;
  if (root.error() != 0) return -root.error();
  return Install(rules, default_errno, [&] { return chroot(root.c_str()) == 0 && chdir("/") == 0 ? 0 : -errno; });
}

constexpr Export kExports[] = {{"confine", Numeric<Confine>}, {"confineTo", Numeric<ConfineTo>}};

}  // namespace

std::span<const Export> ConfineExports() { return kExports; }

}  // namespace isopod
