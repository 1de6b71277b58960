#include "messages.h"

#include "wire.h"

namespace isopod::agent {

// Not in an unnamed namespace: the template below finds them by their arguments.
//
// Each message's fields by number, as proto/agent.proto has them.

static bool Parse(std::string_view bytes, Address* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->address = reader.String();
    if (reader.field() == 2) to->prefix_length = reader.Number32();
  }
  return reader.ok();
}

// Appends the message that the reader is at.
template <typename T>
static bool Append(Reader* reader, std::vector<T>* list) {
  if (list->size() == kMaximumItems) return false;
  return Parse(reader->Bytes(), &list->emplace_back());
}

static bool Append(Reader* reader, std::vector<std::string>* list) {
  if (list->size() == kMaximumItems) return false;
  list->push_back(reader->String());
  return true;
}

static bool Parse(std::string_view bytes, Interface* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    if (reader.field() == 1) to->mac = reader.String();
    if (reader.field() == 2) to->name = reader.String();
    if (reader.field() == 3) to->mtu = reader.Number32();
    if (reader.field() == 4) is_good = Append(&reader, &to->addresses);
  }
  return is_good && reader.ok();
}

static bool Parse(std::string_view bytes, Route* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->destination = reader.String();
    if (reader.field() == 2) to->prefix_length = reader.Number32();
    if (reader.field() == 3) to->gateway = reader.String();
    if (reader.field() == 4) to->source = reader.String();
    if (reader.field() == 5) to->interface = reader.String();
    if (reader.field() == 6) to->scope = reader.Number32();
    if (reader.field() == 7) to->metric = reader.Number32();
    if (reader.field() == 8) to->address_bytes = reader.Number32();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Neighbor* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->address = reader.String();
    if (reader.field() == 2) to->mac = reader.String();
    if (reader.field() == 3) to->interface = reader.String();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Configure* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    if (reader.field() == 1) to->hostname = reader.String();
    if (reader.field() == 2) to->time_ns = reader.Number();
    if (reader.field() == 3) to->entropy = reader.String();
    if (reader.field() == 4) to->machine_id = reader.String();
    if (reader.field() == 5) is_good = Append(&reader, &to->interfaces);
    if (reader.field() == 6) is_good = Append(&reader, &to->routes);
    if (reader.field() == 7) is_good = Append(&reader, &to->neighbors);
    if (reader.field() == 8) is_good = Append(&reader, &to->sysctls);
  }
  return is_good && reader.ok();
}

// Numbers of a packed list, which is how proto3 sends it.
static bool ParsePacked(std::string_view bytes, std::vector<uint32_t>* list) {
  uint64_t value = 0;
  unsigned shift = 0;
  for (const char byte : bytes) {
    if (shift > 63) return false;
    value |= (static_cast<uint64_t>(byte) & 0x7f) << shift;
    shift += 7;
    if ((byte & 0x80) != 0) continue;
    if (list->size() == kMaximumItems) return false;
    list->push_back(static_cast<uint32_t>(value));
    value = 0;
    shift = 0;
  }
  return shift == 0;
}

static bool Parse(std::string_view bytes, Mount* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    if (reader.field() == 1) to->destination = reader.String();
    if (reader.field() == 2) to->type = reader.String();
    if (reader.field() == 3) to->source = reader.String();
    if (reader.field() == 4) to->flags = reader.Number();
    if (reader.field() == 5) to->data = reader.String();
    if (reader.field() == 6) is_good = ParsePacked(reader.Bytes(), &to->propagation);
  }
  return is_good && reader.ok();
}

static bool Parse(std::string_view bytes, Device* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->path = reader.String();
    if (reader.field() == 2) to->major = reader.Number32();
    if (reader.field() == 3) to->minor = reader.Number32();
    if (reader.field() == 4) to->mode = reader.Number32();
    if (reader.field() == 5) to->uid = reader.Number32();
    if (reader.field() == 6) to->gid = reader.Number32();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, ResourceLimit* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->resource = reader.Number32();
    if (reader.field() == 2) to->soft = reader.Number();
    if (reader.field() == 3) to->hard = reader.Number();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Program* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    switch (reader.field()) {
      case 1:
        to->number = reader.Number32();
        break;
      case 2:
        is_good = Append(&reader, &to->arguments);
        break;
      case 3:
        is_good = Append(&reader, &to->environment);
        break;
      case 4:
        to->cwd = reader.String();
        break;
      case 5:
        to->uid = reader.Number32();
        break;
      case 6:
        to->gid = reader.Number32();
        break;
      case 7:
        is_good = ParsePacked(reader.Bytes(), &to->groups);
        break;
      case 8:
        to->umask = reader.Number32();
        break;
      case 9:
        to->bounding = reader.Number();
        break;
      case 10:
        to->effective = reader.Number();
        break;
      case 11:
        to->inheritable = reader.Number();
        break;
      case 12:
        to->permitted = reader.Number();
        break;
      case 13:
        to->ambient = reader.Number();
        break;
      case 14:
        is_good = Append(&reader, &to->resource_limits);
        break;
      case 15:
        to->no_new_privileges = reader.Boolean();
        break;
      case 16:
        to->has_oom_score = reader.Boolean();
        break;
      case 17:
        to->oom_score = reader.Signed32();
        break;
      case 18:
        to->has_terminal = reader.Boolean();
        break;
      case 19:
        to->rows = reader.Number32();
        break;
      case 20:
        to->columns = reader.Number32();
        break;
      case 21:
        to->has_stdin = reader.Boolean();
        break;
      case 22:
        to->has_stdout = reader.Boolean();
        break;
      case 23:
        to->has_stderr = reader.Boolean();
        break;
      case 24:
        to->filter = reader.String();
        break;
      default:
        break;
    }
  }
  return is_good && reader.ok();
}

