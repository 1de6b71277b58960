#include "device-filter.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iterator>

#include "../addon/descriptor.h"

namespace isopod::agent {

namespace {

constexpr uint32_t kAnyMinor = UINT32_MAX;

struct Allowed {
  uint32_t major;
  uint32_t minor;
};

// null, zero, full, random, urandom, tty, ptmx, terminals (Documentation/admin-guide/devices.txt).
constexpr Allowed kAlways[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, kAnyMinor}};

constexpr bpf_insn Load(uint8_t to, int16_t offset) {
  return {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to, .src_reg = BPF_REG_1, .off = offset, .imm = 0};
}
constexpr bpf_insn SkipUnless(uint8_t reg, uint32_t value, int16_t count) {
  return {.code = BPF_JMP32 | BPF_JNE | BPF_K,
          .dst_reg = reg,
          .src_reg = 0,
          .off = count,
          .imm = static_cast<int32_t>(value)};
}
constexpr bpf_insn Return(int32_t value, int index) {
  return index == 0
             ? bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = value}
             : bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};
}

}  // namespace

int AttachDeviceFilter(int cgroup_fd, const std::vector<Device>& devices) {
  std::vector<Allowed> allowed(std::begin(kAlways), std::end(kAlways));
  for (const Device& device : devices) allowed.push_back({device.major, device.minor});
  // struct bpf_cgroup_dev_ctx: type in the low 16 bits of access_type, then major, minor.
  std::vector<bpf_insn> program = {
      Load(BPF_REG_2, 0),
      Load(BPF_REG_3, 4),
      Load(BPF_REG_4, 8),
      {.code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = BPF_REG_2, .src_reg = 0, .off = 0, .imm = 0xffff},
      // No block devices.
      SkipUnless(BPF_REG_2, BPF_DEVCG_DEV_BLOCK, 2),
      Return(0, 0),
      Return(0, 1)};
  for (const Allowed& device : allowed) {
    const bool has_minor = device.minor != kAnyMinor;
    program.push_back(SkipUnless(BPF_REG_3, device.major, has_minor ? 3 : 2));
    if (has_minor) program.push_back(SkipUnless(BPF_REG_4, device.minor, 2));
    program.push_back(Return(1, 0));
    program.push_back(Return(1, 1));
  }
  program.push_back(Return(0, 0));
  program.push_back(Return(0, 1));

  static const char kLicense[] = "Apache-2.0";
  bpf_attr load = {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(program.data());
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.license = reinterpret_cast<uint64_t>(kLicense);
  const Descriptor loaded(static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
  if (!loaded.is_open()) return errno;
  bpf_attr attach = {};
  attach.target_fd = static_cast<uint32_t>(cgroup_fd);
  attach.attach_bpf_fd = static_cast<uint32_t>(loaded.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  return syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) == 0 ? 0 : errno;
}

}  // namespace isopod::agent
