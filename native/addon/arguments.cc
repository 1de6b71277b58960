#include "arguments.h"

#include <cerrno>
#include <cmath>
#include <cstring>

namespace isopod {

namespace {

constexpr double kMaximumSafeInteger = 9007199254740992.0;

}  // namespace

void Arguments::ThrowTypeError(const char* message) {
  if (is_ok_) napi_throw_type_error(env_, nullptr, message);
  is_ok_ = false;
}

void Arguments::ThrowRangeError(const char* message) {
  if (is_ok_) napi_throw_range_error(env_, nullptr, message);
  is_ok_ = false;
}

int32_t Arguments::Int32(size_t index) {
  int32_t value = 0;
  if (napi_get_value_int32(env_, values_[index], &value) != napi_ok) ThrowTypeError("expected a number");
  return value;
}

uint32_t Arguments::Uint32(size_t index) {
  uint32_t value = 0;
  if (napi_get_value_uint32(env_, values_[index], &value) != napi_ok) ThrowTypeError("expected a number");
  return value;
}

double Arguments::Number(size_t index) {
  double value = 0;
  if (napi_get_value_double(env_, values_[index], &value) != napi_ok) ThrowTypeError("expected a number");
  return value;
}

int64_t Arguments::Int64(size_t index) {
  const double value = Number(index);
  if (!(value >= -kMaximumSafeInteger && value <= kMaximumSafeInteger) || value != std::trunc(value)) {
    ThrowRangeError("expected an integer of at most 2^53");
    return 0;
  }
  return static_cast<int64_t>(value);
}

uint64_t Arguments::Size(size_t index) {
  const int64_t value = Int64(index);
  if (value < 0) {
    ThrowRangeError("expected an integer that is not negative");
    return 0;
  }
  return static_cast<uint64_t>(value);
}

bool Arguments::Boolean(size_t index) {
  bool value = false;
  if (napi_get_value_bool(env_, values_[index], &value) != napi_ok) ThrowTypeError("expected a boolean");
  return value;
}

bool Arguments::IsNull(size_t index) {
  napi_valuetype type = napi_undefined;
  return napi_typeof(env_, values_[index], &type) == napi_ok && type == napi_null;
}

void* Arguments::TypedArray(size_t index, napi_typedarray_type wanted, size_t* length) {
  *length = 0;
  bool is_typed_array = false;
  napi_is_typedarray(env_, values_[index], &is_typed_array);
  if (!is_typed_array) {
    ThrowTypeError("expected a typed array");
    return nullptr;
  }
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(env_, values_[index], &type, length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    *length = 0;
    ThrowTypeError("expected a typed array of another type");
    return nullptr;
  }
  return data;
}

std::span<uint8_t> Arguments::Bytes(size_t index) {
  size_t length;
  auto* data = static_cast<uint8_t*>(TypedArray(index, napi_uint8_array, &length));
  return {data, length};
}

std::span<uint8_t> Arguments::Slice(size_t bytes_index, size_t offset_index, size_t length_index) {
  const std::span<uint8_t> bytes = Bytes(bytes_index);
  const uint64_t offset = Size(offset_index);
  const uint64_t length = Size(length_index);
  if (!is_ok_) return {};
  if (offset > bytes.size() || length > bytes.size() - offset) {
    ThrowRangeError("offset and length reach beyond the buffer");
    return {};
  }
  return bytes.subspan(offset, length);
}

std::span<int32_t> Arguments::Int32s(size_t index) {
  size_t length;
  auto* data = static_cast<int32_t*>(TypedArray(index, napi_int32_array, &length));
  return {data, length};
}

std::span<uint32_t> Arguments::Uint32s(size_t index) {
  size_t length;
  auto* data = static_cast<uint32_t*>(TypedArray(index, napi_uint32_array, &length));
  return {data, length};
}

std::span<double> Arguments::Float64s(size_t index, size_t minimum_length) {
  size_t length;
  auto* data = static_cast<double*>(TypedArray(index, napi_float64_array, &length));
  if (is_ok_ && length < minimum_length) ThrowRangeError("the array is too short for the result");
  return {data, length};
}

Path::Path(Arguments& arguments, size_t index, Encoding encoding) {
  text_[0] = '\0';
  napi_env env = arguments.env();
  napi_valuetype type = napi_undefined;
  napi_typeof(env, arguments.value(index), &type);
  size_t length = 0;
  if (type == napi_string) {
    const auto get = encoding == Encoding::kUtf8 ? napi_get_value_string_utf8 : napi_get_value_string_latin1;
    get(env, arguments.value(index), text_, sizeof(text_), &length);
  } else {
    const std::span<uint8_t> bytes = arguments.Bytes(index);
    if (!arguments.ok()) return;
    length = bytes.size();
    if (length < kMaximum) {
      if (length > 0) std::memcpy(text_, bytes.data(), length);
      text_[length] = '\0';
    }
  }
  if (length >= kMaximum) {
    error_ = ENAMETOOLONG;
    text_[0] = '\0';
  } else if (std::memchr(text_, '\0', length) != nullptr) {
    error_ = EINVAL;
    text_[0] = '\0';
  }
}

napi_value ToNumber(napi_env env, int64_t value) {
  napi_value result = nullptr;
  if (value >= INT32_MIN && value <= INT32_MAX) {
    napi_create_int32(env, static_cast<int32_t>(value), &result);
  } else {
    napi_create_double(env, static_cast<double>(value), &result);
  }
  return result;
}

}  // namespace isopod
