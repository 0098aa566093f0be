#include "kernel_port/sim/host/frame_input.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace sluice::sim {

frame_input::state frame_input::fill(int socket) {
  if (state_ != state::open) return state_;
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.size() > first_room) buffer_ = std::vector<uint8_t>(first_room);
  } else if (begin_ != 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    buffer_.resize(std::min<size_t>(2 * buffer_.size(), sizeof(wire::frame_header) + wire::max_frame_bytes));
  }
  for (;;) {
    const ssize_t n = ::recv(socket, buffer_.data() + end_, buffer_.size() - end_, MSG_DONTWAIT);
    if (n > 0) {
      end_ += static_cast<size_t>(n);
      return state_;
    }
    if (n == 0) return state_ = state::ended;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) state_ = state::ended;
    return state_;
  }
}

std::optional<frame> frame_input::next() {
  if (state_ == state::broken || end_ - begin_ < sizeof(wire::frame_header)) return std::nullopt;
  frame result;
  std::memcpy(&result.header, buffer_.data() + begin_, sizeof result.header);
  if (result.header.bytes > wire::max_frame_bytes || result.header.flags != 0) {
    state_ = state::broken;
    return std::nullopt;
  }
  const size_t whole = sizeof result.header + result.header.bytes;
  if (end_ - begin_ < whole) return std::nullopt;
  result.bytes_untrusted = {buffer_.data() + begin_ + sizeof result.header, result.header.bytes};
  begin_ += whole;
  return result;
}

}  // namespace sluice::sim
