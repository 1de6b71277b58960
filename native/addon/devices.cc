// Network devices that the privileged front end makes for a machine and hands on as descriptors.

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

#include "descriptor.h"
#include "exports.h"
#include "result.h"

namespace isopod {

namespace {

int64_t OpenTap(Arguments& arguments) {
  const Path name(arguments, 0, Path::Encoding::kUtf8);
  if (!arguments.ok()) return 0;
  if (name.error() != 0) return -name.error();
  if (strlen(name.c_str()) >= IFNAMSIZ) return -ENAMETOOLONG;
  Descriptor tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!tun.is_open()) return -errno;
  struct ifreq request = {};
  strcpy(request.ifr_name, name.c_str());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(tun.get(), TUNSETIFF, &request) != 0) return -errno;
  return tun.Release();
}

constexpr Export kExports[] = {{"openTap", Numeric<OpenTap>}};

}  // namespace

std::span<const Export> DeviceExports() { return kExports; }

}  // namespace isopod
