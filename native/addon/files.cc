// Host files. Each function is one call of the host's kernel; which path may be opened is the caller's decision.

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "arguments.h"
#include "descriptor.h"
#include "exports.h"
#include "host-kernel.h"
#include "record.h"
#include "result.h"

namespace isopod {

namespace {

// The name by which the host reaches what a descriptor names, for calls that take no O_PATH descriptor.
struct DescriptorPath {
  char text[32];

  explicit DescriptorPath(int fd) { std::snprintf(text, sizeof(text), "/proc/self/fd/%d", fd); }
};

int64_t OpenAt2(Arguments& arguments) {
  const int dir_fd = arguments.Int32(0);
  const Path path(arguments, 1);
  struct open_how how = {};
  how.flags = arguments.Size(2) | O_CLOEXEC;
  how.mode = arguments.Size(3);
  how.resolve = arguments.Size(4) | RESOLVE_NO_MAGICLINKS;
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return NewDescriptor(static_cast<int>(syscall(SYS_openat2, dir_fd, path.c_str(), &how, sizeof(how))));
}

int64_t Reopen(Arguments& arguments) {
  const DescriptorPath path(arguments.Int32(0));
  const int flags = arguments.Int32(1);
  if (!arguments.ok()) return 0;
  return NewDescriptor(open(path.text, flags | O_CLOEXEC | O_NOCTTY));
}

int64_t Close(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? ResultOf(close(fd)) : 0;
}

int64_t Dup(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? ResultOf(fcntl(fd, F_DUPFD_CLOEXEC, 3)) : 0;
}

// Overlays with xino put the layer into an inode number's top bits. What a double can't hold is moved to bits 40 and
// up, so that two files of one file system don't become one.
uint64_t FoldInodeNumber(uint64_t number) {
  constexpr int kExactBits = 52;
  return number >> kExactBits == 0 ? number
                                   : (number & ((uint64_t{1} << kExactBits) - 1)) ^ (number >> kExactBits << 40);
}

int64_t Stat(int dir_fd, const char* path, int flags, std::span<double> out) {
  struct statx stat;
  if (statx(dir_fd, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &stat) == -1) return -errno;
  size_t field = 0;
  const auto put = [&](auto value) { out[field++] = static_cast<double>(value); };
  const auto put_time = [&](const struct statx_timestamp& time) {
    put(time.tv_sec);
    put(time.tv_nsec);
  };
  put(makedev(stat.stx_dev_major, stat.stx_dev_minor));
  put(FoldInodeNumber(stat.stx_ino));
  put(stat.stx_mode);
  put(stat.stx_nlink);
  put(stat.stx_uid);
  put(stat.stx_gid);
  put(makedev(stat.stx_rdev_major, stat.stx_rdev_minor));
  put(stat.stx_size);
  put(stat.stx_blksize);
  put(stat.stx_blocks);
  put_time(stat.stx_atime);
  put_time(stat.stx_mtime);
  put_time(stat.stx_ctime);
  put_time(stat.stx_btime);
  return 0;
}

int64_t FStat(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<double> out = arguments.Float64s(1, kStatFields);
  return arguments.ok() ? Stat(fd, "", AT_EMPTY_PATH, out) : 0;
}

int64_t FStatAt(Arguments& arguments) {
  const int dir_fd = arguments.Int32(0);
  const Path path(arguments, 1);
  const std::span<double> out = arguments.Float64s(2, kStatFields);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return Stat(dir_fd, path.c_str(), AT_SYMLINK_NOFOLLOW, out);
}

int64_t FStatFs(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<double> out = arguments.Float64s(1, 10);
  if (!arguments.ok()) return 0;
  struct statfs stat;
  if (fstatfs(fd, &stat) == -1) return -errno;
  // 0x20 only says that the flags are there.
  constexpr long kFlagsAreValid = 0x20;
  const double values[] = {
      static_cast<double>(stat.f_type),   static_cast<double>(stat.f_bsize),
      static_cast<double>(stat.f_blocks), static_cast<double>(stat.f_bfree),
      static_cast<double>(stat.f_bavail), static_cast<double>(stat.f_files),
      static_cast<double>(stat.f_ffree),  static_cast<double>(stat.f_namelen),
      static_cast<double>(stat.f_frsize), static_cast<double>(stat.f_flags & ~kFlagsAreValid),
  };
  std::copy(std::begin(values), std::end(values), out.begin());
  return 0;
}

int64_t PRead(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> buffer = arguments.Slice(1, 2, 3);
  const int64_t position = arguments.Int64(4);
  if (!arguments.ok()) return 0;
  return ResultOf(position < 0 ? read(fd, buffer.data(), buffer.size())
                               : pread(fd, buffer.data(), buffer.size(), position));
}

int64_t PWrite(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> buffer = arguments.Slice(1, 2, 3);
  const int64_t position = arguments.Int64(4);
  if (!arguments.ok()) return 0;
  return ResultOf(position < 0 ? write(fd, buffer.data(), buffer.size())
                               : pwrite(fd, buffer.data(), buffer.size(), position));
}

int64_t LSeek(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int64_t offset = arguments.Int64(1);
  const int whence = arguments.Int32(2);
  return arguments.ok() ? ResultOf(lseek(fd, offset, whence)) : 0;
}

int64_t SeekDirectory(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const uint64_t low = arguments.Uint32(1);
  const uint64_t high = arguments.Uint32(2);
  if (!arguments.ok()) return 0;
  return lseek(fd, static_cast<off_t>(high << 32 | low), SEEK_SET) == -1 ? -errno : 0;
}

int64_t FTruncate(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int64_t length = arguments.Int64(1);
  return arguments.ok() ? ResultOf(ftruncate(fd, length)) : 0;
}

int64_t FAllocate(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int mode = arguments.Int32(1);
  const int64_t offset = arguments.Int64(2);
  const int64_t length = arguments.Int64(3);
  return arguments.ok() ? ResultOf(fallocate(fd, mode, offset, length)) : 0;
}

int64_t FSync(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const bool is_data_only = arguments.Boolean(1);
  if (!arguments.ok()) return 0;
  return ResultOf(is_data_only ? fdatasync(fd) : fsync(fd));
}

int64_t CopyFileRange(Arguments& arguments) {
  const int in_fd = arguments.Int32(0);
  off64_t in_offset = arguments.Int64(1);
  const int out_fd = arguments.Int32(2);
  off64_t out_offset = arguments.Int64(3);
  const uint64_t length = arguments.Size(4);
  if (!arguments.ok()) return 0;
  return ResultOf(copy_file_range(in_fd, &in_offset, out_fd, &out_offset, length, 0));
}

int64_t GetDents64(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> buffer = arguments.Bytes(1);
  return arguments.ok() ? ResultOf(syscall(SYS_getdents64, fd, buffer.data(), buffer.size())) : 0;
}

int64_t ReadLinkAt(Arguments& arguments) {
  const int dir_fd = arguments.Int32(0);
  const Path path(arguments, 1);
  const std::span<uint8_t> buffer = arguments.Bytes(2);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return ResultOf(readlinkat(dir_fd, path.c_str(), reinterpret_cast<char*>(buffer.data()), buffer.size()));
}

int64_t MkDirAt(Arguments& arguments) {
  const int dir_fd = arguments.Int32(0);
  const Path path(arguments, 1);
  const mode_t mode = arguments.Uint32(2);
  if (!arguments.ok()) return 0;
  return path.error() != 0 ? -path.error() : ResultOf(mkdirat(dir_fd, path.c_str(), mode));
}

int64_t MkNodAt(Arguments& arguments) {
  const int dir_fd = arguments.Int32(0);
  const Path path(arguments, 1);
  const mode_t mode = arguments.Uint32(2);
  const uint64_t device = arguments.Size(3);
  if (!arguments.ok()) return 0;
  return path.error() != 0 ? -path.error() : ResultOf(mknodat(dir_fd, path.c_str(), mode, device));
}

int64_t SymlinkAt(Arguments& arguments) {
  const Path target(arguments, 0);
  const int dir_fd = arguments.Int32(1);
  const Path path(arguments, 2);
  if (!arguments.ok()) return 0;
  if (const int error = target.error() != 0 ? target.error() : path.error(); error != 0) return -error;
  return ResultOf(symlinkat(target.c_str(), dir_fd, path.c_str()));
}

int64_t LinkFd(Arguments& arguments) {
  const DescriptorPath source(arguments.Int32(0));
  const int dir_fd = arguments.Int32(1);
  const Path path(arguments, 2);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return ResultOf(linkat(AT_FDCWD, source.text, dir_fd, path.c_str(), AT_SYMLINK_FOLLOW));
}

int64_t UnlinkAt(Arguments& arguments) {
  const int dir_fd = arguments.Int32(0);
  const Path path(arguments, 1);
  const bool is_directory = arguments.Boolean(2);
  if (!arguments.ok()) return 0;
  if (path.error() != 0) return -path.error();
  return ResultOf(unlinkat(dir_fd, path.c_str(), is_directory ? AT_REMOVEDIR : 0));
}

int64_t RenameAt2(Arguments& arguments) {
  const int old_dir_fd = arguments.Int32(0);
  const Path old_path(arguments, 1);
  const int new_dir_fd = arguments.Int32(2);
  const Path new_path(arguments, 3);
  const uint32_t flags = arguments.Uint32(4);
  if (!arguments.ok()) return 0;
  if (const int error = old_path.error() != 0 ? old_path.error() : new_path.error(); error != 0) return -error;
  return ResultOf(syscall(SYS_renameat2, old_dir_fd, old_path.c_str(), new_dir_fd, new_path.c_str(), flags));
}

int64_t ChModFd(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const mode_t mode = arguments.Uint32(1);
  if (!arguments.ok()) return 0;
  const int64_t result = ResultOf(syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH));
  return result == -ENOSYS ? ResultOf(chmod(DescriptorPath(fd).text, mode)) : result;
}

int64_t ChOwnFd(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const uid_t uid = arguments.Uint32(1);
  const gid_t gid = arguments.Uint32(2);
  return arguments.ok() ? ResultOf(fchownat(fd, "", uid, gid, AT_EMPTY_PATH)) : 0;
}

int64_t UTimensFd(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const timespec times[2] = {{arguments.Int64(1), arguments.Int64(2)}, {arguments.Int64(3), arguments.Int64(4)}};
  if (!arguments.ok()) return 0;
  // The C library refuses an empty path with AT_EMPTY_PATH; kernels before 5.8 do too.
  const int64_t result = ResultOf(syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH));
  return result == -EINVAL ? ResultOf(utimensat(AT_FDCWD, DescriptorPath(fd).text, times, 0)) : result;
}

