// A fuzz target for what the agent reads from its channel: frames, and the messages in them. Any bytes are decoded or
// refused.

#include "../agent/channel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  isopod::agent::Request whole;
  isopod::agent::Decode(bytes, &whole);
  isopod::agent::FrameReader reader;
  const auto receive = [](std::string_view frame) {
    isopod::agent::Request request;
    return isopod::agent::Decode(frame, &request);
  };
  // In two parts, as a stream may come.
  if (reader.Push(bytes.substr(0, size / 2), receive)) reader.Push(bytes.substr(size / 2), receive);
  // Each call by itself: the field's number and the length of what follows, then the bytes.
  for (uint32_t field = 2; field <= 16; field++) {
    isopod::agent::Request request;
    isopod::agent::Decode(isopod::agent::Writer().Bytes(field, bytes).bytes(), &request);
  }
  return 0;
}
