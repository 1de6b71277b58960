#include "network.h"

#include <dirent.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../addon/descriptor.h"
#include "files.h"

namespace isopod::agent {

namespace {

constexpr size_t kMacBytes = 6;
constexpr int kTries = 5000;
constexpr useconds_t kPauseUs = 1000;

// One request of rtnetlink: a header, the family's own struct, attributes.
class NetlinkRequest {
 public:
  template <typename T>
  NetlinkRequest(uint16_t type, uint16_t flags, const T& body) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    Put(&body, sizeof body);
  }

  void Add(uint16_t type, const std::string& value) {
    const rtattr attribute = {static_cast<uint16_t>(RTA_LENGTH(value.size())), type};
    Put(&attribute, sizeof attribute);
    Put(value.data(), value.size());
  }
  void AddNumber(uint16_t type, uint32_t value) {
    Add(type, std::string(reinterpret_cast<const char*>(&value), sizeof value));
  }

  // Sends it and waits for its answer; 0 or an errno.
  int Send() {
    const Descriptor fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd.is_open()) return errno;
    header_.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + body_.size());
    std::string message(reinterpret_cast<const char*>(&header_), sizeof header_);
    message += body_;
    if (send(fd.get(), message.data(), message.size(), 0) < 0) return errno;
    alignas(nlmsghdr) char answer[8192];
    const ssize_t length = recv(fd.get(), answer, sizeof answer, 0);
    if (length < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return length < 0 ? errno : EPROTO;
    nlmsgerr error;
    memcpy(&error, answer + NLMSG_HDRLEN, sizeof error);
    return -error.error;
  }

 private:
  void Put(const void* bytes, size_t length) {
    body_.append(static_cast<const char*>(bytes), length);
    body_.append(NLMSG_ALIGN(length) - length, '\0');
  }

  nlmsghdr header_ = {};
  std::string body_;
};

uint8_t FamilyOf(size_t address_bytes) { return address_bytes == 16 ? AF_INET6 : AF_INET; }

// The guest's device with this hardware address: its driver finds it some time after it was plugged in. "" when it
// never comes.
std::string FindDevice(const std::string& mac) {
  char text[32] = "";
  if (mac.size() != kMacBytes) return "";
  const auto* bytes = reinterpret_cast<const uint8_t*>(mac.data());
  snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x\n", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
           bytes[5]);
  for (int i = 0; i < kTries; i++) {
    std::string name;
    DIR* folder = opendir("/sys/class/net");
    while (const dirent* entry = folder == nullptr ? nullptr : readdir(folder)) {
      if (ReadFile(std::string("/sys/class/net/") + entry->d_name + "/address") == text) name = entry->d_name;
    }
    if (folder != nullptr) closedir(folder);
    if (!name.empty()) return name;
    usleep(kPauseUs);
  }
  return "";
}

int ChangeLink(unsigned index, const std::string& new_name, uint32_t mtu, bool is_up) {
  ifinfomsg body = {};
  body.ifi_index = static_cast<int>(index);
  if (is_up) body.ifi_flags = body.ifi_change = IFF_UP;
  NetlinkRequest request(RTM_NEWLINK, 0, body);
  if (!new_name.empty()) request.Add(IFLA_IFNAME, new_name + '\0');
  if (mtu != 0) request.AddNumber(IFLA_MTU, mtu);
  return request.Send();
}

std::string SetUpInterface(const Interface& interface) {
  const auto failed = [&](const char* what, int error) {
    return "network: " + interface.name + ": " + what + ": " + strerror(error);
  };
  const std::string device = FindDevice(interface.mac);
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return failed("find the device", ENODEV);
  if (const int error = ChangeLink(index, interface.name == device ? "" : interface.name, interface.mtu, false);
      error != 0)
    return failed("name it", error);
  if (const int error = ChangeLink(index, "", 0, true); error != 0) return failed("bring it up", error);
  for (const Address& address : interface.addresses) {
    ifaddrmsg body = {};
    body.ifa_family = FamilyOf(address.address.size());
    body.ifa_prefixlen = static_cast<uint8_t>(address.prefix_length);
    body.ifa_index = index;
    // The host has seen that nobody else uses it.
    if (body.ifa_family == AF_INET6) body.ifa_flags = IFA_F_NODAD;
    NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body);
    request.Add(IFA_LOCAL, address.address);
    request.Add(IFA_ADDRESS, address.address);
    if (const int error = request.Send(); error != 0) return failed("add an address", error);
  }
  return "";
}

std::string AddRoute(const Route& route) {
  rtmsg body = {};
  body.rtm_family = FamilyOf(route.address_bytes);
  body.rtm_dst_len = static_cast<uint8_t>(route.prefix_length);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_BOOT;
  body.rtm_scope = static_cast<uint8_t>(route.scope);
  body.rtm_type = RTN_UNICAST;
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body);
  if (!route.destination.empty()) request.Add(RTA_DST, route.destination);
  if (!route.gateway.empty()) request.Add(RTA_GATEWAY, route.gateway);
  if (!route.source.empty()) request.Add(RTA_PREFSRC, route.source);
  if (route.metric != 0) request.AddNumber(RTA_PRIORITY, route.metric);
  request.AddNumber(RTA_OIF, if_nametoindex(route.interface.c_str()));
  const int error = request.Send();
  return error == 0 ? "" : std::string("network: add a route: ") + strerror(error);
}

std::string AddNeighbor(const Neighbor& neighbor) {
  ndmsg body = {};
  body.ndm_family = FamilyOf(neighbor.address.size());
  body.ndm_ifindex = static_cast<int>(if_nametoindex(neighbor.interface.c_str()));
  body.ndm_state = NUD_PERMANENT;
  NetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body);
  request.Add(NDA_DST, neighbor.address);
  request.Add(NDA_LLADDR, neighbor.mac);
  const int error = request.Send();
  return error == 0 ? "" : std::string("network: add a neighbor: ") + strerror(error);
}

}  // namespace

std::string ConfigureNetwork(const Configure& configure) {
  const int error = ChangeLink(if_nametoindex("lo"), "", 0, true);
  if (error != 0) return std::string("network: bring lo up: ") + strerror(error);
  std::string failure;
  for (const Interface& interface : configure.interfaces)
    if (failure.empty()) failure = SetUpInterface(interface);
  for (const Route& route : configure.routes)
    if (failure.empty()) failure = AddRoute(route);
  for (const Neighbor& neighbor : configure.neighbors)
    if (failure.empty()) failure = AddNeighbor(neighbor);
  for (const std::string& sysctl : configure.sysctls) {
    const size_t equals = sysctl.find('=');
    std::string path = sysctl.substr(0, equals);
    if (!failure.empty() || equals == std::string::npos || path.find("..") != std::string::npos) continue;
    for (char& letter : path)
      if (letter == '.') letter = '/';
    const int written = WriteFile("/proc/sys/" + path, sysctl.substr(equals + 1));
    if (written != 0) failure = "sysctl " + sysctl + ": " + strerror(written);
  }
  return failure;
}

}  // namespace isopod::agent
