// thread_create and thread_exit, from the plain thread notify routine: the Ex routine runs in the new thread, where
// creator and remote flag are lost.
//
// The routine runs at PASSIVE_LEVEL or APC_LEVEL, in the creator or in the exiting thread.
#pragma once

#include "kernel_port/driver/protocol.h"
#include "producers/channel.h"
#include "producers/first_threads.h"
#include "producers/rundown.h"

namespace sluice {

class thread_producer {
 public:
  thread_producer() = default;
  ~thread_producer() { stop(); }
  thread_producer(const thread_producer&) = delete;
  thread_producer& operator=(const thread_producer&) = delete;

  // PASSIVE_LEVEL. `processes_seen`: the process routine is registered, so that first threads are known.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& to, first_threads& threads, bool processes_seen);
  // PASSIVE_LEVEL, not from a callback. Returns when no callback runs any more.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  protocol::registration registered() const { return registered_; }

 private:
  _IRQL_requires_max_(APC_LEVEL)
  static VOID NTAPI on_notify(HANDLE pid, HANDLE tid, BOOLEAN create);
  _IRQL_requires_max_(APC_LEVEL)
  void created(HANDLE pid, HANDLE tid);
  _IRQL_requires_max_(APC_LEVEL)
  void exited(HANDLE pid, HANDLE tid);

  channel* channel_ = nullptr;
  first_threads* threads_ = nullptr;
  bool processes_seen_ = false;
  protocol::registration registered_ = protocol::registration::none;
  rundown callbacks_;
};

}  // namespace sluice
