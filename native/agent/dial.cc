#include "dial.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace isopod::agent {

namespace {

constexpr uint32_t kMaximumPort = 65535;
constexpr size_t kChunkBytes = 64 << 10;
constexpr time_t kConnectLimitSeconds = 5;
// Where the descriptors are that it keeps, the only ones.
constexpr int kSocket = 0;
constexpr int kInput = 1;
constexpr int kOutput = 2;
constexpr int kReport = 3;
constexpr int kFirstOther = 4;

// A connected socket, or -errno.
int Connect(const sockaddr* address, socklen_t length) {
  const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  // Also how long connect(2) waits.
  const timeval limit = {kConnectLimitSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, address, length) == 0) {
    const timeval none = {};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    return fd;
  }
  const int error = errno;
  close(fd);
  return -error;
}

int ConnectTo(in_port_t port) {
  sockaddr_in first = {};
  first.sin_family = AF_INET;
  first.sin_port = htons(port);
  first.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = Connect(reinterpret_cast<const sockaddr*>(&first), sizeof first);
  if (fd >= 0) return fd;
  sockaddr_in6 second = {};
  second.sin6_family = AF_INET6;
  second.sin6_port = htons(port);
  second.sin6_addr = in6addr_loopback;
  const int other = Connect(reinterpret_cast<const sockaddr*>(&second), sizeof second);
  return other >= 0 ? other : fd;
}

// Copies until the end of one side; false when the other one is gone.
bool Carry(int from, int to) {
  static char buffer[kChunkBytes];
  for (;;) {
    const ssize_t length = read(from, buffer, sizeof buffer);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return true;
    for (ssize_t at = 0; at < length;) {
      const ssize_t written = write(to, buffer + at, static_cast<size_t>(length - at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      at += written;
    }
  }
}

// Puts the descriptors where they are expected, by way of numbers that are free, and closes all others.
void KeepDescriptors(int socket, const Birth& birth) {
  const int sources[kFirstOther] = {socket, birth.streams[0], birth.streams[1], birth.report_fd};
  int spare[kFirstOther];
  for (int i = 0; i < kFirstOther; i++) spare[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, kFirstOther);
  for (int i = 0; i < kFirstOther; i++) dup2(spare[i], i);
  syscall(SYS_close_range, kFirstOther, ~0U, 0);
}

}  // namespace

void RunDial(uint32_t port, const Birth& birth) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const int socket = port > kMaximumPort ? -EINVAL : ConnectTo(static_cast<in_port_t>(port));
  if (socket < 0) {
    SendReport(birth.report_fd, Report::kError, "connect to port " + std::to_string(port) + ": " + strerror(-socket));
    _exit(1);
  }
  KeepDescriptors(socket, birth);
  char word;
  if (SendReport(kReport, Report::kReady, "") != 0 || read(kReport, &word, 1) != 1) _exit(1);
  // Its end is the sign that the program runs.
  close(kReport);
  const pid_t child = fork();
  if (child < 0) _exit(1);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    close(kOutput);
    Carry(kInput, kSocket);
    shutdown(kSocket, SHUT_WR);
    _exit(0);
  }
  close(kInput);
  Carry(kSocket, kOutput);
  _exit(0);
}

}  // namespace isopod::agent
