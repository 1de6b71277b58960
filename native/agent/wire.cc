#include "wire.h"

namespace isopod::agent {

namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

constexpr unsigned kMaximumVarintBytes = 10;

}  // namespace

void Reader::Fail() {
  is_ok_ = false;
  bytes_ = {};
}

bool Reader::TakeVarint(uint64_t* value) {
  *value = 0;
  for (unsigned i = 0; i < kMaximumVarintBytes && i < bytes_.size(); i++) {
    const uint64_t byte = static_cast<uint8_t>(bytes_[i]);
    *value |= (byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    bytes_.remove_prefix(i + 1);
    return true;
  }
  Fail();
  return false;
}

bool Reader::Next() {
  if (bytes_.empty()) return false;
  uint64_t key;
  if (!TakeVarint(&key)) return false;
  field_ = static_cast<uint32_t>(key >> 3);
  wire_type_ = static_cast<uint32_t>(key & 7);
  if (field_ == 0 || key > UINT32_MAX) {
    Fail();
    return false;
  }
  uint64_t length = 0;
  switch (wire_type_) {
    case kVarint:
      return TakeVarint(&number_);
    case kFixed64:
      length = 8;
      break;
    case kFixed32:
      length = 4;
      break;
    case kLengthDelimited:
      if (!TakeVarint(&length)) return false;
      break;
    default:
      Fail();
      return false;
  }
  if (length > bytes_.size()) {
    Fail();
    return false;
  }
  contents_ = bytes_.substr(0, length);
  bytes_.remove_prefix(length);
  return true;
}

uint64_t Reader::Number() {
  if (wire_type_ == kVarint) return number_;
  Fail();
  return 0;
}

int32_t Reader::Signed32() {
  const uint32_t value = Number32();
  return static_cast<int32_t>((value >> 1) ^ (~(value & 1) + 1));
}

std::string_view Reader::Bytes() {
  if (wire_type_ == kLengthDelimited) return contents_;
  Fail();
  return {};
}

void Writer::PutVarint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

Writer& Writer::Number(uint32_t field, uint64_t value) {
  if (value == 0) return *this;
  PutVarint(static_cast<uint64_t>(field) << 3 | kVarint);
  PutVarint(value);
  return *this;
}

Writer& Writer::Bytes(uint32_t field, std::string_view value) {
  if (value.empty()) return *this;
  PutVarint(static_cast<uint64_t>(field) << 3 | kLengthDelimited);
  PutVarint(value.size());
  bytes_.append(value);
  return *this;
}

Writer& Writer::Message(uint32_t field, const Writer& message) {
  PutVarint(static_cast<uint64_t>(field) << 3 | kLengthDelimited);
  PutVarint(message.bytes_.size());
  bytes_.append(message.bytes_);
  return *this;
}

}  // namespace isopod::agent
