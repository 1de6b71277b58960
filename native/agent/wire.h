// The protobuf wire format: a reader that takes any bytes without a fault, and a writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace isopod::agent {

// Goes through the fields of one message. The bytes stay the caller's. A malformed message ends the walk with ok()
// false; a field of another wire type than the one asked for counts as malformed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  // Moves to the next field; false at the end and at what is malformed. A field that was not read is skipped.
  bool Next();
  uint32_t field() const { return field_; }
  bool ok() const { return is_ok_; }

  uint64_t Number();
  uint32_t Number32() { return static_cast<uint32_t>(Number()); }
  bool Boolean() { return Number() != 0; }
  int32_t Signed32();
  // Of a string, bytes, or message field; valid as long as the message's bytes are.
  std::string_view Bytes();
  std::string String() { return std::string(Bytes()); }

 private:
  bool TakeVarint(uint64_t* value);
  void Fail();

  std::string_view bytes_;
  uint32_t field_ = 0;
  uint32_t wire_type_ = 0;
  uint64_t number_ = 0;
  std::string_view contents_;
  bool is_ok_ = true;
};

// Appends fields to a message. Fields with their default value are left out, as proto3 does.
class Writer {
 public:
  Writer& Number(uint32_t field, uint64_t value);
  Writer& Bytes(uint32_t field, std::string_view value);
  // Written also when it is empty: its presence says something.
  Writer& Message(uint32_t field, const Writer& message);
  const std::string& bytes() const { return bytes_; }

 private:
  void PutVarint(uint64_t value);

  std::string bytes_;
};

}  // namespace isopod::agent
