// A fuzz target for what of the addon handles a guest's bytes and addresses: guest memory, and the addresses, options
// and control messages of sockets. Any values may be the arguments. The guest is a child that sleeps; the sockets are
// in a network namespace of their own.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "../addon/exports.h"
#include "fake-napi.h"

namespace {

constexpr size_t kGuestBytes = 4 << 20;
constexpr size_t kLongest = 8192;
// Descriptors that arguments may name: sockets, a file. Not libFuzzer's own.
constexpr int kFirstDescriptor = 100;
constexpr int kDescriptors = 6;

pid_t guest;
uint8_t* guest_memory;

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  bool is_empty() const { return left_ == 0; }
  uint8_t Byte() { return left_ == 0 ? 0 : (left_--, *data_++); }
  uint64_t Number(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | Byte();
    return value;
  }
  size_t Take(uint8_t* to, size_t wanted) {
    const size_t length = wanted < left_ ? wanted : left_;
    std::memcpy(to, data_, length);
    data_ += length;
    left_ -= length;
    return length;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

void Put(int fd, int number) {
  if (fd < 0 || dup2(fd, number) != number) std::abort();
  close(fd);
}

// Fresh ones each time: an input means the same whenever it runs.
void OpenDescriptors() {
  int ends[2];
  Put(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), kFirstDescriptor);
  Put(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0), kFirstDescriptor + 1);
  Put(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), kFirstDescriptor + 2);
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
  Put(ends[0], kFirstDescriptor + 3);
  Put(ends[1], kFirstDescriptor + 4);
  Put(memfd_create("fuzz", 0), kFirstDescriptor + 5);
}

double AnyNumber(Input& input) {
  switch (input.Byte() % 10) {
    case 0:
      return input.Byte();
    case 1:
      return static_cast<double>(input.Number(2));
    case 2:
      return static_cast<double>(input.Number(4));
    case 3:
      return static_cast<double>(input.Number(7));
    case 4:
      return -static_cast<double>(input.Number(4));
    case 5:
      return std::numeric_limits<double>::quiet_NaN();
    case 6:
      return 9007199254740992.0;
    case 7:
      return 0.5;
    case 8:
      return guest;
    default:
      // Near the guest's memory, its ends among it.
      return static_cast<double>(reinterpret_cast<uintptr_t>(guest_memory) + input.Number(3) % (kGuestBytes + 8192) -
                                 4096);
  }
}

napi_value__ AnyValue(Input& input) {
  napi_value__ value;
  switch (input.Byte() % 8) {
    case 0:
      value.type = napi_null;
      break;
    case 1:
      value.type = napi_boolean;
      value.boolean = input.Byte() % 2 != 0;
      break;
    case 2:
      value.type = napi_number;
      value.number = kFirstDescriptor + input.Byte() % kDescriptors;
      break;
    case 3:
    case 4:
      value.type = napi_number;
      value.number = AnyNumber(input);
      break;
    default: {
      value.type = napi_object;
      value.is_array = true;
      const bool is_words = input.Byte() % 6 == 0;
      value.array_type = is_words ? napi_int32_array : napi_uint8_array;
      value.length = input.Number(2) % (is_words ? 8 : kLongest);
      const size_t bytes = value.length * (is_words ? 4 : 1);
      value.bytes = std::make_unique<uint8_t[]>(bytes);
      if (bytes > 0) input.Take(value.bytes.get(), bytes);
    }
  }
  return value;
}

bool IsAllowed(const char* name, const std::vector<napi_value__>& values) {
  // Numbers of descriptors and of processes are the caller's to choose; here no others may be hit than those that are
  // meant to be.
  const auto is_ours = [&](size_t index) {
    if (values.size() <= index || values[index].type != napi_number) return true;
    const double fd = values[index].number;
    return fd >= kFirstDescriptor && fd < kFirstDescriptor + kDescriptors;
  };
  const auto is_guest = [&](size_t index) {
    return values.size() <= index || values[index].type != napi_number || values[index].number == guest;
  };
  if (std::strcmp(name, "socketOpen") == 0) return false;
  if (std::strstr(name, "Memory") != nullptr || std::strcmp(name, "readString") == 0) return is_guest(0);
  if (std::strstr(name, "Guest") != nullptr || std::strstr(name, "guest") != nullptr) return is_ours(0) && is_guest(2);
  return is_ours(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && unshare(CLONE_NEWNET) != 0) std::abort();
  signal(SIGPIPE, SIG_IGN);
  guest_memory =
      static_cast<uint8_t*>(mmap(nullptr, kGuestBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (guest_memory == MAP_FAILED) std::abort();
  const pid_t parent = getpid();
  guest = fork();
  if (guest == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    for (;;) pause();
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  OpenDescriptors();
  for (int calls = 0; calls < 8 && !input.is_empty(); calls++) {
    const auto exports = input.Byte() % 2 == 0 ? isopod::MemoryExports() : isopod::SocketExports();
    const isopod::Export& call = exports[input.Byte() % exports.size()];
    napi_callback_info__ info;
    for (int count = input.Byte() % 9; count > 0; count--) info.values.push_back(AnyValue(input));
    if (IsAllowed(call.name, info.values)) call.callback(nullptr, &info);
  }
  return 0;
}
