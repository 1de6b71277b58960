// Unix stream sockets between the front end and the sandbox process, with descriptors as passengers.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "descriptor.h"
#include "exports.h"
#include "result.h"

namespace isopod {

namespace {

// SCM_MAX_FD of the host: it refuses to send more in one message.
constexpr size_t kMaximumDescriptors = 253;

// A path that is too long for an address is named by way of its folder's descriptor, which lives as long as this.
struct Address {
  sockaddr_un value = {};
  int error = 0;
  Descriptor folder;

  explicit Address(const Path& path) {
    value.sun_family = AF_UNIX;
    const size_t length = std::strlen(path.c_str());
    if (path.error() != 0) {
      error = path.error();
    } else if (length == 0) {
      error = EINVAL;
    } else if (length >= sizeof(value.sun_path)) {
      Shorten(path.c_str());
    } else {
      std::memcpy(value.sun_path, path.c_str(), length);
    }
  }

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }

 private:
  void Shorten(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
      error = ENAMETOOLONG;
      return;
    }
    folder = Descriptor(open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const std::string name = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
    if (!folder.is_open())
      error = errno;
    else if (name.size() >= sizeof(value.sun_path))
      error = ENAMETOOLONG;
    else
      std::memcpy(value.sun_path, name.c_str(), name.size());
  }
};

int64_t ListenUnix(Arguments& arguments) {
  const Address address(Path(arguments, 0, Path::Encoding::kUtf8));
  if (!arguments.ok()) return 0;
  if (address.error != 0) return -address.error;
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) return -errno;
  // The mode of the socket's inode, umask or not: the inode that bind makes takes it, so the name never has a wider
  // one.
  if (fchmod(fd.get(), 0600) == -1 || bind(fd.get(), address.get(), sizeof(address.value)) == -1 ||
      chmod(address.value.sun_path, 0600) == -1 || listen(fd.get(), SOMAXCONN) == -1) {
    return -errno;
  }
  return NewDescriptor(fd.Release());
}

int64_t ConnectUnix(Arguments& arguments) {
  const Address address(Path(arguments, 0, Path::Encoding::kUtf8));
  if (!arguments.ok()) return 0;
  if (address.error != 0) return -address.error;
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open() || connect(fd.get(), address.get(), sizeof(address.value)) == -1 ||
      fcntl(fd.get(), F_SETFL, O_RDWR | O_NONBLOCK) == -1) {
    return -errno;
  }
  return NewDescriptor(fd.Release());
}

int64_t AcceptUnix(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  if (!arguments.ok()) return 0;
  return NewDescriptor(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

int64_t SocketPair(Arguments& arguments) {
  const std::span<int32_t> fds = arguments.Int32s(0);
  if (!arguments.ok()) return 0;
  if (fds.size() < 2) {
    arguments.ThrowRangeError("expected room for two descriptors");
    return 0;
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == -1) return -errno;
  Descriptor first(static_cast<int>(NewDescriptor(ends[0])));
  Descriptor second(static_cast<int>(NewDescriptor(ends[1])));
  if (!first.is_open() || !second.is_open()) return -EMFILE;
  fds[0] = first.Release();
  fds[1] = second.Release();
  return 0;
}

union ControlBuffer {
  cmsghdr alignment;
  char bytes[CMSG_SPACE(kMaximumDescriptors * sizeof(int))];
};

int64_t SendMessage(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> buffer = arguments.Slice(1, 2, 3);
  const std::span<int32_t> fds = arguments.Int32s(4);
  if (!arguments.ok()) return 0;
  if (fds.size() > kMaximumDescriptors) return -EINVAL;
  iovec part = {buffer.data(), buffer.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control;
  if (!fds.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  return ResultOf(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

// Gives the descriptors of one control message to the caller, as far as there is room, and closes the rest.
void TakeDescriptors(const cmsghdr* header, std::span<int32_t> fds, size_t* count) {
  const size_t received = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < received; i++) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
    const int64_t owned = *count < fds.size() ? NewDescriptor(fd) : (close(fd), -EMFILE);
    if (owned >= 0) fds[(*count)++] = static_cast<int32_t>(owned);
  }
}

int64_t ReceiveMessage(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> buffer = arguments.Slice(1, 2, 3);
  const std::span<int32_t> fds = arguments.Int32s(4);
  const std::span<int32_t> fd_count = arguments.Int32s(5);
  if (!arguments.ok()) return 0;
  if (fd_count.empty()) {
    arguments.ThrowRangeError("expected room for the number of descriptors");
    return 0;
  }
  fd_count[0] = 0;
  iovec part = {buffer.data(), buffer.size()};
  ControlBuffer control;
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  const ssize_t received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received == -1) return -errno;
  size_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) TakeDescriptors(header, fds, &count);
  }
  fd_count[0] = static_cast<int32_t>(count);
  return received;
}

constexpr Export kExports[] = {
    {"listenUnix", Numeric<ListenUnix>},   {"connectUnix", Numeric<ConnectUnix>},
    {"acceptUnix", Numeric<AcceptUnix>},   {"socketPair", Numeric<SocketPair>},
    {"sendMessage", Numeric<SendMessage>}, {"receiveMessage", Numeric<ReceiveMessage>},
};

}  // namespace

std::span<const Export> ChannelExports() { return kExports; }

}  // namespace isopod