int64_t GetXAttrFd(Arguments& arguments) {
  const DescriptorPath path(arguments.Int32(0));
  const Path name(arguments, 1);
  const std::span<uint8_t> buffer = arguments.Bytes(2);
  if (!arguments.ok()) return 0;
  return name.error() != 0 ? -name.error() : ResultOf(getxattr(path.text, name.c_str(), buffer.data(), buffer.size()));
}

int64_t SetXAttrFd(Arguments& arguments) {
  const DescriptorPath path(arguments.Int32(0));
  const Path name(arguments, 1);
  const std::span<uint8_t> value = arguments.Bytes(2);
  const int flags = arguments.Int32(3);
  if (!arguments.ok()) return 0;
  if (name.error() != 0) return -name.error();
  return ResultOf(setxattr(path.text, name.c_str(), value.data(), value.size(), flags));
}

int64_t ListXAttrFd(Arguments& arguments) {
  const DescriptorPath path(arguments.Int32(0));
  const std::span<uint8_t> buffer = arguments.Bytes(1);
  if (!arguments.ok()) return 0;
  return ResultOf(listxattr(path.text, reinterpret_cast<char*>(buffer.data()), buffer.size()));
}

int64_t RemoveXAttrFd(Arguments& arguments) {
  const DescriptorPath path(arguments.Int32(0));
  const Path name(arguments, 1);
  if (!arguments.ok()) return 0;
  return name.error() != 0 ? -name.error() : ResultOf(removexattr(path.text, name.c_str()));
}

