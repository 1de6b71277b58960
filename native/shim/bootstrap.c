#include "bootstrap.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kParamsBytes = 1 << 20 };

// The wire format of protocol buffers.
enum { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct reader {
  const uint8_t* at;
  const uint8_t* end;
};

static bool take_varint(struct reader* reader, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
    uint8_t byte = *reader->at++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

static bool take_field(struct reader* reader, uint64_t* field, int* type, struct reader* bytes) {
  uint64_t tag;
  if (!take_varint(reader, &tag)) return false;
  *field = tag >> 3;
  *type = (int)(tag & 7);
  uint64_t length = *type == kFixed64 ? 8 : *type == kFixed32 ? 4 : 0;
  if (*type == kVarint) return take_varint(reader, &length);
  if (*type == kBytes && !take_varint(reader, &length)) return false;
  if (*type != kBytes && length == 0) return false;
  if (length > (uint64_t)(reader->end - reader->at)) return false;
  *bytes = (struct reader){reader->at, reader->at + length};
  reader->at += length;
  return true;
}

static bool copy_text(struct reader text, char* value, size_t size) {
  size_t length = (size_t)(text.end - text.at);
  if (length >= size || memchr(text.at, '\0', length) != NULL) return false;
  memcpy(value, text.at, length);
  value[length] = '\0';
  return true;
}

bool read_bootstrap(int fd, struct bootstrap* params) {
  static uint8_t message[kParamsBytes];
  struct stat stat;
  // Somebody who types has nothing to say.
  if (fstat(fd, &stat) != 0 || S_ISCHR(stat.st_mode)) return false;
  size_t size = 0;
  for (ssize_t count; size < sizeof message; size += (size_t)count) {
    count = read(fd, message + size, sizeof message - size);
    if (count < 0 && errno == EINTR)
      count = 0;
    else if (count <= 0)
      break;
  }
  memset(params, 0, sizeof *params);
  struct {
    char* value;
    size_t size;
  } fields[] = {[1] = {params->instance_id, sizeof params->instance_id},
                [2] = {params->namespace, sizeof params->namespace},
                [5] = {params->ttrpc_address, sizeof params->ttrpc_address},
                [6] = {params->grpc_address, sizeof params->grpc_address},
                [9] = {params->socket_dir, sizeof params->socket_dir}};
  struct reader reader = {message, message + size};
  while (reader.at < reader.end) {
    uint64_t field;
    int type;
    struct reader bytes;
    if (!take_field(&reader, &field, &type, &bytes)) return false;
    if (field >= sizeof fields / sizeof fields[0] || fields[field].value == NULL) continue;
    if (type != kBytes || !copy_text(bytes, fields[field].value, fields[field].size)) return false;
  }
  // The options of an earlier containerd are a google.protobuf.Any, whose two fields have the numbers of the first two
  // here.
  return params->ttrpc_address[0] != '\0' || params->grpc_address[0] != '\0';
}

bool write_bootstrap_result(int fd, const char* path) {
  static const char kScheme[] = "unix://";
  static const char kProtocol[] = "\x1a\x05ttrpc";
  size_t length = strlen(kScheme) + strlen(path);
  uint8_t message[256] = {0x08, 3, 0x12, (uint8_t)length};
  // A length of one byte.
  if (length > 0x7f) return false;
  size_t size = 4;
  memcpy(message + size, kScheme, strlen(kScheme));
  size += strlen(kScheme);
  memcpy(message + size, path, strlen(path));
  size += strlen(path);
  memcpy(message + size, kProtocol, sizeof kProtocol - 1);
  size += sizeof kProtocol - 1;
  return write(fd, message, size) == (ssize_t)size;
}
