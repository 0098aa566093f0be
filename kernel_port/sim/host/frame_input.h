// Frames as they come from a process that is not trusted: a length is checked before memory is made for it, and memory grows with
// what has come, not with what was promised. One thread.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "kernel_port/sim/host/frame.h"

namespace sluice::sim {

struct frame {
  wire::frame_header header;
  std::span<const uint8_t> bytes_untrusted;  // until the next call
};

class frame_input {
 public:
  enum class state { open, ended, broken };

  // Takes what the socket has, without waiting. ended: nothing comes any more.
  state fill(int socket);
  // The next whole frame. Sets the state to broken if what comes cannot be one.
  std::optional<frame> next();
  state now() const { return state_; }

 private:
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(first_room);
  size_t begin_ = 0;  // what was not given out yet
  size_t end_ = 0;
  state state_ = state::open;

  static constexpr size_t first_room = 16 * 1024;
};

}  // namespace sluice::sim
