// process_create and process_exit, from the process notify routine: Ex2, else Ex, else plain.
//
// The routine runs at PASSIVE_LEVEL in the creating thread, or in the last exiting one. It reads the strings, which are
// paged, straight into the reserved record; it never waits and allocates nothing.
#pragma once

#include "kernel_port/driver/protocol.h"
#include "producers/channel.h"
#include "producers/first_threads.h"
#include "producers/rundown.h"

namespace sluice {

class process_producer {
 public:
  process_producer() = default;
  ~process_producer() { stop(); }
  process_producer(const process_producer&) = delete;
  process_producer& operator=(const process_producer&) = delete;

  // Told of every process that ends, in it, whatever types are on. PASSIVE_LEVEL.
  struct exit_listener {
    void* context;
    void (*exited)(void* context, HANDLE pid);
  };
  // PASSIVE_LEVEL. Registers the best routine that this kernel gives. One producer at a time in a driver.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& to, const kernel_functions& functions, first_threads& threads,
                               const exit_listener& listener = {});
  // PASSIVE_LEVEL, not from a callback. Returns when no callback runs any more.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  protocol::registration registered() const { return registered_; }

 private:
  _IRQL_requires_max_(APC_LEVEL)
  static VOID NTAPI on_notify_ex(PEPROCESS process, HANDLE pid, PPS_CREATE_NOTIFY_INFO info);
  _IRQL_requires_max_(APC_LEVEL)
  static VOID NTAPI on_notify_plain(HANDLE parent_pid, HANDLE pid, BOOLEAN create);

  _IRQL_requires_max_(APC_LEVEL)
  void created(PEPROCESS process, HANDLE pid, const PS_CREATE_NOTIFY_INFO& info);
  _IRQL_requires_max_(APC_LEVEL)
  void created_plain(HANDLE parent_pid, HANDLE pid);
  _IRQL_requires_max_(APC_LEVEL)
  void exited(PEPROCESS process, HANDLE pid);
  _IRQL_requires_max_(APC_LEVEL)
  void write_exit(PEPROCESS process, HANDLE pid);
  _IRQL_requires_max_(APC_LEVEL)
  uint64_t start_key(PEPROCESS process, uint32_t& flags) const;

  channel* channel_ = nullptr;
  first_threads* threads_ = nullptr;
  exit_listener listener_{};
  const kernel_functions* functions_ = nullptr;
  protocol::registration registered_ = protocol::registration::none;
  rundown callbacks_;
};

}  // namespace sluice
