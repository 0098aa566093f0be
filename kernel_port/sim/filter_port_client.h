// The user side of communication ports: what fltlib gives to a process on Windows, for processes of the machine.
//
//   FilterConnectCommunicationPort   filter_port::connect
//   FilterGetMessage                 filter_port::get_message, begin_get (asynchronous; GetOverlappedResult, CancelIoEx)
//   FilterReplyMessage               filter_port::reply
//   FilterSendMessage                filter_port::send
//   CloseHandle                      filter_port::close, and the end of the process
//
// Each gives the NTSTATUS that fltlib would turn into its HRESULT (STATUS_BUFFER_TOO_SMALL is ERROR_INSUFFICIENT_BUFFER). Any
// host thread may call; it needs no activity.
//
// filter_port_link is the one seam between a process and the kernel: what crosses it are values and bytes, so that the same
// calls can be carried to another process.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel_port/sim/machine.h"

namespace sluice::sim {

// In front of each message: FILTER_MESSAGE_HEADER.
struct filter_message_header {
  uint32_t reply_length;  // 0: no reply is wanted; else of filter_reply_header and what may follow it
  uint32_t padding;
  uint64_t message_id;
};
static_assert(sizeof(filter_message_header) == 16);

// In front of each reply: FILTER_REPLY_HEADER.
struct filter_reply_header {
  int32_t status;
  uint32_t padding;
  uint64_t message_id;
};
static_assert(sizeof(filter_reply_header) == 16);

struct port_connect_request {
  std::u16string name;           // "\SluicePort"
  std::vector<uint8_t> context;  // at most 65535 bytes
  uint32_t pid = 0;
  uint32_t user = 0;  // who asks: by default the descriptor lets in root and the user that the machine runs as
};

// A FilterGetMessage that may still be pending. Shared by the caller and the kernel.
class pending_message {
 public:
  struct state;
  pending_message();
  ~pending_message();
  pending_message(pending_message&&) noexcept;
  pending_message& operator=(pending_message&&) noexcept;

  bool is_done() const;
  // STATUS_TIMEOUT: still pending. Otherwise how it ended.
  NTSTATUS wait(std::optional<std::chrono::nanoseconds> timeout = {});
  // Header and content; once it is done with STATUS_SUCCESS.
  std::span<const uint8_t> message() const;

 private:
  friend class filter_port;
  std::shared_ptr<state> state_;
};

class filter_port_link {
 public:
  virtual ~filter_port_link() = default;
  // STATUS_PENDING or how it ended at once. The state is completed exactly once.
  virtual NTSTATUS get_message(const std::shared_ptr<pending_message::state>& message) = 0;
  virtual void cancel(const std::shared_ptr<pending_message::state>& message) = 0;
  virtual void cancel_begun(std::optional<uint64_t> key) = 0;
  virtual NTSTATUS reply(std::span<const uint8_t> reply) = 0;
  // The buffers are memory of the process: null for none.
  virtual NTSTATUS send_message(user_memory* in, uint32_t in_bytes, user_memory* out, uint32_t out_bytes,
                                uint64_t& written) = 0;
  virtual void disconnect() = 0;
};

// To the machine of this process. The link is set on success.
NTSTATUS connect_filter_port(machine& machine, const port_connect_request& request,
                             std::unique_ptr<filter_port_link>& link);

// A process' handle to a port.
class filter_port {
 public:
  filter_port() = default;
  ~filter_port() { close(); }
  filter_port(const filter_port&) = delete;
  filter_port& operator=(const filter_port&) = delete;

  NTSTATUS connect(machine& machine, std::u16string_view name, std::span<const uint8_t> context, uint32_t pid,
                   std::optional<uint32_t> user = {});
  bool is_open() const { return link_ != nullptr; }

  // Waits for the next message. STATUS_TIMEOUT: none came, and the request was taken back. STATUS_BUFFER_TOO_SMALL: one came
  // that is longer; the sender knows. STATUS_PORT_DISCONNECTED: the driver has gone.
  NTSTATUS get_message(std::span<uint8_t> buffer, uint64_t& bytes,
                       std::optional<std::chrono::nanoseconds> timeout = {});
  // Does not wait: STATUS_PENDING, or how it ended at once. Any number at a time.
  NTSTATUS begin_get(size_t capacity, pending_message& message);
  void cancel(pending_message& message);
  // The same with the answer to `to`, which outlives every answer: close() ends them, and some may still be on their way after it.
  // One thread.
  void begin_get(uint32_t capacity, uint64_t key, completion_port& to);
  void cancel_begun(std::optional<uint64_t> key = {});  // with that key, or all
  // Header and content. STATUS_FLT_NO_WAITER_FOR_REPLY: the sender has given up, or there was none.
  NTSTATUS reply(std::span<const uint8_t> reply);
  NTSTATUS send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes);
  // The same with memory that the caller can change, or make fault, while the driver looks at it.
  NTSTATUS send(user_memory* in, uint32_t in_bytes, user_memory* out, uint32_t out_bytes, uint64_t& bytes);
  // Pending gets end with STATUS_CANCELLED. No other call may run.
  void close();

 private:
  std::unique_ptr<filter_port_link> link_;
  // Kept between calls of send.
  std::mutex scratch_mutex_;
  std::unique_ptr<user_memory> scratch_in_, scratch_out_;
};

}  // namespace sluice::sim
