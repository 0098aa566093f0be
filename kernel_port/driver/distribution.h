// Who gets the stream: the clients that are there now, each with a queue of its own.
//
// A record moves on as soon as one client that wants it has taken it; the others that want it and have no room lose it, each
// on its own account. While nobody who wants it has room, it stays in the rings: a single client is never skipped, it holds
// the stream back, and the rings drop and announce as they do. So a slow client never holds up another one.
//
// One fast mutex, held for a merge pass by the worker, briefly by everybody else. <= APC_LEVEL, all members.
#pragma once

#include "kernel_port/driver/client_stream.h"
#include "producers/scopes.h"

namespace sluice {

class distribution {
 public:
  static constexpr uint32_t max_clients = protocol::max_port_clients + 1;  // and who reads the device

  // `room` is set when there is room again for what had to wait.
  _IRQL_requires_max_(APC_LEVEL)
  void start(KEVENT* room);

  class lock {
   public:
    explicit lock(distribution& of) : of_(of) { ExAcquireFastMutex(&of_.mutex_); }
    ~lock() { ExReleaseFastMutex(&of_.mutex_); }
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;

   private:
    distribution& of_;
  };

  // For any thread. False: there are max_clients.
  [[nodiscard]] _IRQL_requires_max_(APC_LEVEL)
  bool add(client_stream& client);
  _IRQL_requires_max_(APC_LEVEL)
  void remove(client_stream& client);
  _IRQL_requires_max_(APC_LEVEL)
  void request_flush(client_stream& client);
  _IRQL_requires_max_(APC_LEVEL)
  void set_types(client_stream& client, uint64_t types);
  // Returns the former one, which nobody uses any more.
  [[nodiscard]] _IRQL_requires_max_(APC_LEVEL)
  client_filter* set_filter(client_stream& client, client_filter* next);
  // As client_filter::read; of none: a filter_state without a message.
  _IRQL_requires_max_(APC_LEVEL)
  NTSTATUS read_filter(client_stream& client, _Out_writes_bytes_to_(size, written) void* buffer, uint32_t size, uint32_t& written);
  _IRQL_requires_max_(APC_LEVEL)
  protocol::client_row row(const client_stream& client);
  _IRQL_requires_max_(APC_LEVEL)
  client_stream::batch take(client_stream& client);
  _IRQL_requires_max_(APC_LEVEL)
  void given_back(client_stream& client, bool delivered);
  _IRQL_requires_max_(APC_LEVEL)
  void count_failed_send(client_stream& client);
  // `out`: protocol::clients_header and as many rows as fit.
  _IRQL_requires_max_(APC_LEVEL)
  NTSTATUS copy_rows(NTSTATUS port_status, _Out_writes_bytes_to_(size, written) void* out, uint32_t size, uint32_t& written);

  // For the worker, with the lock held.
  [[nodiscard]] _IRQL_requires_max_(APC_LEVEL)
  bool add_locked(client_stream& client);
  _IRQL_requires_max_(APC_LEVEL)
  void remove_locked(client_stream& client);
  bool any() const { return count_ != 0; }
  bool is_only(const client_stream& client) const { return count_ == 1 && clients_[0] == &client; }
  // False: nobody who wants it has room; nothing was done.
  _IRQL_requires_max_(APC_LEVEL)
  bool accept(const record_view<native_seam>& record);
  _IRQL_requires_max_(APC_LEVEL)
  void begin_epoch(const client_stream::epoch_news& news);
  _IRQL_requires_max_(APC_LEVEL)
  void hand_over(const figures_source& figures);
  // Flushes: client_stream. True: a pass is needed.
  _IRQL_requires_max_(APC_LEVEL)
  bool begin_flushes(uint64_t now);
  _IRQL_requires_max_(APC_LEVEL)
  void note_pass(bool complete, uint64_t reached);
  // True: for somebody. Who has no room is asked again when it has.
  _IRQL_requires_max_(APC_LEVEL)
  bool settle_flushes(const figures_source& figures);

 private:
  friend class lock;
  FAST_MUTEX mutex_{};
  KEVENT* room_ = nullptr;
  uint32_t count_ = 0;
  client_stream* clients_[max_clients] = {};
  protocol::clients_header gone_{};  // of it, what counts clients that have left
};

}  // namespace sluice
