// What a FilterGetMessage waits in. Completed under the filter manager's lock, once; the answer to one that nobody waits for goes
// out after it.
#pragma once

#include "kernel_port/sim/dispatcher.h"
#include "kernel_port/sim/filter_port_client.h"

namespace sluice::sim {

struct pending_message::state {
  state(machine::implementation& machine, size_t room)
      : system(machine), buffer(std::make_unique_for_overwrite<uint8_t[]>(room)), capacity(room) {
    KeInitializeEvent(&done, NotificationEvent, FALSE);
  }
  void complete(NTSTATUS how) {
    status = how;
    signal_object(done.Header);
  }

  machine::implementation& system;
  const std::unique_ptr<uint8_t[]> buffer;
  const size_t capacity;
  uint64_t bytes = 0;
  completion_port* to = nullptr;  // null: somebody waits for `done`
  uint64_t key = 0;
  NTSTATUS status = STATUS_PENDING;
  KEVENT done;
};

}  // namespace sluice::sim
