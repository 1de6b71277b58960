#include "machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "files.h"
#include "network.h"

namespace isopod::agent {

namespace {

// What ACPI calls a place for a virtio device.
constexpr std::string_view kMmioId = "LNRO0005:";
constexpr char kPortName[] = "isopod.agent";
constexpr int kPortTries = 10000;
constexpr useconds_t kPortPauseUs = 1000;
// What is left to the kernel while the rest is taken.
constexpr uint64_t kSettleReserve = 8 << 20;

void Complain(const char* what) { fprintf(stderr, "isopod-agent: %s: %s\n", what, strerror(errno)); }

void MountAt(const char* type, const char* target, unsigned long flags, const char* data) {
  mkdir(target, 0755);
  if (mount(type, target, type, flags, data) != 0) Complain(target);
}

// Looks anew into the places for devices that had none when their driver came, until `count` are found: a clone of a
// template has devices that the template was saved without.
void ProbeDevices(size_t count) {
  const std::string driver = "/sys/bus/platform/drivers/virtio-mmio";
  std::vector<std::string> places;
  DIR* folder = opendir("/sys/bus/platform/devices");
  while (const dirent* entry = folder == nullptr ? nullptr : readdir(folder)) {
    const std::string name = entry->d_name;
    if (name.compare(0, kMmioId.size(), kMmioId) == 0 && access((driver + "/" + name).c_str(), F_OK) != 0)
      places.push_back(name);
  }
  if (folder != nullptr) closedir(folder);
  // The last place has the first device. Looking takes an emulated machine some milliseconds.
  std::sort(places.rbegin(), places.rend());
  for (const std::string& name : places) {
    if (count == 0) return;
    // ENODEV: there is none now, either.
    if (WriteFile(driver + "/bind", name) == 0) count--;
  }
}

void LoadModules() {
  const std::string order = ReadFile("/modules/order");
  for (size_t at = 0; at < order.size();) {
    const size_t end = std::min(order.find('\n', at), order.size());
    const std::string path = "/modules/" + order.substr(at, end - at);
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (syscall(SYS_finit_module, file.get(), "", 0) != 0 && errno != EEXIST) Complain(path.c_str());
    // The first root is memory.
    unlink(path.c_str());
    at = end + 1;
  }
}

}  // namespace

void SetUpMachine() {
  umask(022);
  // A container can't pivot away from the first root, so a tmpfs takes its place.
  MountAt("tmpfs", "/root", 0, "mode=0755");
  for (const char* folder :
       {"/root/dev", "/root/proc", "/root/sys", "/root/container", "/root/share", "/root/run", "/root/etc"})
    mkdir(folder, 0755);
  MountAt("devtmpfs", "/root/dev", MS_NOSUID, "mode=0755");
  LoadModules();
  if (chdir("/root") != 0 || mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || chroot(".") != 0 || chdir("/") != 0)
    Complain("change root");
  MountAt("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  MountAt("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  MountAt("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  MountAt("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
  WriteFile("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +cpuset +io +memory +pids");
  const rlimit files = {1 << 20, 1 << 20};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) Complain("raise the limit of descriptors");
}

Descriptor OpenPort() {
  // The driver names its ports some time after it was loaded.
  for (int i = 0; i < kPortTries; i++) {
    DIR* folder = opendir("/sys/class/virtio-ports");
    while (const dirent* entry = folder == nullptr ? nullptr : readdir(folder)) {
      const std::string node = entry->d_name;
      if (ReadFile("/sys/class/virtio-ports/" + node + "/name") != std::string(kPortName) + "\n") continue;
      Descriptor port(open(("/dev/" + node).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
      if (!port.is_open()) continue;
      closedir(folder);
      return port;
    }
    if (folder != nullptr) closedir(folder);
    usleep(kPortPauseUs);
  }
  return {};
}

std::string ConfigureMachine(const Configure& configure) {
  // A machine that was cloned has the random numbers of its template until this.
  const Descriptor random(open("/dev/urandom", O_WRONLY | O_CLOEXEC));
  std::string pool(sizeof(rand_pool_info) + configure.entropy.size(), '\0');
  auto* info = reinterpret_cast<rand_pool_info*>(pool.data());
  info->entropy_count = static_cast<int>(configure.entropy.size() * 8);
  info->buf_size = static_cast<int>(configure.entropy.size());
  memcpy(pool.data() + sizeof(rand_pool_info), configure.entropy.data(), configure.entropy.size());
  if (ioctl(random.get(), RNDADDENTROPY, info) != 0 || ioctl(random.get(), RNDRESEEDCRNG, 0) != 0)
    return std::string("seed random numbers: ") + strerror(errno);
  constexpr uint64_t kSecondNs = 1000000000;
  const timespec now = {static_cast<time_t>(configure.time_ns / kSecondNs),
                        static_cast<long>(configure.time_ns % kSecondNs)};
  if (clock_settime(CLOCK_REALTIME, &now) != 0) return std::string("set the clock: ") + strerror(errno);
  if (sethostname(configure.hostname.data(), configure.hostname.size()) != 0)
    return std::string("set the host name: ") + strerror(errno);
  const Descriptor id(open("/etc/machine-id", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444));
  const std::string text = configure.machine_id + "\n";
  if (write(id.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return std::string("write the machine id: ") + strerror(errno);
  ProbeDevices(configure.interfaces.size());
  return ConfigureNetwork(configure);
}

std::string SettleMemory() {
  // The kernel zeroes what it gives a process.
  WriteFile("/proc/sys/vm/drop_caches", "3");
  struct sysinfo info;
  if (sysinfo(&info) != 0) return std::string("measure memory: ") + strerror(errno);
  const uint64_t free_bytes = static_cast<uint64_t>(info.freeram) * info.mem_unit;
  if (free_bytes <= kSettleReserve) return "";
  const size_t length = (free_bytes - kSettleReserve) & ~uint64_t{4095};
  void* memory =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return std::string("take memory: ") + strerror(errno);
  munmap(memory, length);
  return "";
}

void PowerOff() {
  sync();
  // The machine has no power switch that the kernel knows; the command line makes a reboot its end (reboot=t,
  // -no-reboot).
  reboot(RB_AUTOBOOT);
  _exit(1);
}

}  // namespace isopod::agent
