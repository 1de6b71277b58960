// What every file of the addon uses: argument decoding, buffers, owned descriptors.
#pragma once

#define NAPI_VERSION 9
#include <node_api.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace isopod {

// Owns a descriptor.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset(other.release());
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

// The result of a system call as a number: itself, or -errno.
inline int64_t orErrno(int64_t result) { return result < 0 ? -errno : result; }

// Arguments of one call. A wrong type sets a pending TypeError and `ok` to false.
template <size_t kCount>
class Args {
 public:
  Args(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kCount;
    ok_ = napi_get_cb_info(env, info, &count, values_, nullptr, nullptr) == napi_ok;
  }
  bool ok() const { return ok_; }
  napi_value value(size_t index) const { return values_[index]; }

  int32_t i32(size_t index) {
    int32_t value = 0;
    if (napi_get_value_int32(env_, values_[index], &value) != napi_ok) fail();
    return value;
  }
  uint32_t u32(size_t index) {
    uint32_t value = 0;
    if (napi_get_value_uint32(env_, values_[index], &value) != napi_ok) fail();
    return value;
  }
  double f64(size_t index) {
    double value = 0;
    if (napi_get_value_double(env_, values_[index], &value) != napi_ok) fail();
    return value;
  }
  // Whole numbers beyond 32 bits.
  int64_t i64(size_t index) { return static_cast<int64_t>(f64(index)); }
  bool boolean(size_t index) {
    bool value = false;
    if (napi_get_value_bool(env_, values_[index], &value) != napi_ok) fail();
    return value;
  }
  bool isNull(size_t index) {
    napi_valuetype type;
    return napi_typeof(env_, values_[index], &type) == napi_ok && (type == napi_null || type == napi_undefined);
  }

  // A typed array's bytes.
  uint8_t* bytes(size_t index, size_t* byteLength) {
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (napi_get_typedarray_info(env_, values_[index], &type, &length, &data, nullptr, nullptr) != napi_ok) {
      fail();
      *byteLength = 0;
      return nullptr;
    }
    size_t size = 1;
    if (type == napi_int32_array || type == napi_uint32_array || type == napi_float32_array) size = 4;
    if (type == napi_int16_array || type == napi_uint16_array) size = 2;
    if (type == napi_float64_array || type == napi_bigint64_array || type == napi_biguint64_array) size = 8;
    *byteLength = length * size;
    return static_cast<uint8_t*>(data);
  }

  // The part [offset, offset + length) of a typed array's bytes; RangeError beyond it.
  uint8_t* slice(size_t bufferIndex, size_t offsetIndex, size_t lengthIndex, size_t* length) {
    size_t available = 0;
    uint8_t* data = bytes(bufferIndex, &available);
    double offset = f64(offsetIndex);
    double wanted = f64(lengthIndex);
    if (!ok_) return nullptr;
    if (!(offset >= 0) || !(wanted >= 0) || offset + wanted > static_cast<double>(available)) {
      napi_throw_range_error(env_, nullptr, "offset and length must lie within the buffer");
      ok_ = false;
      return nullptr;
    }
    *length = static_cast<size_t>(wanted);
    return data + static_cast<size_t>(offset);
  }

  void fail() {
    if (ok_) napi_throw_type_error(env_, nullptr, "wrong argument type");
    ok_ = false;
  }

 private:
  napi_env env_;
  napi_value values_[kCount > 0 ? kCount : 1] = {};
  bool ok_ = true;
};

inline napi_value number(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

inline napi_value undefined(napi_env env) {
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

// A path or name argument as a C string. JavaScript strings are byte strings: each character is one byte (latin1).
class PathArg {
 public:
  static constexpr size_t kMax = 4096;
  // 0, or an errno: EINVAL for an inner NUL, ENAMETOOLONG.
  int read(napi_env env, napi_value value);
  const char* c_str() const { return bytes_; }

 private:
  char bytes_[kMax + 1];
};

using Exports = napi_value;
void define(napi_env env, Exports exports, const char* name, napi_callback callback);

// One per facility: each adds its functions to the module.
void registerFilter(napi_env env, Exports exports);
void registerWait(napi_env env, Exports exports);
void registerLend(napi_env env, Exports exports);
void registerSpawn(napi_env env, Exports exports);
void registerProcess(napi_env env, Exports exports);
void registerMemory(napi_env env, Exports exports);
void registerFiles(napi_env env, Exports exports);
void registerChannel(napi_env env, Exports exports);
void registerMounts(napi_env env, Exports exports);
void registerConfine(napi_env env, Exports exports);
void registerProbe(napi_env env, Exports exports);
void registerUnderMask(napi_env env, Exports exports);

}  // namespace isopod
