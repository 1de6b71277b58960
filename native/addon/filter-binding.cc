#include <cstring>

#include "arguments.h"
#include "exports.h"
#include "filter.h"

namespace isopod {

namespace {

napi_value Compile(Arguments& arguments) {
  const std::span<uint32_t> rules = arguments.Uint32s(0);
  const uint32_t default_action = arguments.Uint32(1);
  if (!arguments.ok()) return nullptr;
  std::vector<sock_filter> program;
  const int error = CompileFilter(rules, default_action, &program);
  if (error != 0) return ToNumber(arguments.env(), error);
  const size_t size = program.size() * sizeof(sock_filter);
  void* data = nullptr;
  napi_value buffer;
  napi_value bytes = nullptr;
  if (napi_create_arraybuffer(arguments.env(), size, &data, &buffer) != napi_ok) return nullptr;
  std::memcpy(data, program.data(), size);
  napi_create_typedarray(arguments.env(), napi_uint8_array, size, buffer, 0, &bytes);
  return bytes;
}

constexpr Export kExports[] = {
    {"compileFilter", Valued<Compile>},
};

}  // namespace

std::span<const Export> FilterExports() { return kExports; }

}  // namespace isopod
