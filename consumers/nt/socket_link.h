// One connection to the process of a simulated machine (docs/wire-format.md, "Framing"): a handle, from the side of the process that
// holds it. No thread of its own: of those who wait for an answer one reads, and hands the others theirs; whoever has his own
// leaves, and another one reads on. So an answer wakes who waits for it, and nobody else.
//
// Any thread, but for the destructor, which nobody may race with.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "consumers/nt/system.h"
#include "kernel_port/sim/host/descriptor.h"
#include "kernel_port/sim/host/frame.h"

namespace sluice {

class socket_link {
 public:
  // Connects and says hello. STATUS_OBJECT_NAME_NOT_FOUND: nobody serves there. `counter_page` is what came with the hello.
  static nt_status connect(const std::string& path, std::unique_ptr<socket_link>& made, wire::descriptor& counter_page);

  // Sends a request of these parts and waits for its answer. Host gone: `gone`.
  nt_status call(wire::frame_kind kind, std::span<const std::span<const uint8_t>> parts, std::span<uint8_t> out,
                 uint64_t& bytes, nt_timeout timeout, nt_status gone);
  // Everything that pends.
  void cancel();

  ~socket_link();  // what the kernel has mapped here through it goes with it
  socket_link(const socket_link&) = delete;
  socket_link& operator=(const socket_link&) = delete;

 private:
  struct waiter {
    uint64_t id = 0;
    std::span<uint8_t> out;
    nt_status status = nt::success;
    uint64_t bytes = 0;
    bool done = false;
    std::condition_variable wake;
  };
  using deadline = std::optional<std::chrono::steady_clock::time_point>;
  enum class progress { some, timeout, gone };

  explicit socket_link(wire::descriptor socket) : socket_(std::move(socket)) {}
  nt_status say_hello(wire::descriptor& counter_page);
  bool send(wire::frame_kind kind, uint64_t id, std::span<const std::span<const uint8_t>> parts);
  void wait(std::unique_lock<std::mutex>& lock, waiter& mine, const deadline& until);
  progress read(std::unique_lock<std::mutex>& lock, const waiter& mine, const deadline& until);
  bool take_frames();
  bool take_answer(const wire::frame_header& header);
  bool take_mapping(const wire::frame_header& header);
  wire::map_answer map(const wire::map_request& request);
  void unmap(const wire::unmap_request& request);
  void finish(waiter& whose);
  progress receive(const deadline& until);

  const wire::descriptor socket_;
  std::mutex sending_;
  std::atomic<bool> ending_{false};  // something could not be sent; set before the host can learn of it

  std::mutex mutex_;
  std::list<waiter*> waiters_;
  uint64_t next_id_ = 1;
  bool reading_ = false;  // somebody does: what follows is his
  bool gone_ = false;

  std::vector<uint8_t> input_ = std::vector<uint8_t>(8192);
  size_t begin_ = 0, end_ = 0;  // what has come and was not taken
  // A long answer comes into its waiter's memory without a copy.
  waiter* long_ = nullptr;
  size_t long_missing_ = 0;
  std::deque<wire::descriptor> passed_;  // that came beside frames, in their order

  struct mapping {
    uint64_t address;
    uint64_t bytes;
  };
  std::vector<mapping> mappings_;
};

}  // namespace sluice
