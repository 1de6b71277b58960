// Detached mounts, made by the privileged front end and handed to a sandbox process as descriptors.

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptor.h"
#include "exports.h"
#include "result.h"

// <sys/mount.h> and <linux/mount.h> of this age define the same enumerators, so umount2 is declared by hand.
extern "C" int umount2(const char* target, int flags) noexcept;

namespace isopod {

namespace {

static_assert(sizeof(struct mount_attr) == MOUNT_ATTR_SIZE_VER0);

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

int64_t CloneTree(Arguments& arguments) {
  const Path path(arguments, 0, Path::Encoding::kUtf8);
  const bool is_recursive = arguments.Boolean(1);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (is_recursive ? AT_RECURSIVE : 0);
  return NewDescriptor(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path.c_str(), flags)));
}

int64_t SetMountAttributes(Arguments& arguments) {
  const int tree_fd = arguments.Int32(0);
  struct mount_attr attributes = {};
  attributes.attr_set = arguments.Size(1);
  attributes.attr_clr = arguments.Size(2);
  const int user_namespace_fd = arguments.Int32(3);
  const bool is_recursive = arguments.Boolean(4);
  if (!arguments.ok()) return 0;
  if (user_namespace_fd >= 0) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(user_namespace_fd);
  }
  const unsigned flags = AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0);
  return ResultOf(syscall(SYS_mount_setattr, tree_fd, "", flags, &attributes, sizeof(attributes)));
}

int64_t Umount(Arguments& arguments) {
  const Path path(arguments, 0, Path::Encoding::kUtf8);
  const int flags = arguments.Int32(1);
  if (!arguments.ok()) return 0;
  return path.error() != 0 ? -path.error() : ResultOf(umount2(path.c_str(), flags));
}

constexpr Export kExports[] = {
    {"cloneTree", Numeric<CloneTree>},
    {"setMountAttributes", Numeric<SetMountAttributes>},
    {"umount", Numeric<Umount>},
};

}  // namespace

std::span<const Export> MountExports() { return kExports; }

}  // namespace isopod
