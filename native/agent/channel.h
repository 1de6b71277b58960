// The one channel to the monitor: frames of a 4-byte little-endian length and a message, on a virtio port.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "../addon/descriptor.h"
#include "messages.h"
#include "wire.h"

namespace isopod::agent {

// Takes a byte stream apart into frames.
class FrameReader {
 public:
  // Adds what was received and hands over each whole frame. False when the peer announces one that is too long, or the
  // receiver refuses one.
  bool Push(std::string_view bytes, const std::function<bool(std::string_view)>& receive);

 private:
  std::string pending_;
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(Descriptor port) : port_(std::move(port)) {}

  int fd() const { return port_.get(); }
  // Receives what is there. False when the channel is unusable; no monitor at the other end is not an error.
  bool Receive(const std::function<bool(std::string_view)>& receive);
  // Sends a message now or, where the channel is full, when Flush is called.
  void Send(const Writer& message);
  // Sends what is left; true when nothing is.
  bool Flush();
  bool has_pending() const { return at_ < pending_.size(); }

 private:
  Descriptor port_;
  FrameReader reader_;
  std::string pending_;
  size_t at_ = 0;
};

}  // namespace isopod::agent
