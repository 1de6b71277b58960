// Detached mounts, made by the privileged front end and handed to a sandbox process as descriptors.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "descriptor.h"
#include "exports.h"
#include "result.h"

// <sys/mount.h> and <linux/mount.h> of this age define the same enumerators, so these two are declared by hand.
extern "C" int umount2(const char* target, int flags) noexcept;
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags,
                     const void* data) noexcept;

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

// The calling thread's file-system ids for a while, with every permitted capability effective all the same: an overlay
// keeps the credentials of its mounter and makes files with them.
class FileSystemIds {
 public:
  explicit FileSystemIds(int id) : is_changed_(id > 0) {
    if (!is_changed_) return;
    uid_ = syscall(SYS_setfsuid, id);
    gid_ = syscall(SYS_setfsgid, id);
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) == -1) return;
    for (auto& each : data) each.effective = each.permitted;
    syscall(SYS_capset, &header, data);
  }
  ~FileSystemIds() {
    if (!is_changed_) return;
    syscall(SYS_setfsgid, gid_);
    syscall(SYS_setfsuid, uid_);
  }
  FileSystemIds(const FileSystemIds&) = delete;
  FileSystemIds& operator=(const FileSystemIds&) = delete;

 private:
  bool is_changed_;
  long uid_ = 0;
  long gid_ = 0;
};

int64_t Mount(Arguments& arguments) {
  const Path source(arguments, 0, Path::Encoding::kUtf8);
  const Path target(arguments, 1, Path::Encoding::kUtf8);
  const Path type(arguments, 2, Path::Encoding::kUtf8);
  const auto flags = static_cast<unsigned long>(arguments.Size(3));
  const Path data(arguments, 4, Path::Encoding::kUtf8);
  const int file_system_id = arguments.Int32(5);
  if (!arguments.ok()) return 0;
  for (const Path* path : {&source, &target, &type, &data}) {
    if (path->error() != 0) return -path->error();
  }
  const FileSystemIds ids(file_system_id);
  return ResultOf(mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()));
}

int64_t MoveMount(Arguments& arguments) {
  const int tree_fd = arguments.Int32(0);
  const Path target(arguments, 1, Path::Encoding::kUtf8);
  if (!arguments.ok()) return 0;
  if (target.error() != 0) return -target.error();
  return ResultOf(syscall(SYS_move_mount, tree_fd, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH));
}

int64_t Umount(Arguments& arguments) {
  const Path path(arguments, 0, Path::Encoding::kUtf8);
  const int flags = arguments.Int32(1);
  if (!arguments.ok()) return 0;
  return path.error() != 0 ? -path.error() : ResultOf(umount2(path.c_str(), flags));
}

// Runs `action` in another mount namespace, in a child of this process: a thread of it can't go there. 0 or -errno.
template <typename Action>
int64_t InMountNamespace(int namespace_fd, Action action) {
  const pid_t pid = fork();
  if (pid == -1) return -errno;
  if (pid == 0) _exit(setns(namespace_fd, CLONE_NEWNS) == 0 ? action() : errno);
  int status;
  while (waitpid(pid, &status, 0) == -1) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

int64_t AttachTree(Arguments& arguments) {
  const int namespace_fd = arguments.Int32(0);
  const int tree_fd = arguments.Int32(1);
  const Path path(arguments, 2, Path::Encoding::kUtf8);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return InMountNamespace(namespace_fd, [&] {
    struct stat status;
    if (fstat(tree_fd, &status) != 0) return errno;
    const int made = S_ISDIR(status.st_mode) ? mkdir(path.c_str(), 0755) : mknod(path.c_str(), S_IFREG | 0444, 0);
    if (made != 0) return errno;
    const int64_t moved = syscall(SYS_move_mount, tree_fd, "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH);
    return moved == 0 ? 0 : errno;
  });
}

int64_t DetachTree(Arguments& arguments) {
  const int namespace_fd = arguments.Int32(0);
  const Path path(arguments, 1, Path::Encoding::kUtf8);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return InMountNamespace(namespace_fd, [&] {
    constexpr int kDetach = 2;  // MNT_DETACH
    if (umount2(path.c_str(), kDetach) != 0) return errno;
    return rmdir(path.c_str()) == 0 || unlink(path.c_str()) == 0 ? 0 : errno;
  });
}

int64_t SealTree(Arguments& arguments) {
  const int namespace_fd = arguments.Int32(0);
  const Path path(arguments, 1, Path::Encoding::kUtf8);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return InMountNamespace(namespace_fd, [&] {
    struct mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    const int64_t result =
        syscall(SYS_mount_setattr, AT_FDCWD, path.c_str(), AT_RECURSIVE, &attributes, sizeof(attributes));
    return result == 0 ? 0 : errno;
  });
}

int WriteMap(pid_t pid, const char* name, const char* text) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  const Descriptor file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return -errno;
  return write(file.get(), text, std::strlen(text)) == -1 ? -errno : 0;
}

// The namespace is made with a child that does nothing, and stays for as long as the descriptor does.
int64_t MakeUserNamespace(Arguments& arguments) {
  const Path uid_map(arguments, 0, Path::Encoding::kUtf8);
  const Path gid_map(arguments, 1, Path::Encoding::kUtf8);
  if (!arguments.ok()) return 0;
  for (const Path* map : {&uid_map, &gid_map}) {
    if (map->error() != 0) return -map->error();
  }
  const pid_t parent = getpid();
  const auto pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid == -1) return -errno;
  // SAFETY: a forked copy of a threaded process: it makes system calls only. It ends with the one that made it, which
  // may be killed before it comes to that.
  if (pid == 0) {
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (syscall(SYS_getppid) == parent) syscall(SYS_pause);
    syscall(SYS_exit_group, 0);
  }
  int64_t result = WriteMap(pid, "uid_map", uid_map.c_str());
  if (result == 0) result = WriteMap(pid, "gid_map", gid_map.c_str());
  if (result == 0) {
    char path[64];
    std::snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
    result = NewDescriptor(open(path, O_RDONLY | O_CLOEXEC));
  }
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) == -1 && errno == EINTR) {
  }
  return result;
}

constexpr Export kExports[] = {
    {"makeUserNamespace", Numeric<MakeUserNamespace>},
    {"sealTree", Numeric<SealTree>},
    {"attachTree", Numeric<AttachTree>},
    {"detachTree", Numeric<DetachTree>},
    {"cloneTree", Numeric<CloneTree>},
    {"setMountAttributes", Numeric<SetMountAttributes>},
    {"mount", Numeric<Mount>},
    {"moveMount", Numeric<MoveMount>},
    {"umount", Numeric<Umount>},
};

}  // namespace

std::span<const Export> MountExports() { return kExports; }

}  // namespace isopod
