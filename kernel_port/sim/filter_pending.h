// What a FilterGetMessage waits in. Completed under the filter manager's lock, once.
#pragma once

#include "kernel_port/sim/dispatcher.h"
#include "kernel_port/sim/filter_port_client.h"

namespace sluice::sim {

struct pending_message::state {
  explicit state(machine::implementation& machine, size_t capacity) : system(machine), buffer(capacity) {
    KeInitializeEvent(&done, NotificationEvent, FALSE);
  }
  void complete(NTSTATUS how) {
    status = how;
    signal_object(done.Header);
  }

  machine::implementation& system;
  std::vector<uint8_t> buffer;
  uint64_t bytes = 0;
  NTSTATUS status = STATUS_PENDING;
  KEVENT done;
};

}  // namespace sluice::sim
