#include "channel.h"

#include <unistd.h>

namespace isopod::agent {

namespace {

constexpr size_t kHeaderBytes = 4;
constexpr size_t kReceiveBytes = 256 << 10;

uint32_t LengthOf(const char* header) {
  uint32_t length = 0;
  for (size_t i = 0; i < kHeaderBytes; i++) length |= static_cast<uint32_t>(static_cast<uint8_t>(header[i])) << (8 * i);
  return length;
}

}  // namespace

bool FrameReader::Push(std::string_view bytes, const std::function<bool(std::string_view)>& receive) {
  pending_.append(bytes);
  size_t at = 0;
  while (pending_.size() - at >= kHeaderBytes) {
    const uint32_t length = LengthOf(pending_.data() + at);
    if (length > kMaximumFrame) return false;
    if (pending_.size() - at - kHeaderBytes < length) break;
    if (!receive(std::string_view(pending_).substr(at + kHeaderBytes, length))) return false;
    at += kHeaderBytes + length;
  }
  pending_.erase(0, at);
  return true;
}

bool Channel::Receive(const std::function<bool(std::string_view)>& receive) {
  static char buffer[kReceiveBytes];
  const ssize_t length = read(port_.get(), buffer, sizeof buffer);
  // 0: nobody is at the other end.
  if (length <= 0) return length == 0 || errno == EAGAIN || errno == EINTR;
  return reader_.Push(std::string_view(buffer, static_cast<size_t>(length)), receive);
}

void Channel::Send(const Writer& message) {
  const size_t length = message.bytes().size();
  for (size_t i = 0; i < kHeaderBytes; i++) pending_.push_back(static_cast<char>(length >> (8 * i)));
  pending_.append(message.bytes());
  Flush();
}

bool Channel::Flush() {
  while (at_ < pending_.size()) {
    const ssize_t written = write(port_.get(), pending_.data() + at_, pending_.size() - at_);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at_ += static_cast<size_t>(written);
  }
  pending_.clear();
  at_ = 0;
  return true;
}

}  // namespace isopod::agent
