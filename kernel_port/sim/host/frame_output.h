// Frames on their way to a process. Whoever completes a request writes its answer straight into the socket; only what the socket
// does not take waits here, and the connection's thread sends it on when there is room. Nobody ever blocks: a process that does
// not read costs memory that connection.h bounds.
//
// put, waiting: any thread, up to DISPATCH_LEVEL. flush: the connection's thread.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "kernel_port/sim/host/descriptor.h"
#include "kernel_port/sim/host/frame.h"
#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

class frame_output {
 public:
  // `wake`: an eventfd that the connection's thread waits for.
  frame_output(int socket, int wake) : socket_(socket), wake_(wake) {}

  // One frame of two parts. `passed`: a descriptor that goes with it; -1: none.
  void put(wire::frame_kind kind, uint64_t id, std::span<const uint8_t> first, std::span<const uint8_t> second = {},
           int passed = -1) noexcept;
  // Sends what waits, as far as the socket takes it.
  void flush() noexcept;
  size_t waiting();
  // The socket will not take anything any more.
  bool broken();

 private:
  struct waiting_frame {
    std::vector<uint8_t> bytes;
    size_t sent;
    wire::descriptor passed;
  };
  void give_up();
  void keep(std::span<const std::span<const uint8_t>> parts, size_t sent, int passed);

  const int socket_;
  const int wake_;
  internal_mutex mutex_;
  std::deque<waiting_frame> waiting_;
  size_t waiting_bytes_ = 0;
  bool broken_ = false;
};

}  // namespace sluice::sim