static bool Parse(std::string_view bytes, Setting* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->file = reader.String();
    if (reader.field() == 2) to->value = reader.String();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Limits* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    if (reader.field() == 1) to->container_id = reader.String();
    if (reader.field() == 2) is_good = Append(&reader, &to->settings);
  }
  return is_good && reader.ok();
}

static bool Parse(std::string_view bytes, CreateContainer* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    switch (reader.field()) {
      case 1:
        to->container_id = reader.String();
        break;
      case 2:
        to->root = reader.String();
        break;
      case 3:
        to->is_root_readonly = reader.Boolean();
        break;
      case 4:
        is_good = Append(&reader, &to->mounts);
        break;
      case 5:
        is_good = Parse(reader.Bytes(), &to->program);
        break;
      case 6:
        to->hostname = reader.String();
        break;
      case 7:
        is_good = Append(&reader, &to->masked_paths);
        break;
      case 8:
        is_good = Append(&reader, &to->readonly_paths);
        break;
      case 9:
        is_good = Append(&reader, &to->devices);
        break;
      case 10:
        is_good = Parse(reader.Bytes(), &to->limits);
        break;
      case 11:
        to->domainname = reader.String();
        break;
      case 12:
        to->pid_container_id = reader.String();
        break;
      case 13:
        to->uts_container_id = reader.String();
        break;
      case 14:
        to->root_propagation = reader.Number32();
        break;
      default:
        break;
    }
  }
  return is_good && reader.ok();
}

static bool Parse(std::string_view bytes, Exec* to) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    if (reader.field() == 1) to->container_id = reader.String();
    if (reader.field() == 2) is_good = Parse(reader.Bytes(), &to->program);
  }
  return is_good && reader.ok();
}

static bool Parse(std::string_view bytes, Signal* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->container_id = reader.String();
    if (reader.field() == 2) to->number = reader.Number32();
    if (reader.field() == 3) to->signal = reader.Number32();
    if (reader.field() == 4) to->to_all = reader.Boolean();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Resize* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->number = reader.Number32();
    if (reader.field() == 2) to->rows = reader.Number32();
    if (reader.field() == 3) to->columns = reader.Number32();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Freeze* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->container_id = reader.String();
    if (reader.field() == 2) to->is_frozen = reader.Boolean();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Data* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->number = reader.Number32();
    if (reader.field() == 2) to->stream = reader.Number32();
    if (reader.field() == 3) to->bytes = reader.String();
    if (reader.field() == 4) to->is_end = reader.Boolean();
  }
  return reader.ok();
}

static bool Parse(std::string_view bytes, Credit* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) to->number = reader.Number32();
    if (reader.field() == 2) to->stream = reader.Number32();
    if (reader.field() == 3) to->bytes = reader.Number32();
  }
  return reader.ok();
}

// A message whose only field is a string.
static bool Parse(std::string_view bytes, std::string* to) {
  Reader reader(bytes);
  while (reader.Next()) {
    if (reader.field() == 1) *to = reader.String();
  }
  return reader.ok();
}

template <typename T>
static bool ParseCall(Reader* reader, std::optional<T>* to) {
  return Parse(reader->Bytes(), &to->emplace());
}

bool Decode(std::string_view bytes, Request* request) {
  Reader reader(bytes);
  bool is_good = true;
  while (is_good && reader.Next()) {
    switch (reader.field()) {
      case 1:
        request->id = reader.Number32();
        break;
      case 2:
        is_good = ParseCall(&reader, &request->configure);
        break;
      case 3:
        is_good = ParseCall(&reader, &request->create);
        break;
      case 4:
        is_good = ParseCall(&reader, &request->exec);
        break;
      case 5:
        is_good = ParseCall(&reader, &request->start);
        break;
      case 6:
        is_good = ParseCall(&reader, &request->signal);
        break;
      case 7:
        is_good = ParseCall(&reader, &request->resize);
        break;
      case 8:
        is_good = ParseCall(&reader, &request->processes);
        break;
      case 9:
        is_good = ParseCall(&reader, &request->remove);
        break;
      case 10:
        is_good = ParseCall(&reader, &request->freeze);
        break;
      case 11:
        is_good = ParseCall(&reader, &request->limits);
        break;
      case 12:
        is_good = ParseCall(&reader, &request->statistics);
        break;
      case 13:
        request->power_off = true;
        break;
      case 14:
        is_good = ParseCall(&reader, &request->data);
        break;
      case 15:
        is_good = ParseCall(&reader, &request->credit);
        break;
      case 16:
        is_good = ParseCall(&reader, &request->share_files);
        break;
      case 17:
        request->settle = true;
        break;
      default:
        break;
    }
  }
  return is_good && reader.ok();
}

}  // namespace isopod::agent
