// Sockets of the network namespace that this process runs in. Each function is one call of the host's kernel; which
// families, options, requests and control messages a guest may use is the caller's decision. All sockets are
// non-blocking, and none signals.

#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "descriptor.h"
#include "exports.h"
#include "result.h"

namespace isopod {

namespace {

const sockaddr* AddressOf(std::span<uint8_t> bytes) { return reinterpret_cast<const sockaddr*>(bytes.data()); }

socklen_t LengthOf(std::span<uint8_t> bytes) { return static_cast<socklen_t>(bytes.size()); }

int64_t SocketOpen(Arguments& arguments) {
  const int domain = arguments.Int32(0);
  const int type = arguments.Int32(1);
  const int protocol = arguments.Int32(2);
  if (!arguments.ok()) return 0;
  return NewDescriptor(socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

int64_t SocketBind(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> address = arguments.Bytes(1);
  return arguments.ok() ? ResultOf(bind(fd, AddressOf(address), LengthOf(address))) : 0;
}

int64_t SocketConnect(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> address = arguments.Bytes(1);
  return arguments.ok() ? ResultOf(connect(fd, AddressOf(address), LengthOf(address))) : 0;
}

int64_t SocketListen(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int backlog = arguments.Int32(1);
  return arguments.ok() ? ResultOf(listen(fd, backlog)) : 0;
}

int64_t SocketAccept(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  return arguments.ok() ? NewDescriptor(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) : 0;
}

int64_t SocketName(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const bool is_peer = arguments.Boolean(1);
  const std::span<uint8_t> out = arguments.Bytes(2);
  if (!arguments.ok()) return 0;
  socklen_t length = LengthOf(out);
  sockaddr* const address = reinterpret_cast<sockaddr*>(out.data());
  if ((is_peer ? getpeername(fd, address, &length) : getsockname(fd, address, &length)) == -1) return -errno;
  return std::min(length, LengthOf(out));
}

int64_t SocketShutdown(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int how = arguments.Int32(1);
  return arguments.ok() ? ResultOf(shutdown(fd, how)) : 0;
}

int64_t SocketGetOption(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int level = arguments.Int32(1);
  const int option = arguments.Int32(2);
  const std::span<uint8_t> out = arguments.Bytes(3);
  if (!arguments.ok()) return 0;
  socklen_t length = LengthOf(out);
  if (getsockopt(fd, level, option, out.data(), &length) == -1) return -errno;
  return std::min(length, LengthOf(out));
}

int64_t SocketSetOption(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const int level = arguments.Int32(1);
  const int option = arguments.Int32(2);
  const std::span<uint8_t> value = arguments.Bytes(3);
  if (!arguments.ok()) return 0;
  return ResultOf(setsockopt(fd, level, option, value.data(), LengthOf(value)));
}

int64_t SocketSend(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> bytes = arguments.Slice(1, 2, 3);
  const int flags = arguments.Int32(4);
  const std::span<uint8_t> address = arguments.IsNull(5) ? std::span<uint8_t>() : arguments.Bytes(5);
  const std::span<uint8_t> control = arguments.IsNull(6) ? std::span<uint8_t>() : arguments.Bytes(6);
  if (!arguments.ok()) return 0;
  iovec part = {bytes.data(), bytes.size()};
  msghdr message = {};
  message.msg_name = address.empty() ? nullptr : address.data();
  message.msg_namelen = LengthOf(address);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.empty() ? nullptr : control.data();
  message.msg_controllen = control.size();
  return ResultOf(sendmsg(fd, &message, flags | MSG_NOSIGNAL | MSG_DONTWAIT));
}

int64_t SocketReceive(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> bytes = arguments.Slice(1, 2, 3);
  const int flags = arguments.Int32(4);
  const std::span<uint8_t> address = arguments.Bytes(5);
  const std::span<uint8_t> control = arguments.Bytes(6);
  const std::span<int32_t> out = arguments.Int32s(7);
  if (arguments.ok() && out.size() < 3) arguments.ThrowRangeError("the results need three words");
  if (!arguments.ok()) return 0;
  iovec part = {bytes.data(), bytes.size()};
  msghdr message = {};
  message.msg_name = address.empty() ? nullptr : address.data();
  message.msg_namelen = LengthOf(address);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.empty() ? nullptr : control.data();
  message.msg_controllen = control.size();
  const ssize_t received = recvmsg(fd, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received == -1) return -errno;
  out[0] = static_cast<int32_t>(std::min(message.msg_namelen, LengthOf(address)));
  out[1] = static_cast<int32_t>(std::min(message.msg_controllen, control.size()));
  out[2] = message.msg_flags & ~MSG_CMSG_CLOEXEC;
  return received;
}

// Requests that read a `struct ifreq` of one interface, or one int, and hold no pointer.
bool IsInterfaceRequest(uint32_t request) {
  switch (request) {
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFMETRIC:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFTXQLEN:
      return true;
    default:
      return false;
  }
}

int64_t SocketIoCtl(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const uint32_t request = arguments.Uint32(1);
  const std::span<uint8_t> buffer = arguments.Bytes(2);
  if (!arguments.ok()) return 0;
  const bool is_count = request == SIOCINQ || request == SIOCOUTQ || request == SIOCATMARK || request == SIOCOUTQNSD;
  if (!is_count && !IsInterfaceRequest(request)) return -EPERM;
  if (buffer.size() < (is_count ? sizeof(int) : sizeof(ifreq))) {
    arguments.ThrowRangeError("the buffer is too short for the request");
    return 0;
  }
  return ResultOf(ioctl(fd, request, buffer.data()));
}

int64_t SocketInterfaces(Arguments& arguments) {
  const int fd = arguments.Int32(0);
  const std::span<uint8_t> out = arguments.Bytes(1);
  if (!arguments.ok()) return 0;
  ifconf interfaces = {};
  interfaces.ifc_len = static_cast<int>(out.size());
  interfaces.ifc_buf = reinterpret_cast<char*>(out.data());
  return ioctl(fd, SIOCGIFCONF, &interfaces) == -1 ? -errno : interfaces.ifc_len;
}

constexpr Export kExports[] = {
    {"socketOpen", Numeric<SocketOpen>},
    {"socketBind", Numeric<SocketBind>},
    {"socketConnect", Numeric<SocketConnect>},
    {"socketListen", Numeric<SocketListen>},
    {"socketAccept", Numeric<SocketAccept>},
    {"socketName", Numeric<SocketName>},
    {"socketShutdown", Numeric<SocketShutdown>},
    {"socketGetOption", Numeric<SocketGetOption>},
    {"socketSetOption", Numeric<SocketSetOption>},
    {"socketSend", Numeric<SocketSend>},
    {"socketReceive", Numeric<SocketReceive>},
    {"socketIoctl", Numeric<SocketIoCtl>},
    {"socketInterfaces", Numeric<SocketInterfaces>},
};

}  // namespace

std::span<const Export> SocketExports() { return kExports; }

}  // namespace isopod
