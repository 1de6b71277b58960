// As much of Node-API as argument decoding takes, over values that a fuzz target makes: typed arrays lie in allocations
// of exactly their size, so that a byte beyond one is seen.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct napi_value__ {
  napi_valuetype type = napi_undefined;
  double number = 0;
  bool boolean = false;
  std::string string;
  bool is_array = false;
  napi_typedarray_type array_type = napi_uint8_array;
  size_t length = 0;
  std::unique_ptr<uint8_t[]> bytes;
};

// What napi_get_cb_info gives the callback that is called next.
struct napi_callback_info__ {
  std::vector<napi_value__> values;
};
