// Lets a test make any system call of the host from inside Node: `syscall(number, a, b, c, d, e, f)`, the result or
// -errno.

#include <node_api.h>
#include <unistd.h>

#include <cerrno>

static napi_value Syscall(napi_env env, napi_callback_info info) {
  size_t count = 7;
  napi_value values[7];
  int64_t words[7] = {};
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  for (size_t i = 0; i < count && i < 7; i++) napi_get_value_int64(env, values[i], &words[i]);
  const long result = syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
  napi_value number;
  napi_create_int64(env, result == -1 ? -errno : result, &number);
  return number;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "syscall", NAPI_AUTO_LENGTH, Syscall, nullptr, &function);
  napi_set_named_property(env, exports, "syscall", function);
  return exports;
}
