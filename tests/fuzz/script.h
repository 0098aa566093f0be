// The input of a fuzz target as a script: numbers are taken from its front, and are 0 when it has ended.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice::fuzz {

class script {
 public:
  explicit script(std::span<const uint8_t> bytes) : left_(bytes) {}
  bool ended() const { return left_.empty(); }

  template <class number>
  number take() {
    number value{};
    const std::span<const uint8_t> from = take_bytes(sizeof value);
    if (!from.empty()) std::memcpy(&value, from.data(), from.size());
    return value;
  }
  uint8_t byte() { return take<uint8_t>(); }
  // As many as there are.
  std::span<const uint8_t> take_bytes(size_t count) {
    const std::span<const uint8_t> taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const uint8_t> left_;
};

}  // namespace sluice::fuzz
