// The messages of proto/agent.proto that the agent receives, decoded. Fields mean what they mean there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace isopod::agent {

constexpr uint32_t kVersion = 1;
constexpr size_t kMaximumFrame = 4 << 20;
// Items of one list in a message, at most.
constexpr size_t kMaximumItems = 65536;
constexpr uint32_t kInitialCredit = 256 << 10;

struct Address {
  std::string address;
  uint32_t prefix_length = 0;
};

struct Interface {
  std::string mac;
  std::string name;
  uint32_t mtu = 0;
  std::vector<Address> addresses;
};

struct Route {
  std::string destination;
  uint32_t prefix_length = 0;
  std::string gateway;
  std::string source;
  std::string interface;
  uint32_t scope = 0;
  uint32_t metric = 0;
  uint32_t address_bytes = 0;
};

struct Neighbor {
  std::string address;
  std::string mac;
  std::string interface;
};

struct Configure {
  std::string hostname;
  uint64_t time_ns = 0;
  std::string entropy;
  std::string machine_id;
  std::vector<Interface> interfaces;
  std::vector<Route> routes;
  std::vector<Neighbor> neighbors;
  std::vector<std::string> sysctls;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  uint64_t flags = 0;
  std::string data;
  std::vector<uint32_t> propagation;
};

struct Device {
  std::string path;
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct ResourceLimit {
  uint32_t resource = 0;
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct Program {
  uint32_t number = 0;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string cwd;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  uint32_t umask = 0;
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
  std::vector<ResourceLimit> resource_limits;
  bool no_new_privileges = false;
  bool has_oom_score = false;
  int32_t oom_score = 0;
  bool has_terminal = false;
  uint32_t rows = 0;
  uint32_t columns = 0;
  bool has_stdin = false;
  bool has_stdout = false;
  bool has_stderr = false;
  std::string filter;
};

struct Setting {
  std::string file;
  std::string value;
};

struct Limits {
  std::string container_id;
  std::vector<Setting> settings;
};

struct CreateContainer {
  std::string container_id;
  std::string root;
  bool is_root_readonly = false;
  std::vector<Mount> mounts;
  Program program;
  std::string hostname;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::vector<Device> devices;
  Limits limits;
  std::string domainname;
  std::string pid_container_id;
  std::string uts_container_id;
  uint32_t root_propagation = 0;
};

struct Exec {
  std::string container_id;
  Program program;
};

struct Signal {
  std::string container_id;
  uint32_t number = 0;
  uint32_t signal = 0;
  bool to_all = false;
};

struct Resize {
  uint32_t number = 0;
  uint32_t rows = 0;
  uint32_t columns = 0;
};

struct Freeze {
  std::string container_id;
  bool is_frozen = false;
};

struct Data {
  uint32_t number = 0;
  uint32_t stream = 0;
  std::string bytes;
  bool is_end = false;
};

struct Credit {
  uint32_t number = 0;
  uint32_t stream = 0;
  uint32_t bytes = 0;
};

// One of the optionals has a value, or none when the agent doesn't know the call.
struct Request {
  uint32_t id = 0;
  std::optional<Configure> configure;
  std::optional<CreateContainer> create;
  std::optional<Exec> exec;
  // The container's id.
  std::optional<std::string> start;
  std::optional<Signal> signal;
  std::optional<Resize> resize;
  std::optional<std::string> processes;
  std::optional<std::string> remove;
  std::optional<Freeze> freeze;
  std::optional<Limits> limits;
  std::optional<std::string> statistics;
  bool power_off = false;
  std::optional<Data> data;
  std::optional<Credit> credit;
  // The share's tag.
  std::optional<std::string> share_files;
  bool settle = false;
};

// Decodes a request. False when it is malformed or has more items than any honest one.
bool Decode(std::string_view bytes, Request* request);

}  // namespace isopod::agent