int64_t MemfdCreate(Arguments& arguments) {
  const Path name(arguments, 0);
  const uint32_t flags = arguments.Uint32(1);
  if (!arguments.ok()) return 0;
  return name.error() != 0 ? -name.error() : NewDescriptor(memfd_create(name.c_str(), flags | MFD_CLOEXEC));
}

int64_t AddSeals(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const uint32_t seals = arguments.Uint32(1);
  return arguments.ok() ? ResultOf(fcntl(fd, F_ADD_SEALS, seals)) : 0;
}

int64_t GetSeals(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? ResultOf(fcntl(fd, F_GET_SEALS)) : 0;
}

int64_t EventFd(Arguments&) {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd == -1 ? -errno : NewDescriptor(fd);
}

int64_t Pipe(Arguments& arguments) {
  const std::span<int32_t> fds = arguments.Int32s(0);
  if (!arguments.ok()) return 0;
  if (fds.size() < 2) {
    arguments.ThrowRangeError("expected room for two descriptors");
    return 0;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) return -errno;
  const int64_t read_end = NewDescriptor(ends[0]);
  const int64_t write_end = NewDescriptor(ends[1]);
  if (read_end < 0 || write_end < 0) {
    if (read_end >= 0) close(static_cast<int>(read_end));
    if (write_end >= 0) close(static_cast<int>(write_end));
    return std::min(read_end, write_end);
  }
  fds[0] = static_cast<int32_t>(read_end);
  fds[1] = static_cast<int32_t>(write_end);
  return 0;
}

