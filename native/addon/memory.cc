// Guest memory, by process_vm_readv and process_vm_writev alone: they work whatever the guest does to its own
// /proc/PID/mem, and they respect its page protections.
//
// SAFETY: guest memory changes while it is copied. Nothing here looks at guest bytes twice; what is decided about a
// copy is decided about the copy.

#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "exports.h"
#include "result.h"

namespace isopod {

namespace {

constexpr uint64_t kPageSize = 4096;
constexpr size_t kScratchSize = 256 << 10;
// What one call moves at most, as in Linux's own read and write.
constexpr uint64_t kMaximumTransfer = 0x7ffff000;

alignas(kPageSize) uint8_t scratch[kScratchSize];

// A guest address. One that no JavaScript number can hold exactly faults like any other wild address.
struct GuestAddress {
  uint64_t value = 0;
  bool is_canonical = false;

  explicit GuestAddress(double address) {
    is_canonical = address >= 0 && address < 9007199254740992.0;
    if (is_canonical) value = static_cast<uint64_t>(address);
  }
};

// Bytes copied, or -errno.
int64_t CopyIn(pid_t tid, uint64_t address, void* to, size_t length) {
  const iovec local = {to, length};
  const iovec remote = {reinterpret_cast<void*>(address), length};
  return ResultOf(process_vm_readv(tid, &local, 1, &remote, 1, 0));
}

int64_t CopyOut(pid_t tid, uint64_t address, const void* from, size_t length) {
  const iovec local = {const_cast<void*>(from), length};
  const iovec remote = {reinterpret_cast<void*>(address), length};
  return ResultOf(process_vm_writev(tid, &local, 1, &remote, 1, 0));
}

int64_t ReadMemory(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  const GuestAddress address(arguments.Number(1));
  const std::span<uint8_t> buffer = arguments.Slice(2, 3, 4);
  if (!arguments.ok()) return 0;
  if (buffer.empty()) return 0;
  return address.is_canonical ? CopyIn(tid, address.value, buffer.data(), buffer.size()) : -EFAULT;
}

int64_t WriteMemory(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  const GuestAddress address(arguments.Number(1));
  const std::span<uint8_t> buffer = arguments.Slice(2, 3, 4);
  if (!arguments.ok()) return 0;
  if (buffer.empty()) return 0;
  return address.is_canonical ? CopyOut(tid, address.value, buffer.data(), buffer.size()) : -EFAULT;
}

int64_t ReadString(Arguments& arguments) {
  const pid_t tid = arguments.Int32(0);
  const GuestAddress start(arguments.Number(1));
  const std::span<uint8_t> buffer = arguments.Bytes(2);
  if (!arguments.ok()) return 0;
  if (!start.is_canonical) return -EFAULT;
  // Page by page: the string may end right before an unmapped page.
  size_t copied = 0;
  while (copied < buffer.size()) {
    const uint64_t address = start.value + copied;
    const size_t length = std::min<size_t>(buffer.size() - copied, kPageSize - address % kPageSize);
    const int64_t got = CopyIn(tid, address, buffer.data() + copied, length);
    if (got <= 0) return got == 0 ? -EFAULT : got;
    const auto* end = static_cast<const uint8_t*>(std::memchr(buffer.data() + copied, 0, static_cast<size_t>(got)));
    if (end != nullptr) return end - buffer.data();
    copied += static_cast<size_t>(got);
  }
  return -ENAMETOOLONG;
}

// The arguments that both directions share: (fd, position, tid, address, length).
struct Transfer {
  int fd;
  int64_t position;
  pid_t tid;
  GuestAddress address;
  uint64_t length;

  explicit Transfer(Arguments& arguments)
      : fd(arguments.Int32(0)),
        position(arguments.Int64(1)),
        tid(arguments.Int32(2)),
        address(arguments.Number(3)),
        length(std::min(arguments.Size(4), kMaximumTransfer)) {}
};

int64_t HostToGuest(Arguments& arguments) {
  const Transfer transfer(arguments);
  if (!arguments.ok()) return 0;
  if (!transfer.address.is_canonical && transfer.length > 0) return -EFAULT;
  uint64_t done = 0;
  do {
    const size_t wanted = std::min<uint64_t>(transfer.length - done, kScratchSize);
    const auto offset = static_cast<off_t>(transfer.position + static_cast<int64_t>(done));
    const ssize_t got =
        transfer.position < 0 ? read(transfer.fd, scratch, wanted) : pread(transfer.fd, scratch, wanted, offset);
    if (got < 0) return done > 0 ? static_cast<int64_t>(done) : -errno;
    if (got == 0) break;
    const int64_t stored = CopyOut(transfer.tid, transfer.address.value + done, scratch, static_cast<size_t>(got));
    const int64_t delivered = std::max<int64_t>(stored, 0);
    if (transfer.position < 0 && delivered < got) {
      // The guest's offset counts what it got. Pipes and their like can't give back, here as in Linux.
      lseek(transfer.fd, delivered - got, SEEK_CUR);
    }
    done += static_cast<uint64_t>(delivered);
    if (stored < 0) return done > 0 ? static_cast<int64_t>(done) : stored;
    if (delivered < got || static_cast<size_t>(got) < wanted) break;
  } while (done < transfer.length);
  return static_cast<int64_t>(done);
}

int64_t GuestToHost(Arguments& arguments) {
  const Transfer transfer(arguments);
  const bool is_append = arguments.Boolean(5);
  if (!arguments.ok()) return 0;
  if (!transfer.address.is_canonical && transfer.length > 0) return -EFAULT;
  uint64_t done = 0;
  do {
    const size_t wanted = std::min<uint64_t>(transfer.length - done, kScratchSize);
    int64_t got = 0;
    if (wanted > 0) {
      got = CopyIn(transfer.tid, transfer.address.value + done, scratch, wanted);
      if (got < 0) return done > 0 ? static_cast<int64_t>(done) : got;
    }
    const iovec part = {scratch, static_cast<size_t>(got)};
    const off_t offset =
        transfer.position < 0 ? -1 : static_cast<off_t>(transfer.position + static_cast<int64_t>(done));
    const ssize_t written = pwritev2(transfer.fd, &part, 1, offset, is_append ? RWF_APPEND : 0);
    if (written < 0) return done > 0 ? static_cast<int64_t>(done) : -errno;
    done += static_cast<uint64_t>(written);
    if (static_cast<size_t>(written) < wanted) break;
  } while (done < transfer.length);
  return static_cast<int64_t>(done);
}

constexpr Export kExports[] = {
    {"readMemory", Numeric<ReadMemory>},   {"writeMemory", Numeric<WriteMemory>}, {"readString", Numeric<ReadString>},
    {"hostToGuest", Numeric<HostToGuest>}, {"guestToHost", Numeric<GuestToHost>},
};

}  // namespace

std::span<const Export> MemoryExports() { return kExports; }

}  // namespace isopod
