// One connection: a handle that another process holds, to a device or to a communication port.
//
// A thread of the machine stands for the process: it enters the kernel for each request, as a thread of the process would on
// Windows, and what a request waits for in there holds up this process and no other. What the kernel can leave pending (reads,
// controls, messages) pends without a thread; its answer goes into the socket from the thread that completes it.
//
// Nothing that comes from the socket is trusted. What one connection can make the machine hold is bounded: requests that pend, the
// room that they promise, and answers that are not read.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <string>
#include <unordered_map>

#include "kernel_port/sim/filter_port_client.h"
#include "kernel_port/sim/host/descriptor.h"
#include "kernel_port/sim/host/frame_input.h"
#include "kernel_port/sim/host/frame_output.h"
#include "kernel_port/sim/host/process_space.h"
#include "kernel_port/sim/machine.h"

namespace sluice::sim {

struct connection_limits {
  uint32_t requests = 256;          // that pend
  uint64_t bytes = 32u << 20;       // promised to them, and of answers that are not read
  uint64_t unread = 1u << 20;       // of answers: nothing more is taken from the socket until they are read
  std::chrono::milliseconds hello{10'000};  // until a handle is open
  std::chrono::milliseconds answer{5'000};  // of the process, when it is to map something
};

class connection final : completion_port, process_end {
 public:
  connection(machine& machine, wire::descriptor socket, uint32_t pid, uint32_t user, const connection_limits& limits,
             std::shared_ptr<process_space> space);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // Until the process has gone, breaks the rules, or stop(). The handle is closed when it returns. `opened` is called when the
  // handle is open. One thread, which holds no activity.
  void run(const std::function<void()>& opened);
  // Any thread.
  void stop();

  uint32_t pid() const { return pid_; }

 private:
  enum class stage { hello, no_handle, device, port, over };

  void completed(uint64_t id, NTSTATUS status, std::span<const uint8_t> bytes) noexcept override;
  NTSTATUS ask_to_map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) override;
  void ask_to_unmap(uint64_t address, uint64_t bytes) override;
  void serve();
  void take_all();
  enum class event { input, time, over };
  event wait(std::optional<std::chrono::steady_clock::time_point> until);
  std::optional<event> look_for_answer(uint64_t id, wire::map_answer& answer);
  void take(const frame& request);
  bool take_hello(std::span<const uint8_t> bytes_untrusted);
  void request(const frame& request);
  void open_device(uint64_t id, std::span<const uint8_t> bytes_untrusted);
  void connect_port(uint64_t id, std::span<const uint8_t> bytes_untrusted);
  void send_message(uint64_t id, uint32_t capacity, std::span<const uint8_t> in_untrusted);
  void cancel(uint64_t id);
  void opened_handle(uint64_t id, NTSTATUS status, stage then);
  bool admit(uint64_t id, uint64_t bytes);
  void answer(uint64_t id, NTSTATUS status, std::span<const uint8_t> bytes = {}) noexcept;
  void close_handle();
  bool idle();

  machine& machine_;
  const wire::descriptor socket_;
  const wire::descriptor wake_;
  const uint32_t pid_;
  const uint32_t user_;
  const connection_limits limits_;
  frame_input input_;
  frame_output output_;
  stage stage_ = stage::hello;
  const std::shared_ptr<process_space> space_;
  uint64_t next_question_ = 1;
  // What came while an answer was waited for, and its bytes.
  struct deferred_frame {
    wire::frame_header header;
    std::vector<uint8_t> bytes;
  };
  std::deque<deferred_frame> deferred_;
  uint64_t deferred_bytes_ = 0;
  std::chrono::steady_clock::time_point hello_limit_;
  const std::function<void()>* opened_ = nullptr;
  std::atomic<bool> stopping_{false};

  internal_mutex mutex_;
  std::unordered_map<uint64_t, uint64_t> pending_;  // requests, and what was promised to them
  uint64_t promised_ = 0;
  uint32_t answering_ = 0;  // completions that are inside completed()
  bool closing_ = false;    // answers of the close itself go nowhere

  file file_;
  filter_port port_;
};

}  // namespace sluice::sim