int64_t OpenPty(Arguments& arguments) {
  const std::span<int32_t> fds = arguments.Int32s(0);
  if (!arguments.ok()) return 0;
  if (fds.size() < 2) {
    arguments.ThrowRangeError("expected room for two descriptors");
    return 0;
  }
  Descriptor master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  int is_locked = 0;
  if (!master.is_open() || ioctl(master.get(), TIOCSPTLCK, &is_locked) == -1) return -errno;
  Descriptor slave(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios settings;
  if (!slave.is_open() || tcgetattr(slave.get(), &settings) == -1) return -errno;
  cfmakeraw(&settings);
  if (tcsetattr(slave.get(), TCSANOW, &settings) == -1) return -errno;
  const int64_t ends[] = {NewDescriptor(master.Release()), NewDescriptor(slave.Release())};
  for (int i = 0; i < 2; i++) {
    if (ends[i] >= 0) continue;
    if (ends[1 - i] >= 0) close(static_cast<int>(ends[1 - i]));
    return ends[i];
  }
  fds[0] = static_cast<int32_t>(ends[0]);
  fds[1] = static_cast<int32_t>(ends[1]);
  return 0;
}

int64_t SetNonBlocking(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const bool is_non_blocking = arguments.Boolean(1);
  if (!arguments.ok()) return 0;
  const int flags = fcntl(fd, F_GETFL);
  if (flags == -1) return -errno;
  return ResultOf(fcntl(fd, F_SETFL, is_non_blocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

int64_t SetCloseOnExec(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const bool is_on = arguments.Boolean(1);
  return arguments.ok() ? ResultOf(fcntl(fd, F_SETFD, is_on ? FD_CLOEXEC : 0)) : 0;
}

int64_t LockExclusive(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  int result;
  do result = flock(fd, LOCK_EX);
  while (result == -1 && errno == EINTR);
  return ResultOf(result);
}

int64_t TryLockExclusive(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? ResultOf(flock(fd, LOCK_EX | LOCK_NB)) : 0;
}

// How many bytes a request moves, or 0 for one that the sandbox never makes.
size_t IoctlSize(uint32_t request) {
  constexpr size_t kKernelTermiosSize = 36;
  switch (request) {
    case TCGETS:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
      return kKernelTermiosSize;
    case TIOCGWINSZ:
    case TIOCSWINSZ:
      return sizeof(struct winsize);
    case FIONREAD:
      return sizeof(int);
    default:
      return 0;
  }
}

int64_t IoCtl(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const uint32_t request = arguments.Uint32(1);
  const std::span<uint8_t> buffer = arguments.IsNull(2) ? std::span<uint8_t>() : arguments.Bytes(2);
  if (!arguments.ok()) return 0;
  const size_t size = IoctlSize(request);
  if (size == 0) return -EPERM;
  if (buffer.size() < size) {
    arguments.ThrowRangeError("the buffer is too short for the request");
    return 0;
  }
  return ResultOf(ioctl(fd, request, buffer.data()));
}

int64_t PollNow(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int events = arguments.Int32(1);
  if (!arguments.ok()) return 0;
  pollfd poll_fd = {fd, static_cast<short>(events), 0};
  return poll(&poll_fd, 1, 0) == -1 ? -errno : poll_fd.revents;
}

int64_t FChDirRoot(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? ResultOf(fchdir(fd)) : 0;
}

constexpr Export kExports[] = {
    {"openat2", Numeric<OpenAt2>},
    {"reopen", Numeric<Reopen>},
    {"close", Numeric<Close>},
    {"dup", Numeric<Dup>},
    {"fstat", Numeric<FStat>},
    {"fstatat", Numeric<FStatAt>},
    {"fstatfs", Numeric<FStatFs>},
    {"pread", Numeric<PRead>},
    {"pwrite", Numeric<PWrite>},
    {"lseek", Numeric<LSeek>},
    {"seekDirectory", Numeric<SeekDirectory>},
    {"ftruncate", Numeric<FTruncate>},
    {"fallocate", Numeric<FAllocate>},
    {"fsync", Numeric<FSync>},
    {"copyFileRange", Numeric<CopyFileRange>},
    {"getdents64", Numeric<GetDents64>},
    {"readlinkat", Numeric<ReadLinkAt>},
    {"mkdirat", Numeric<MkDirAt>},
    {"mknodat", Numeric<MkNodAt>},
    {"symlinkat", Numeric<SymlinkAt>},
    {"linkFd", Numeric<LinkFd>},
    {"unlinkat", Numeric<UnlinkAt>},
    {"renameat2", Numeric<RenameAt2>},
    {"chmodFd", Numeric<ChModFd>},
    {"chownFd", Numeric<ChOwnFd>},
    {"utimensFd", Numeric<UTimensFd>},
    {"getxattrFd", Numeric<GetXAttrFd>},
    {"setxattrFd", Numeric<SetXAttrFd>},
    {"listxattrFd", Numeric<ListXAttrFd>},
    {"removexattrFd", Numeric<RemoveXAttrFd>},
    {"memfdCreate", Numeric<MemfdCreate>},
    {"addSeals", Numeric<AddSeals>},
    {"getSeals", Numeric<GetSeals>},
    {"eventfd", Numeric<EventFd>},
    {"pipe", Numeric<Pipe>},
    {"openPty", Numeric<OpenPty>},
    {"setNonBlocking", Numeric<SetNonBlocking>},
    {"setCloseOnExec", Numeric<SetCloseOnExec>},
    {"lockExclusive", Numeric<LockExclusive>},
    {"tryLockExclusive", Numeric<TryLockExclusive>},
    {"ioctl", Numeric<IoCtl>},
    {"pollNow", Numeric<PollNow>},
    {"fchdirRoot", Numeric<FChDirRoot>},
};

}  // namespace

std::span<const Export> FileExports() { return kExports; }

}  // namespace isopod
