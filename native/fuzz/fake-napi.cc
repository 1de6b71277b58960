#include "fake-napi.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace {

napi_value__ undefined_value;
napi_value__ result_value;

// ToInt32 of ECMAScript, as napi_get_value_int32 does it.
uint32_t ToUint32(double number) {
  if (!std::isfinite(number)) return 0;
  const double wrapped = std::fmod(std::trunc(number), 4294967296.0);
  return static_cast<uint32_t>(static_cast<int64_t>(wrapped));
}

}  // namespace

napi_status napi_get_cb_info(napi_env, napi_callback_info info, size_t* count, napi_value* values, napi_value*,
                             void**) {
  for (size_t i = 0; i < *count; i++) values[i] = i < info->values.size() ? &info->values[i] : &undefined_value;
  *count = info->values.size();
  return napi_ok;
}

napi_status napi_get_value_int32(napi_env, napi_value value, int32_t* result) {
  if (value->type != napi_number) return napi_number_expected;
  *result = static_cast<int32_t>(ToUint32(value->number));
  return napi_ok;
}

napi_status napi_get_value_uint32(napi_env, napi_value value, uint32_t* result) {
  if (value->type != napi_number) return napi_number_expected;
  *result = ToUint32(value->number);
  return napi_ok;
}

napi_status napi_get_value_double(napi_env, napi_value value, double* result) {
  if (value->type != napi_number) return napi_number_expected;
  *result = value->number;
  return napi_ok;
}

napi_status napi_get_value_bool(napi_env, napi_value value, bool* result) {
  if (value->type != napi_boolean) return napi_boolean_expected;
  *result = value->boolean;
  return napi_ok;
}

napi_status napi_get_value_string_latin1(napi_env, napi_value value, char* buffer, size_t size, size_t* length) {
  *length = std::min(value->string.size(), size - 1);
  std::memcpy(buffer, value->string.data(), *length);
  buffer[*length] = '\0';
  return napi_ok;
}

napi_status napi_get_value_string_utf8(napi_env env, napi_value value, char* buffer, size_t size, size_t* length) {
  return napi_get_value_string_latin1(env, value, buffer, size, length);
}

napi_status napi_typeof(napi_env, napi_value value, napi_valuetype* type) {
  *type = value->type;
  return napi_ok;
}

napi_status napi_is_typedarray(napi_env, napi_value value, bool* result) {
  *result = value->is_array;
  return napi_ok;
}

napi_status napi_get_typedarray_info(napi_env, napi_value value, napi_typedarray_type* type, size_t* length,
                                     void** data, napi_value*, size_t*) {
  *type = value->array_type;
  *length = value->length;
  *data = value->bytes.get();
  return napi_ok;
}

napi_status napi_throw_type_error(napi_env, const char*, const char*) { return napi_ok; }
napi_status napi_throw_range_error(napi_env, const char*, const char*) { return napi_ok; }

napi_status napi_create_int32(napi_env, int32_t, napi_value* result) {
  *result = &result_value;
  return napi_ok;
}

napi_status napi_create_double(napi_env, double, napi_value* result) {
  *result = &result_value;
  return napi_ok;
}
