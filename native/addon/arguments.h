// Decodes the arguments of a call from JavaScript and encodes its result.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace isopod {

// A decoder for one call. The first wrong argument throws; from then on `ok()` is false and the getters return zeroes,
// so a function decodes everything, tests `ok()` once and only then touches the host.
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kCapacity;
    is_ok_ = napi_get_cb_info(env, info, &count, values_, nullptr, nullptr) == napi_ok;
  }

  bool ok() const { return is_ok_; }
  napi_env env() const { return env_; }
  napi_value value(size_t index) const { return values_[index]; }

  int32_t Int32(size_t index);
  uint32_t Uint32(size_t index);
  double Number(size_t index);
  // An integer in [-2^53, 2^53].
  int64_t Int64(size_t index);
  // An integer in [0, 2^53]; anything else is a RangeError.
  uint64_t Size(size_t index);
  bool Boolean(size_t index);
  bool IsNull(size_t index);
  std::span<uint8_t> Bytes(size_t index);
  // The part of a Uint8Array that an offset and a length (the next arguments) name; beyond its end is a RangeError.
  std::span<uint8_t> Slice(size_t bytes_index, size_t offset_index, size_t length_index);
  std::span<int32_t> Int32s(size_t index);
  std::span<uint32_t> Uint32s(size_t index);
  std::span<double> Float64s(size_t index, size_t minimum_length);

  void ThrowTypeError(const char* message);
  void ThrowRangeError(const char* message);

 private:
  static constexpr size_t kCapacity = 8;

  void* TypedArray(size_t index, napi_typedarray_type wanted, size_t* length);

  napi_env env_;
  napi_value values_[kCapacity];
  bool is_ok_;
};

// A path or a name, from a string or from bytes, with the NUL that the host wants. `error()` is ENAMETOOLONG or EINVAL
// (a NUL inside) when it can't be one; the guest chose the bytes, so that is no bug of the caller.
class Path {
 public:
  // What the characters of a string are. Names of a guest's files are byte strings: each character is one byte. Other
  // names are text.
  enum class Encoding { kByteString, kUtf8 };

  Path(Arguments& arguments, size_t index, Encoding encoding = Encoding::kByteString);

  const char* c_str() const { return text_; }
  int error() const { return error_; }

 private:
  static constexpr size_t kMaximum = 4096;

  int error_ = 0;
  // Longer than any path by one whole UTF-8 character, so that a string that was cut is seen to be too long.
  char text_[kMaximum + 8];
};

napi_value ToNumber(napi_env env, int64_t value);

// Makes a Node-API callback of a function that decodes, acts and returns a number (an errno as a negative one).
template <int64_t (*Function)(Arguments&)>
napi_value Numeric(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const int64_t result = Function(arguments);
  return arguments.ok() ? ToNumber(env, result) : nullptr;
}

// The same for a function that returns any value.
template <napi_value (*Function)(Arguments&)>
napi_value Valued(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  napi_value result = Function(arguments);
  return arguments.ok() ? result : nullptr;
}

// One exported function.
struct Export {
  const char* name;
  napi_callback callback;
};

}  // namespace isopod
